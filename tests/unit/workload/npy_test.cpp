// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/npy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;
using numerics::MatrixView;

// Magic, version, header length and header put together.
std::string npy_of(const std::string& header, const std::string& data = "", int version = 1) {
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return text + header + data;
}

std::string header_of(const std::string& descr, const std::string& shape, const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

std::string error_of_npy(const std::string& content, const NpyOptions& options = {}) {
  const ScratchFile file(".npy", content);
  return error_of([&] { NpyFile reader(file.path(), options); }, file.path());
}

std::string error_of_header(const std::string& header) {
  return error_of_npy(npy_of(header));
}

const std::string kSixFloats(24, '\x3F');

TEST(Npy, ReadsEveryVersionAndType) {
  for (const int version : {1, 2, 3}) {
    const ScratchFile file(".npy", npy_of(header_of("<f4", "(2, 3)"), kSixFloats, version));
    const NpyFile npy(file.path());
    EXPECT_EQ(npy.dtype(), Dtype::fp32);
    EXPECT_EQ(npy.rows(), 2);
    EXPECT_EQ(npy.cols(), 3);
    EXPECT_EQ(std::memcmp(npy.data(), kSixFloats.data(), kSixFloats.size()), 0);
  }
  const ScratchFile half(".npy", npy_of(header_of("<f2", "(3, 2)"), kSixFloats.substr(12)));
  EXPECT_EQ(NpyFile(half.path()).dtype(), Dtype::fp16);
  for (const char* descr : {"<V2", "|V2"}) {
    const ScratchFile file(".npy", npy_of(header_of(descr, "(3, 2)"), kSixFloats.substr(12)));
    EXPECT_EQ(NpyFile(file.path(), {.void_is_bf16 = true}).dtype(), Dtype::bf16);
  }
}

TEST(Npy, TakesAnyOrderOfKeysAndEitherQuote) {
  const std::string header = R"({"shape":(2,3,),"fortran_order":False,"descr":"<f4"})";
  EXPECT_EQ(error_of_npy(npy_of(header, kSixFloats)), "");
}

TEST(Npy, EmptyMatricesHaveNoData) {
  EXPECT_EQ(error_of_npy(npy_of(header_of("<f4", "(0, 64)"))), "");
  EXPECT_EQ(error_of_npy(npy_of(header_of("<f4", "(64, 0)"))), "");
}

TEST(Npy, EveryTruncationIsRefused) {
  const std::string whole = npy_of(header_of("<f4", "(2, 3)"), kSixFloats);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string error = error_of_npy(whole.substr(0, size));
    EXPECT_EQ(error.find(size < 1 ? "FILE: no .npy file: " : "FILE: truncated: "), 0U) << size << ": " << error;
  }
  EXPECT_EQ(error_of_npy(whole.substr(0, 7)),
            "FILE: truncated: the file has 7 bytes, 1 are missing to the end of the version");
  EXPECT_EQ(error_of_npy(whole.substr(0, 9)),
            "FILE: truncated: the file has 9 bytes, 1 are missing to the end of the header length");
  EXPECT_EQ(error_of_npy(whole.substr(0, whole.size() - 30)), "FILE: truncated: the file has " +
                                                                  std::to_string(whole.size() - 30) +
                                                                  " bytes, 6 are missing to the end of the header");
  EXPECT_EQ(error_of_npy(whole.substr(0, whole.size() - 1)),
            "FILE: truncated: shape [2, 3] of '<f4' needs 24 bytes, 1 of them are missing");
  EXPECT_EQ(error_of_npy(whole + "xy"), "FILE: 2 bytes behind the array");
}

TEST(Npy, RefusesWhatIsNoNpyFile) {
  EXPECT_EQ(error_of_npy("PK\x03\x04 an archive"), "FILE: no .npy file: it does not start with '\\x93NUMPY'");
  EXPECT_EQ(error_of_npy(std::string("\x93NUMPY\x04\0\x76\0", 10)),
            "FILE: version 4.0 of the .npy format; allowed: 1.0, 2.0, 3.0");
  EXPECT_EQ(error_of_npy(std::string("\x93NUMPY\x01\x01\x76\0", 10)),
            "FILE: version 1.1 of the .npy format; allowed: 1.0, 2.0, 3.0");
  EXPECT_EQ(error_of_npy(std::string("\x93NUMPY\x02\0\xFF\xFF\xFF\xFF", 12)),
            "FILE: the header length is 4294967295 bytes; allowed: at most 65535");
}

TEST(Npy, RefusesTypesThatAreNoMatrixElementsAndSaysHowToConvert) {
  const auto error = [](const std::string& descr) { return error_of_header(header_of(descr, "(2, 3)")); };
  EXPECT_EQ(error("<i4"), "FILE: descr is '<i4'; allowed: '<f8', '<f4', '<f2', and the same with '>'");
  EXPECT_EQ(error(""), "FILE: descr is ''; allowed: '<f8', '<f4', '<f2', and the same with '>'");
  EXPECT_EQ(error("|f4"), "FILE: descr is '|f4'; allowed: '<f8', '<f4', '<f2', and the same with '>'");
  EXPECT_EQ(error("<f16"), "FILE: descr is '<f16'; allowed: '<f8', '<f4', '<f2', and the same with '>'");
  EXPECT_EQ(error("|V2"),
            "FILE: descr is '|V2'; allowed: '<f8', '<f4', '<f2', and the same with '>'\n"
            "  BF16 of ml_dtypes is saved so: --npy-bf16 says that it is");
  EXPECT_EQ(error_of_header("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2, 3)}"),
            "FILE: descr is a list: records have several fields; expected one type, such as '<f4'");
}

