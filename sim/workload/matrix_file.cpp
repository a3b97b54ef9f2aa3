// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/matrix_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "models/base/error.h"
#include "sim/workload/checkpoint.h"
#include "sim/workload/tensor_names.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;
using numerics::MatrixView;

constexpr std::string_view kNpy = ".npy";
constexpr std::size_t kMostListed = 12;  // tensors in a message
constexpr std::size_t kChunkBytes = std::size_t{32} << 20;

constexpr std::pair<std::string_view, Dtype> kMatrixDtypes[] = {
    {"BF16", Dtype::bf16}, {"F16", Dtype::fp16}, {"F32", Dtype::fp32}};

const char* name_of_nonfinite(float value) {
  return std::isnan(value) ? "NaN" : value > 0 ? "Inf" : "-Inf";
}

template <class Owner>
Tensor aligned(const std::byte* data, Dtype dtype, std::int64_t rows, std::int64_t cols, const Owner& owner) {
  if (reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0) return {MatrixView(data, dtype, rows, cols), owner};
  // The file aligns nothing; kernels want aligned elements.
  const auto copy = std::make_shared<Matrix>(dtype, rows, cols);
  if (rows > 0 && cols > 0) std::memcpy(copy->data(), data, static_cast<std::size_t>(rows * cols) * size_of(dtype));
  return {copy->view(), copy};
}

std::string what_is_there(const SafetensorsFile& file) {
  if (file.tensors().empty()) return "\n  the file has no tensors";
  std::string text = "\n  tensors:";
  std::size_t count = 0;
  for (const auto& [name, entry] : file.tensors()) {
    if (count++ == kMostListed) {
      text += fmt::format(" and {} more", file.tensors().size() - kMostListed);
      break;
    }
    text += fmt::format("{} {} {} {}", count == 1 ? "" : ",", name, entry.dtype->name, shape_text(entry.shape));
  }
  return text;
}

// For a file whose only matrices go with quantised weights.
std::string besides_companions(const SafetensorsFile& file) {
  const bool has_any = std::ranges::any_of(file.tensors(), [](const auto& tensor) {
    return matrix_shape(tensor.second) && matrix_dtype(*tensor.second.dtype);
  });
  return has_any ? " besides scales, zero points and biases" : "";
}

}  // namespace

MatrixFileName matrix_file_name(const std::string& argument) {
  std::error_code error;
  const bool is_file = std::filesystem::exists(argument, error);
  if (is_file && is_checkpoint(argument)) return {argument, "", MatrixFileKind::checkpoint};
  for (std::size_t colon = argument.find(':'); !is_file && colon != std::string::npos;
       colon = argument.find(':', colon + 1)) {
    const std::string path = argument.substr(0, colon);
    const bool is_whole = path.ends_with(kSafetensors);
    if (!is_whole && !(std::filesystem::exists(path, error) && is_checkpoint(path))) continue;
    if (colon + 1 == argument.size()) input_error("{}: the name of the tensor behind ':' is empty", argument);
    return {path, argument.substr(colon + 1), is_whole ? MatrixFileKind::safetensors : MatrixFileKind::checkpoint};
  }
  if (argument.ends_with(kNpy)) return {argument, "", MatrixFileKind::npy};
  if (argument.ends_with(kSafetensors)) return {argument, "", MatrixFileKind::safetensors};
  input_error("{}: unknown kind of file; allowed: FILE.npy, FILE.safetensors, FILE.safetensors:TENSOR", argument);
}

MatrixFileKind output_kind(const std::string& option, const std::string& path) {
  if (path.ends_with(kNpy)) return MatrixFileKind::npy;
  if (path.ends_with(kSafetensors)) return MatrixFileKind::safetensors;
  input_error("{} {}: unknown kind of file; allowed: FILE.npy, FILE.safetensors", option, path);
}

std::optional<Dtype> matrix_dtype(const SafetensorsDtype& dtype) {
  for (const auto& [name, value] : kMatrixDtypes)
    if (name == dtype.name) return value;
  return std::nullopt;
}

std::optional<MatrixShape> matrix_shape(const SafetensorsEntry& entry) {
  const std::span<const std::int64_t> shape = entry.shape;
  if (shape.size() < 2) return std::nullopt;
  const std::size_t leading = shape.size() - 2;
  if (std::ranges::any_of(shape.first(leading), [](std::int64_t extent) { return extent != 1; })) return std::nullopt;
  return MatrixShape{shape[leading], shape[leading + 1]};
}

Tensor tensor_in(const std::shared_ptr<const SafetensorsFile>& file, const SafetensorsEntry& entry) {
  const std::optional<Dtype> dtype = matrix_dtype(*entry.dtype);
  const std::optional<MatrixShape> shape = matrix_shape(entry);
  ensure(dtype && shape, "{}: a tensor of {} {} taken as a matrix", file->path(), entry.dtype->name,
         shape_text(entry.shape));
  const std::span<const std::byte> bytes = file->bytes(entry);
  const std::shared_ptr<const void> pages(bytes.data(), [file, bytes](const void*) { file->release(bytes); });
  return aligned(bytes.data(), *dtype, shape->rows, shape->cols, pages);
}

