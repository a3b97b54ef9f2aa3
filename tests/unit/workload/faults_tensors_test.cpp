// SPDX-License-Identifier: Apache-2.0
// Tensor files that were refused or misread once.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "sim/workload/checkpoint.h"
#include "sim/workload/json_text.h"
#include "sim/workload/matrix_file.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using numerics::Dtype;

std::string little_endian_bytes(std::uint64_t value, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

std::string file_of(const std::string& header, const std::string& data) {
  return little_endian_bytes(header.size(), 8) + header + data;
}

std::string reading(const std::string& content) {
  const ScratchFile file(".safetensors", content);
  return error_of([&] { SafetensorsFile reader(file.path()); }, file.path());
}

constexpr const char* kRecord = R"("a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]})";

std::string header(const std::string& in_front = "", const std::string& behind = "") {
  return in_front + "{" + kRecord + "}" + behind;
}

// ------ B4

TEST(FaultB4, NothingStandsBehindTheHeadersValue) {
  EXPECT_EQ(reading(file_of(header("", std::string("\0{\"x\":1}", 8)), "abcd")),
            "FILE: header:1:58: not valid JSON: a NUL byte behind the value");
  EXPECT_EQ(reading(file_of(header("", std::string(1, '\0')), "abcd")),
            "FILE: header:1:58: not valid JSON: a NUL byte behind the value");
  EXPECT_EQ(reading(file_of(header("", "  \n\t\r "), "abcd")), "") << "blanks are padding";
}

TEST(FaultB4, VariantIndexAndAnyOtherJson) {
  const std::string index = R"({"weight_map":{"a":"x.safetensors"}})";
  EXPECT_EQ(error_of([&] { read_weight_map("FILE", index + "\n" + std::string(1, '\0') + "[]"); }),
            "FILE:2:1: not valid JSON: a NUL byte behind the value");
  EXPECT_EQ(error_of([&] { parse_json(index + std::string(2, '\0'), "FILE"); }),
            "FILE:1:37: not valid JSON: a NUL byte behind the value");
  EXPECT_NE(error_of([&] { parse_json(std::string("{\"a\":1\0}", 8), "FILE"); }), "") << "inside the value";
  EXPECT_NE(error_of([&] { parse_json(index + " {}", "FILE"); }), "");
  EXPECT_EQ(parse_json(R"("\u0000")", "FILE").get<std::string>().size(), 1U) << "an escaped one is a character";
}

// ------ C3: what the reference implementation (safetensors 0.8.0) reads

TEST(FaultC3, TypesThatAreNotUsedDoNotMakeAFileUnreadable) {
  for (const char* dtype : {"F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "U8"}) {
    const std::string text =
        fmt::format(R"({{{},"b":{{"dtype":"{}","shape":[3],"data_offsets":[4,7]}}}})", kRecord, dtype);
    const ScratchFile file(".safetensors", file_of(text, "abcdefg"));
    const auto reader = std::make_shared<const SafetensorsFile>(file.path());
    EXPECT_STREQ(reader->tensors().at("b").dtype->name, dtype);
    EXPECT_EQ(tensor_in(reader, matrix_entry(*reader, "").second).view.at(0, 1), std::bit_cast<float>(0x64630000));
  }
  EXPECT_EQ(safetensors_dtype("C64")->bits, 64);
  EXPECT_EQ(safetensors_dtype("F8_E4M3FNUZ")->bits, 8);
}

TEST(FaultC3, BlanksNullMetadataAndFurtherKeysAreRead) {
  EXPECT_EQ(reading(file_of(header(" "), "abcd")), "");
  EXPECT_EQ(reading(file_of(header("\n\t\r "), "abcd")), "");
  EXPECT_EQ(reading(file_of(std::string(R"({"__metadata__":null,)") + kRecord + "}", "abcd")), "");
  EXPECT_EQ(reading(file_of(R"({"a":{"dtype":"BF16","x":1,"shape":[1,2],"data_offsets":[0,4]}})", "abcd")), "");
}

TEST(FaultC3, VariantOtherLeniencyOfTheReference) {
  const std::string nested = R"("x":{"y":[1,{"z":[[null]]}]})";
  EXPECT_EQ(reading(file_of(R"({"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4],)" + nested + "}}", "abcd")),
            "");
  EXPECT_EQ(reading(file_of(R"({"__metadata__":null})", "")), "") << "no tensors at all";
  // And what it refuses.
  EXPECT_EQ(reading(file_of(header("\v"), "abcd")), "FILE: no safetensors file: the header does not start with '{'");
  EXPECT_EQ(reading(file_of(R"({"__metadata__":[],"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}})", "abcd")),
            "FILE: __metadata__ is a list; expected an object");
  EXPECT_NE(reading(file_of(R"({"a":{"dtype":"F99","shape":[1,2],"data_offsets":[0,4]}})", "abcd")), "");
}

// ------ C4

std::string npy(const std::string& descr, const std::string& shape, const std::string& data, bool fortran = false) {
  const std::string text =
      "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }\n";
  return std::string("\x93NUMPY\x01\0", 8) + little_endian_bytes(text.size(), 2) + text + data;
}

