// SPDX-License-Identifier: Apache-2.0
// Matrices out of files that a command line names: FILE.npy, FILE.safetensors or FILE.safetensors:TENSOR; of a
// checkpoint FOLDER or FOLDER:TENSOR, its index or INDEX:TENSOR.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/workload/npy.h"
#include "sim/workload/safetensors.h"
#include "sim/workload/tensors.h"

namespace oscsim {

inline constexpr std::int64_t kMostColumns = std::int64_t{1} << 40;

enum class MatrixFileKind { npy, safetensors, checkpoint };

// "w.safetensors:blocks.0" is the file w.safetensors and its tensor blocks.0, unless a file of that whole name is
// there.
struct MatrixFileName {
  std::string path;
  std::string tensor;  // empty: not given
  MatrixFileKind kind{};
};
// By the name's ending; InputError for another one.
MatrixFileName matrix_file_name(const std::string& argument);
// Of a file to write: no tensor, `path` is the whole argument.
MatrixFileKind output_kind(const std::string& option, const std::string& path);

// BF16, F16 and F32 are matrices to compute with; nothing else is.
std::optional<numerics::Dtype> matrix_dtype(const SafetensorsDtype& dtype);

// Of a tensor with two dimensions, or with further ones of size 1 in front, as a batch of one has; nothing of others.
struct MatrixShape {
  std::int64_t rows = 0, cols = 0;
};
std::optional<MatrixShape> matrix_shape(const SafetensorsEntry& entry);

// A matrix in a mapped file; copied only where the file does not align its elements, or has them otherwise. When the
// tensor goes, its pages are released.
Tensor tensor_in(const std::shared_ptr<const SafetensorsFile>& file, const SafetensorsEntry& entry);
Tensor tensor_in(const std::shared_ptr<const NpyFile>& file);

// The tensor's entry: the one that `name` asks for or, when it is empty, the only one that is a matrix of a dtype
// above. InputError that lists the tensors, with the nearest name.
const std::pair<const std::string, SafetensorsEntry>& matrix_entry(const SafetensorsFile& file,
                                                                   const std::string& name);

// Names of all matrices of a dtype above that are weights or activations (left_out_reason is empty), sorted.
std::vector<std::string> matrix_names(const SafetensorsFile& file);

// Why a tensor is none that a command takes when it takes all of a file: "1 dimension", "FP8: quantised already",
// "scales of a quantised tensor"; empty: it takes it.
std::string left_out_reason(const std::string& name, const SafetensorsEntry& entry);

// Calls `take` with the rows of a matrix, in order, in chunks of some megabytes, each with its first row. Memory holds
// one chunk, whatever the size of the file.
void for_row_chunks(const SafetensorsFile& file, const SafetensorsEntry& entry,
                    const std::function<void(numerics::MatrixView rows, std::int64_t first_row)>& take);

// InputError with `what` in front and the position of the first NaN or infinity.
void require_finite(const std::string& what, numerics::MatrixView matrix);
// The same for commands that have no such option; `rows` starts at row `first_row` of the whole.
void require_all_finite(const std::string& what, numerics::MatrixView rows, std::int64_t first_row);

}  // namespace oscsim
