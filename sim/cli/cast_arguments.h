// SPDX-License-Identifier: Apache-2.0
// What `oscsim quantize` and `oscsim gemm` share: matrices from files and how to cast them.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>

#include "models/numerics/quantise.h"
#include "sim/workload/checkpoint.h"
#include "sim/workload/matrix_file.h"

namespace oscsim {

struct CastArguments {
  std::string scale_rule, rounding, nvfp4_scale, overflow;  // empty: not given
  bool allow_nonfinite = false;
  NpyOptions npy;
};

void add_cast_options(CLI::App& command, CastArguments& arguments);

// InputError for unknown names, and for options that change nothing: where no format of `formats` has what they are
// about (E8M0 scales, NVFP4's, 16-bit elements), and all of them where there is nothing to cast (`formats` is empty).
numerics::CastOptions cast_options(const CastArguments& arguments, std::span<const numerics::FormatId> formats);

// A format by name; `option` stands in front of what is wrong with it.
numerics::FormatId format_argument(const std::string& option, const std::string& name);

// "mxfp4, scale rule floor, rounding nearest_even"; "nvfp4, scale exact, ..."; "bf16, ..., overflow infinity"
std::string cast_text(numerics::FormatId format, const numerics::CastOptions& options);

// A matrix that a command casts, and its name in messages.
struct NamedMatrix {
  std::string what;  // "x.npy", "w.safetensors: tensor 'w'"
  Tensor tensor;
};
NamedMatrix matrix_of(const std::string& path, const NpyOptions& options);
NamedMatrix matrix_of(const std::shared_ptr<const SafetensorsFile>& file, const std::string& tensor);
NamedMatrix matrix_of(const TensorPlace& place);
// InputError when it has no columns or, unless allowed, a NaN or infinity.
void check_values(const NamedMatrix& matrix, const CastArguments& arguments);

}  // namespace oscsim