// Elements as the file has them, from their values.
std::string elements(const std::string& descr, std::initializer_list<double> values) {
  std::string data;
  for (const double value : values) {
    const bool is_double = descr.ends_with("8");
    std::string bytes = is_double ? little_endian_bytes(std::bit_cast<std::uint64_t>(value), 8)
                                  : little_endian_bytes(std::bit_cast<std::uint32_t>(static_cast<float>(value)), 4);
    if (descr.starts_with(">")) std::ranges::reverse(bytes);
    data += bytes;
  }
  return data;
}

std::vector<std::vector<float>> rows_of_npy(const std::string& content) {
  const ScratchFile file(".npy", content);
  const Tensor tensor = tensor_in(std::make_shared<const NpyFile>(file.path()));
  std::vector<std::vector<float>> rows;
  for (std::int64_t row = 0; row < tensor.view.rows(); ++row) {
    rows.emplace_back();
    for (std::int64_t col = 0; col < tensor.view.cols(); ++col) rows.back().push_back(tensor.view.at(row, col));
  }
  return rows;
}

TEST(FaultC4, AnyOrderOfBytesAndOfElementsIsTheSameMatrix) {
  const std::vector<std::vector<float>> wanted{{1, 2, 3}, {-4, 5, 1e-3F}};
  for (const char* descr : {"<f4", ">f4", "<f8", ">f8"}) {
    const bool is_double = descr[2] == '8';
    const double last = is_double ? 1e-3 : static_cast<double>(1e-3F);
    EXPECT_EQ(rows_of_npy(npy(descr, "(2, 3)", elements(descr, {1, 2, 3, -4, 5, last}))), wanted) << descr;
    EXPECT_EQ(rows_of_npy(npy(descr, "(2, 3)", elements(descr, {1, -4, 2, 5, 3, last}), true)), wanted) << descr;
  }
}

TEST(FaultC4, AVectorIsOneRowAndABatchOfOneIsItsMatrix) {
  const std::string six = elements("<f4", {1, 2, 3, 4, 5, 6});
  const std::vector<std::vector<float>> row{{1, 2, 3, 4, 5, 6}};
  const std::vector<std::vector<float>> matrix{{1, 2, 3}, {4, 5, 6}};
  EXPECT_EQ(rows_of_npy(npy("<f4", "(6,)", six)), row);
  EXPECT_EQ(rows_of_npy(npy("<f4", "(1, 2, 3)", six)), matrix);
  const std::vector<std::vector<float>> columns{{1, 3, 5}, {2, 4, 6}};
  EXPECT_EQ(rows_of_npy(npy("<f4", "(1, 2, 3)", six, true)), columns);
}

TEST(FaultC4, VariantHalvesFurtherLeadingOnesAndWhatFp32CannotHold) {
  const std::string halves = std::string("\x3C\x00\xC0\x00\x7B\xFF\x00\x01", 8);  // 1, -2, 65504, 2^-24
  const std::vector<std::vector<float>> wanted{{1, -2}, {65504, 0x1p-24F}};
  EXPECT_EQ(rows_of_npy(npy(">f2", "(1, 1, 2, 2)", halves)), wanted);
  // Ties to even, subnormals, and a zero that keeps its sign.
  const std::vector<std::vector<float>> rounded{{1, 0x1.000004p0F, 0x1p-149F, -0.0F}};
  const auto found =
      rows_of_npy(npy("<f8", "(4,)", elements("<f8", {1 + 0x1p-24, 1 + 0x1.8p-23, 0x1.8p-150, -0x1p-151})));
  EXPECT_EQ(found, rounded);
  EXPECT_TRUE(std::signbit(found[0][3]));
  const ScratchFile file(".npy", npy("<f8", "(2, 2)", elements("<f8", {1, 2, 3.5e38, 4}), true));
  EXPECT_EQ(error_of([&] { tensor_in(std::make_shared<const NpyFile>(file.path())); }, file.path()),
            "FILE: 3.5e+38 at [0, 1] is beyond the largest FP32, 3.40282347e+38");
}

TEST(FaultC4, VariantTensorsWithABatchOfOne) {
  const std::string text = R"({"x":{"dtype":"F32","shape":[1,2,1],"data_offsets":[0,8]},)"
                           R"("y":{"dtype":"F32","shape":[2,1,1],"data_offsets":[8,16]}})";
  const ScratchFile file(".safetensors", file_of(text, elements("<f4", {1, 2, 3, 4})));
  const auto reader = std::make_shared<const SafetensorsFile>(file.path());
  EXPECT_EQ(matrix_names(*reader), std::vector<std::string>{"x"});
  const Tensor tensor = tensor_in(reader, matrix_entry(*reader, "x").second);
  EXPECT_EQ(tensor.view.rows(), 2);
  EXPECT_EQ(tensor.view.at(1, 0), 2);
  EXPECT_EQ(error_of([&] { matrix_entry(*reader, "y"); }, file.path()),
            "FILE: tensor 'y' has shape [2, 1, 1]; expected two sizes, rows and columns");
}

}  // namespace
}  // namespace oscsim