TEST(Npy, RefusesOtherShapes) {
  const auto error = [](const std::string& shape) { return error_of_header(header_of("<f4", shape)); };
  EXPECT_EQ(error("()"), "FILE: shape is []; expected two sizes, rows and columns");
  EXPECT_EQ(error("(2, 1, 3)"),
            "FILE: shape is [2, 1, 3]; expected two sizes, rows and columns\n"
            "  a stack of matrices: save one, a[0], or all rows, a.reshape(-1, a.shape[-1])");
  EXPECT_EQ(error("(-2, 3)"), "FILE: shape has a negative size: '-2, 3), }?'");
  EXPECT_EQ(error("(9223372036854775808, 3)"), "FILE: shape has a size that does not fit in 63 bits");
  EXPECT_EQ(error("(4294967296, 4294967296)"),
            "FILE: shape [4294967296, 4294967296] overflows: its bytes do not fit in 63 bits");
  EXPECT_EQ(error("(0, 9223372036854775807)"),
            "FILE: shape [0, 9223372036854775807] overflows: its bytes do not fit in 63 bits");
}

TEST(Npy, RefusesBrokenHeaders) {
  const std::string descr = "'descr': '<f4'";
  const std::string order = "'fortran_order': False";
  const std::string shape = "'shape': (2, 3)";
  EXPECT_EQ(error_of_header(""), "FILE: header, byte 0: expected '{', found its end");
  EXPECT_EQ(error_of_header("[]"), "FILE: header, byte 0: expected '{', found '[]'");
  EXPECT_EQ(error_of_header("{" + descr), "FILE: header, byte 15: expected ',', found its end");
  EXPECT_EQ(error_of_header("{'descr"), "FILE: header, byte 1: expected a key in quotes, found ''descr'");
  EXPECT_EQ(error_of_header("{" + descr + "," + order + "}"), "FILE: missing key 'shape' in the header");
  EXPECT_EQ(error_of_header("{" + descr + "," + shape + "}"), "FILE: missing key 'fortran_order' in the header");
  EXPECT_EQ(error_of_header("{" + order + "," + shape + "}"), "FILE: missing key 'descr' in the header");
  EXPECT_EQ(error_of_header("{" + shape + "," + shape + "}"), "FILE: duplicate key 'shape' in the header");
  EXPECT_EQ(error_of_header("{" + descr + ",'shap': (2, 3)}"),
            "FILE: unknown key 'shap' in the header; allowed: descr, fortran_order, shape; did you mean 'shape'?");
  EXPECT_EQ(error_of_header("{'fortran_order': 0}"),
            "FILE: header, byte 18: expected fortran_order as True or False, found '0}'");
  EXPECT_EQ(error_of_header("{'shape': ((2, 3), 4)}"),
            "FILE: header, byte 11: expected an integer of shape, found '(2, 3), 4)}'");
  EXPECT_EQ(error_of_header("{" + descr + "," + order + "," + shape + "} more"),
            "FILE: header, byte 56: expected the end of the header, found 'more'");
  EXPECT_EQ(error_of_header("{'shape': " + std::string(60000, '(')).size(), 104U);  // no recursion
  EXPECT_EQ(error_of_header(std::string("{'de\x01\xFF\0r': 1}", 12)),
            "FILE: unknown key 'de???r' in the header; allowed: descr, fortran_order, shape");
}

TEST(Npy, WritesWhatNumpySaves) {
  Matrix matrix(Dtype::fp32, 1, 2);
  matrix.row_f32(0)[0] = 1;
  matrix.row_f32(0)[1] = -2;
  const ScratchFile file(".npy");
  write_npy(file.path(), matrix.view());
  std::string expected("\x93NUMPY\x01\0\x76\0", 10);
  expected += "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
  expected += std::string(127 - expected.size(), ' ') + "\n";
  expected += std::string("\0\0\x80\x3F\0\0\0\xC0", 8);
  EXPECT_EQ(file.read(), expected);
}

TEST(Npy, WhatIsWrittenIsReadBack) {
  for (const auto& [rows, cols] : {std::pair<int, int>{0, 5}, {1, 1}, {17, 33}}) {
    Matrix matrix(Dtype::fp32, rows, cols);
    for (int row = 0; row < rows; ++row)
      for (int col = 0; col < cols; ++col) matrix.row_f32(row)[static_cast<std::size_t>(col)] = 0.1F * float(row - col);
    const ScratchFile file(".npy");
    write_npy(file.path(), matrix.view());
    const NpyFile npy(file.path());
    EXPECT_EQ(npy.rows(), rows);
    EXPECT_EQ(npy.cols(), cols);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(npy.data()) % 64, 0U);
    if (rows > 0) {
      EXPECT_EQ(std::memcmp(npy.data(), matrix.data(), static_cast<std::size_t>(rows * cols) * 4), 0);
    }
  }
}

TEST(Npy, FailedWriteLeavesTheOldFile) {
  Matrix matrix(Dtype::fp32, 1, 1);
  matrix.row_f32(0)[0] = 0;
  EXPECT_EQ(error_of([&] { write_npy("/nowhere/y.npy", matrix.view()); }),
            "/nowhere/y.npy: cannot be written: there is no folder '/nowhere'");
}

}  // namespace
}  // namespace oscsim