Tensor tensor_in(const std::shared_ptr<const NpyFile>& file) {
  if (file->layout().is_plain()) return aligned(file->data(), file->dtype(), file->rows(), file->cols(), file);
  const auto copy = std::make_shared<const Matrix>(file->matrix());
  return {copy->view(), copy};
}

std::vector<std::string> matrix_names(const SafetensorsFile& file) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : file.tensors())
    if (left_out_reason(name, entry).empty()) names.push_back(name);
  return names;
}

std::string left_out_reason(const std::string& name, const SafetensorsEntry& entry) {
  if (const std::string_view kind = companion_kind(name); !kind.empty() && entry.shape.size() > 1)
    return std::string(kind);
  const std::string_view dtype = entry.dtype->name;
  if (dtype.starts_with("F8") || dtype.starts_with("F6") || dtype == "F4")
    return fmt::format("{}: quantised already", dtype);
  if (dtype.starts_with("U") || dtype.starts_with("I")) return fmt::format("{}: packed codes, or integers", dtype);
  if (!matrix_dtype(*entry.dtype)) return fmt::format("{}: neither BF16, F16 nor F32", dtype);
  if (!matrix_shape(entry))
    return fmt::format("{} dimension{}", entry.shape.size(), entry.shape.size() == 1 ? "" : "s");
  return "";
}

const std::pair<const std::string, SafetensorsEntry>& matrix_entry(const SafetensorsFile& file,
                                                                   const std::string& name) {
  const std::vector<std::string> matrices = matrix_names(file);
  if (name.empty()) {
    if (matrices.size() == 1) return *file.tensors().find(matrices.front());
    input_error("{}: {}{}", file.path(),
                matrices.empty() ? "no tensor with two dimensions of BF16, F16 or F32" + besides_companions(file)
                                 : fmt::format("{} matrices; choose one with {}:NAME", matrices.size(), file.path()),
                what_is_there(file));
  }
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) {
    std::vector<std::string> names;
    for (const auto& [candidate, entry] : file.tensors()) names.push_back(candidate);
    input_error("{}: no tensor '{}'{}{}", file.path(), name, did_you_mean(name, names), what_is_there(file));
  }
  const SafetensorsEntry& entry = found->second;
  if (!matrix_dtype(*entry.dtype))
    input_error("{}: tensor '{}' has dtype {}; allowed: BF16, F16, F32", file.path(), name, entry.dtype->name);
  if (!matrix_shape(entry))
    input_error("{}: tensor '{}' has shape {}; expected two sizes, rows and columns", file.path(), name,
                shape_text(entry.shape));
  return *found;
}

void for_row_chunks(const SafetensorsFile& file, const SafetensorsEntry& entry,
                    const std::function<void(MatrixView, std::int64_t)>& take) {
  const std::optional<Dtype> dtype = matrix_dtype(*entry.dtype);
  const std::optional<MatrixShape> shape = matrix_shape(entry);
  ensure(dtype && shape, "{}: a tensor of {} {} taken as a matrix", file.path(), entry.dtype->name,
         shape_text(entry.shape));
  const auto [rows, cols] = *shape;
  if (rows == 0 || cols == 0) return;
  const std::span<const std::byte> bytes = file.bytes(entry);
  const std::size_t row_bytes = bytes.size() / static_cast<std::size_t>(rows);
  const std::int64_t step = std::max<std::int64_t>(1, static_cast<std::int64_t>(kChunkBytes / row_bytes));
  for (std::int64_t row = 0; row < rows; row += step) {
    const std::int64_t count = std::min(step, rows - row);
    const auto chunk =
        bytes.subspan(static_cast<std::size_t>(row) * row_bytes, static_cast<std::size_t>(count) * row_bytes);
    const Tensor part = aligned(chunk.data(), *dtype, count, cols, std::shared_ptr<const void>());
    take(part.view, row);
    file.release(chunk);
  }
}

void require_finite(const std::string& what, MatrixView matrix) {
  if (const auto bad = numerics::find_nonfinite(matrix))
    input_error("{} has {} at [{}, {}]; --allow-nonfinite goes on and propagates NaN", what,
                name_of_nonfinite(bad->value), bad->row, bad->col);
}

void require_all_finite(const std::string& what, MatrixView rows, std::int64_t first_row) {
  if (const auto bad = numerics::find_nonfinite(rows))
    input_error("{} has {} at [{}, {}]", what, name_of_nonfinite(bad->value), first_row + bad->row, bad->col);
}

}  // namespace oscsim
