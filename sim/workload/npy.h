// SPDX-License-Identifier: Apache-2.0
// Files in NumPy's .npy format, versions 1.0 to 3.0 (NEP 1; numpy.lib.format): one matrix of FP64, FP32, FP16 or BF16
// in either order of bytes and of elements. Read through a mapping; everything is checked before it is believed. Debian
// has no C++ library for the format.
//
// An array of one dimension is one row. Leading dimensions of size 1, as a batch of one has, are dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "models/numerics/matrix.h"
#include "sim/workload/mapped_file.h"

namespace oscsim {

struct NpyOptions {
  // NumPy has no BF16: ml_dtypes saves it as elements of two bytes without a meaning ('V2').
  bool void_is_bf16 = false;
};

// The matrix that a file's header describes.
struct NpyLayout {
  std::size_t data_begin = 0;  // byte of the file at which the elements start; they end where it ends
  numerics::Dtype dtype{};     // that the matrix gets: FP32 of an FP64 file
  std::int64_t rows = 0, cols = 0;
  std::size_t element_bytes = 0;  // in the file
  bool is_big_endian = false;
  bool is_column_major = false;  // NumPy's Fortran order, which the transpose of a matrix is saved in

  bool is_double() const { return element_bytes == sizeof(double); }
  // The file's bytes are those of the matrix.
  bool is_plain() const { return !is_big_endian && !is_column_major && !is_double(); }
};

// `file` holds all bytes of the file called `path`; only the header is read. InputError with file, field, what was
// found and what is allowed, for anything that is no matrix of 'f8', 'f4' or 'f2' ('V2' by option).
NpyLayout read_npy_header(const std::string& path, std::span<const std::byte> file, const NpyOptions& options = {});

// The file's elements as a matrix. FP64 is rounded to the nearest FP32, ties to even; InputError with the position of a
// value that FP32 has no room for.
numerics::Matrix npy_matrix(const std::string& path, std::span<const std::byte> file, const NpyLayout& layout);

class NpyFile {
 public:
  // InputError as of read_npy_header, and for a file that cannot be mapped.
  explicit NpyFile(const std::string& path, const NpyOptions& options = {});

  const NpyLayout& layout() const { return layout_; }
  // Of a plain file. Aligned to nothing more than the file happens to give.
  const std::byte* data() const { return file_.bytes().data() + layout_.data_begin; }
  // Of any file; a copy.
  numerics::Matrix matrix() const { return npy_matrix(path_, file_.bytes(), layout_); }
  numerics::Dtype dtype() const { return layout_.dtype; }
  std::int64_t rows() const { return layout_.rows; }
  std::int64_t cols() const { return layout_.cols; }

 private:
  std::string path_;
  MappedFile file_;
  NpyLayout layout_;
};

// Writes an FP32 matrix as version 1.0, its data 64-byte aligned, byte for byte as numpy.save does. The file appears
// whole or not at all.
void write_npy(const std::string& path, numerics::MatrixView matrix);

}  // namespace oscsim
