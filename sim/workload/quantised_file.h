// SPDX-License-Identifier: Apache-2.0
// Quantised operands in safetensors files: what `oscsim quantize` writes and `oscsim gemm` reads.
//
// Tensors of an operand [rows, k]; in a file of several, with "NAME." in front:
//   decoded      F32 [rows, k]: the values with all scales
//   outer_scale  F32 [rows] or [1], where the format has one
//   codes        F4, F8_E4M3, F8_E5M2, I8, BF16 or F16 [rows, k], where one of them is the element (F4: k rounded up to
//                even); otherwise U8 [rows, bytes], rows of whole bytes or blocks as in QuantisedMatrix
//   scales       F8_E8M0 or F8_E4M3 [rows, blocks]; F8_E5M2 [rows, blocks, 2]; U8 [rows, blocks, bytes] for the others
// The metadata give format, casting options, k, and the layout in words.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/numerics/quantise.h"
#include "sim/workload/safetensors.h"

namespace oscsim {

// How a file came about; goes into its metadata.
struct QuantisedOrigin {
  numerics::FormatId format{};
  numerics::CastOptions options;
  std::string version;  // of this program
  std::string source;   // file that was quantised
};

// Builds the specification of a file operand by operand.
class QuantisedFileSpec {
 public:
  explicit QuantisedFileSpec(const QuantisedOrigin& origin);

  // An operand named `name`; empty for the only one. InputError when the sizes overflow.
  void add(const std::string& name, std::int64_t rows, std::int64_t k);
  const std::vector<SafetensorsSpec>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  const numerics::FormatInfo& info_;
  std::vector<SafetensorsSpec> tensors_;
  std::map<std::string, std::string> metadata_;
};

// The tensors of an operand that stand behind its decoded values.
void append_quantised(SafetensorsBody& body, const numerics::QuantisedMatrix& matrix);

// Whether the file says of itself that it was written so.
bool holds_quantised(const SafetensorsFile& file);
// The format of all its operands; InputError when it names none that we know.
numerics::FormatId quantised_format(const SafetensorsFile& file);
// An operand; `name` is empty for the only one. `decoded` need not be there. InputError for tensors that are missing or
// do not fit each other, for padding that is not zero, and for scales with a sign.
numerics::QuantisedMatrix read_quantised(const SafetensorsFile& file, const std::string& name);

// InputError with `what` in front and the position of the first block scale of NVFP4 or AMXFP4 that has its sign bit
// set: for every reader of such scales.
void require_unsigned_scales(const std::string& what, const numerics::QuantisedMatrix& matrix);

// InputError with `what` in front and the position of the first element that is NaN or, in 16 bit, infinite.
void require_finite(const std::string& what, const numerics::QuantisedMatrix& matrix);

}  // namespace oscsim
