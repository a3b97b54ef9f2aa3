// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/cast_arguments.h"

#include <algorithm>
#include <optional>

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
bool has_nvfp4_scale(FormatId format) {
  return numerics::format(format).block_scale == numerics::BlockScale::e4m3;
}
bool overflows(FormatId format) {
  return numerics::format(format).element_bits == 16;
}
bool is_any(FormatId) {
  return true;
}

// An option's choice, if it is given and a format of `formats` has what it is about.
template <NamedEnum Choice>
std::optional<Choice> choice_of(const char* option, const std::string& text, std::span<const FormatId> formats,
                                bool (*has)(FormatId), const char* which_have) {
  if (text.empty()) return std::nullopt;
  const auto choice = choice_argument<Choice>(option, text);
  if (formats.empty()) input_error("{}: nothing is cast, both operands are quantised already", option);
  if (std::ranges::none_of(formats, has))
    input_error("{}: only formats with {}, {} does not", option, which_have, numerics::format(formats.front()).name);
  return choice;
}

}  // namespace

void add_cast_options(CLI::App& command, CastArguments& arguments) {
  command
      .add_option("--scale-rule", arguments.scale_rule,
                  "how MX formats choose a block's exponent: floor (the default), even, ceil or rceil")
      ->type_name("NAME");
  command
      .add_option("--rounding", arguments.rounding,
                  "of elements: nearest_even (the default of all formats but hif4) or half_away (hif4's)")
      ->type_name("NAME");
  command
      .add_option("--nvfp4-scale", arguments.nvfp4_scale,
                  "how NVFP4 computes a block's scale: exact (the default), te_main or te_2x")
      ->type_name("NAME");
  command
      .add_option("--overflow", arguments.overflow,
                  "what numbers beyond the largest of bf16 and fp16 become: infinity (the default) or saturate")
      ->type_name("NAME");
  command.add_flag("--allow-nonfinite", arguments.allow_nonfinite,
                   "go on with NaN and Inf in a matrix; NaN propagates");
  command.add_flag("--npy-bf16", arguments.npy.void_is_bf16,
                   "elements of type V2 in .npy files are BF16, as ml_dtypes saves it");
}

CastOptions cast_options(const CastArguments& arguments, std::span<const FormatId> formats) {
  CastOptions options;
  options.scale_rule = choice_of<numerics::ScaleRule>("--scale-rule", arguments.scale_rule, formats, has_scale_rule,
                                                      "E8M0 scales have one")
                           .value_or(options.scale_rule);
  options.rounding =
      choice_of<numerics::ElementRounding>("--rounding", arguments.rounding, formats, is_any, "elements have one");
  options.nvfp4_scale = choice_of<numerics::Nvfp4Scale>("--nvfp4-scale", arguments.nvfp4_scale, formats,
                                                        has_nvfp4_scale, "E4M3 scales have one")
                            .value_or(options.nvfp4_scale);
  options.overflow =
      choice_of<numerics::Overflow>("--overflow", arguments.overflow, formats, overflows, "16-bit elements overflow")
          .value_or(options.overflow);
  return options;
}

FormatId format_argument(const std::string& option, const std::string& name) {
  return choice_argument<FormatId>(option, name);
}

std::string cast_text(FormatId format, const CastOptions& options) {
  std::string text(numerics::format(format).name);
  if (has_scale_rule(format)) text += fmt::format(", scale rule {}", name_of(options.scale_rule));
  if (has_nvfp4_scale(format)) text += fmt::format(", scale {}", name_of(options.nvfp4_scale));
  text += fmt::format(", rounding {}", name_of(rounding_of(numerics::format(format), options)));
  if (overflows(format)) text += fmt::format(", overflow {}", name_of(options.overflow));
  return text;
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
