// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/cast_arguments.h"

#include <algorithm>

#include "models/base/error.h"
#include "sim/cli/arguments.h"
#include "sim/cli/standard_output.h"

namespace oscsim {
namespace {

using numerics::CastOptions;
using numerics::FormatId;

bool has_scale_rule(FormatId format) {
  return numerics::format(format).block_scale == numerics::BlockScale::e8m0;
}

}  // namespace

void add_cast_options(CLI::App& command, CastArguments& arguments) {
  command
      .add_option("--scale-rule", arguments.scale_rule,
                  "how MX formats choose a block's exponent: floor (the default), even, ceil or rceil")
      ->type_name("NAME");
  command.add_option("--rounding", arguments.rounding, "of elements: nearest_even (the default) or half_away")
      ->type_name("NAME");
  command.add_flag("--allow-nonfinite", arguments.allow_nonfinite,
                   "go on with NaN and Inf in a matrix; NaN propagates");
  command.add_flag("--npy-bf16", arguments.npy.void_is_bf16,
                   "elements of type V2 in .npy files are BF16, as ml_dtypes saves it");
}

CastOptions cast_options(const CastArguments& arguments, std::span<const FormatId> formats) {
  CastOptions options;
  if (!arguments.scale_rule.empty()) {
    options.scale_rule = choice_argument<numerics::ScaleRule>("--scale-rule", arguments.scale_rule);
    if (formats.empty()) input_error("--scale-rule: nothing is cast, both operands are quantised already");
    if (std::ranges::none_of(formats, has_scale_rule))
      input_error("--scale-rule: only formats with E8M0 scales have one, {} does not",
                  numerics::format(formats.front()).name);
  }
  if (!arguments.rounding.empty()) {
    options.rounding = choice_argument<numerics::ElementRounding>("--rounding", arguments.rounding);
    if (formats.empty()) input_error("--rounding: nothing is cast, both operands are quantised already");
  }
  return options;
}

FormatId format_argument(const std::string& option, const std::string& name) {
  return choice_argument<FormatId>(option, name);
}

std::string cast_text(FormatId format, const CastOptions& options) {
  const std::string rule = has_scale_rule(format) ? fmt::format(", scale rule {}", name_of(options.scale_rule)) : "";
  return fmt::format("{}{}, rounding {}", numerics::format(format).name, rule, name_of(options.rounding));
}

NamedMatrix matrix_of(const std::string& path, const NpyOptions& options) {
  const auto file = std::make_shared<const NpyFile>(path, options);
  if (file->layout().is_double()) print_note(path + ": FP64, converted to FP32: rounded to nearest, ties to even");
  return {path, tensor_in(file)};
}

NamedMatrix matrix_of(const std::shared_ptr<const SafetensorsFile>& file, const std::string& tensor) {
  const auto& [name, entry] = matrix_entry(*file, tensor);
  return matrix_of(TensorPlace{file, &entry, name});
}

NamedMatrix matrix_of(const TensorPlace& place) {
  return {fmt::format("{}: tensor '{}'", place.file->path(), place.name), tensor_in(place.file, *place.entry)};
}

void check_values(const NamedMatrix& matrix, const CastArguments& arguments) {
  const numerics::MatrixView view = matrix.tensor.view;
  if (view.cols() == 0) input_error("{} has no columns: shape [{}, 0]", matrix.what, view.rows());
  if (view.cols() > kMostColumns)
    input_error("{} has {} columns; allowed: at most {}", matrix.what, view.cols(), kMostColumns);
  if (!arguments.allow_nonfinite) require_finite(matrix.what, view);
}

}  // namespace oscsim
