// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/activation_files.h"

#include <charconv>

#include "models/base/error.h"

namespace oscsim {
namespace {

using numerics::MatrixView;

constexpr std::pair<std::string_view, Position> kEndings[] = {{"attn_in", Position::attn_in},
                                                              {"o_in", Position::o_in},
                                                              {"ffn_in", Position::ffn_in},
                                                              {"down_in", Position::down_in},
                                                              {"input", Position::other}};

void require_matrix(const std::string& name, const TensorPlace& place) {
  const std::string what = fmt::format("{}: tensor '{}'", place.file->path(), name);
  const SafetensorsEntry& entry = *place.entry;
  if (!matrix_dtype(*entry.dtype)) input_error("{} has dtype {}; allowed: BF16, F16, F32", what, entry.dtype->name);
  const std::optional<MatrixShape> shape = matrix_shape(entry);
  if (!shape || shape->cols == 0)
    input_error("{} has shape {}; expected two sizes, tokens and channels", what, shape_text(entry.shape));
}

}  // namespace

Activations activations_in(const std::vector<std::string>& paths) {
  Activations found;
  for (const std::string& path : paths) {
    const auto file = std::make_shared<const SafetensorsFile>(path);
    for (const auto& [name, entry] : file->tensors()) {
      if (!position_of_name(name)) continue;
      const TensorPlace place{file, &entry};
      require_matrix(name, place);
      const auto [first, is_new] = found.try_emplace(name, place);
      if (!is_new)
        input_error("{}: tensor '{}' is also in {}; every name may be there once", path, name,
                    first->second.file->path());
    }
  }
  if (found.empty())
    input_error(
        "{}: no activations\n"
        "  allowed: matrices with a name that ends in .attn_in, .o_in, .ffn_in, .down_in or .input",
        joined(paths));
  return found;
}

MatrixShape activation_shape(const TensorPlace& activation) {
  return *matrix_shape(*activation.entry);
}

void for_activation_rows(const std::string& name, const TensorPlace& place,
                         const std::function<void(MatrixView)>& take) {
  const std::string what = fmt::format("{}: tensor '{}'", place.file->path(), name);
  for_row_chunks(*place.file, *place.entry, [&](MatrixView rows, std::int64_t first) {
    require_all_finite(what, rows, first);
    take(rows);
  });
}

std::optional<Position> position_of_name(const std::string& tensor) {
  const std::size_t dot = tensor.rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  const std::string_view last = std::string_view(tensor).substr(dot + 1);
  for (const auto& [ending, position] : kEndings)
    if (last == ending) return position;
  return std::nullopt;
}

std::int64_t layer_of_name(const std::string& tensor) {
  constexpr std::string_view kLayers = "layers.";
  const std::size_t at = tensor.find(kLayers);
  if (at == std::string::npos) return -1;
  const char* begin = tensor.data() + at + kLayers.size();
  std::int64_t layer = -1;
  const auto [end, error] = std::from_chars(begin, tensor.data() + tensor.size(), layer);
  return error == std::errc() && *end == '.' ? layer : -1;
}

}  // namespace oscsim
