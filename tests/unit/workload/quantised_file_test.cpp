// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/quantised_file.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "sim/workload/format_words.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using numerics::FormatId;
using numerics::FormatInfo;
using numerics::Matrix;
using numerics::QuantisedMatrix;

// Values of both signs over several binades; the same for the same place.
QuantisedMatrix sample(FormatId format, std::int64_t rows, std::int64_t k) {
  Matrix matrix(numerics::Dtype::fp32, rows, k);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < k; ++col)
      matrix.row_f32(row)[static_cast<std::size_t>(col)] =
          std::ldexp(static_cast<float>((row * 31 + col * 17) % 23 - 11), static_cast<int>(col % 5) - 2);
  return numerics::quantise(format, matrix.view(), {});
}

// Overrides let a test break one part of the file.
struct Parts {
  std::map<std::string, std::string> metadata{};
  std::map<std::string, SafetensorsSpec> specs{};
  std::string left_out{};
};

void write(const std::string& path, const std::string& name, const QuantisedMatrix& matrix, const Parts& parts = {}) {
  QuantisedFileSpec spec({.format = matrix.format, .options = {}, .version = "1.2.3", .source = "x.npy"});
  spec.add(name, matrix.rows, matrix.k);
  std::map<std::string, std::string> metadata = spec.metadata();
  for (const auto& [key, value] : parts.metadata) metadata[key] = value;
  if (!parts.left_out.empty()) metadata.erase(parts.left_out);
  std::vector<SafetensorsSpec> specs = spec.tensors();
  for (SafetensorsSpec& tensor : specs)
    if (const auto found = parts.specs.find(tensor.name); found != parts.specs.end()) tensor = found->second;
  write_safetensors(path, specs, metadata, [&](SafetensorsBody& body) {
    std::vector<float> decoded(static_cast<std::size_t>(matrix.rows * matrix.k));
    body.append(std::as_bytes(std::span(decoded)));
    append_quantised(body, matrix);
  });
}

std::string error_of_quantised(const ScratchFile& file, const std::string& name = "") {
  return error_of([&] { read_quantised(SafetensorsFile(file.path()), name); }, file.path());
}

TEST(QuantisedFile, EveryFormatComesBackBitForBit) {
  for (const FormatInfo& info : numerics::formats())
    for (const auto& [rows, k] : {std::pair<int, int>{3, 128}, {2, 77}, {1, 1}, {0, 40}}) {
      SCOPED_TRACE(fmt::format("{} [{}, {}]", info.name, rows, k));
      const QuantisedMatrix matrix = sample(info.id, rows, k);
      const ScratchFile file(".safetensors");
      write(file.path(), "", matrix);
      const SafetensorsFile reader(file.path());
      ASSERT_TRUE(holds_quantised(reader));
      EXPECT_EQ(quantised_format(reader), info.id);
      const QuantisedMatrix back = read_quantised(reader, "");
      EXPECT_EQ(back.rows, rows);
      EXPECT_EQ(back.k, k);
      EXPECT_EQ(back.codes, matrix.codes);
      EXPECT_EQ(back.block_scale, matrix.block_scale);
      ASSERT_EQ(back.outer_scale.size(), matrix.outer_scale.size());
      for (std::size_t i = 0; i < matrix.outer_scale.size(); ++i)
        EXPECT_EQ(std::bit_cast<std::uint32_t>(back.outer_scale[i]),
                  std::bit_cast<std::uint32_t>(matrix.outer_scale[i]));
    }
}

struct Layout {
  FormatId format;
  const char* codes;   // dtype and shape for [3, 77]
  const char* scales;  // empty: none
  const char* outer;
};

TEST(QuantisedFile, DtypesAreThoseOfTheElementWhereTheyExist) {
  const Layout layouts[] = {{FormatId::mxfp4, "F4 [3, 78]", "F8_E8M0 [3, 3]", ""},
                            {FormatId::mxfp8, "F8_E4M3 [3, 77]", "F8_E8M0 [3, 3]", ""},
                            {FormatId::mxfp8_e5m2, "F8_E5M2 [3, 77]", "F8_E8M0 [3, 3]", ""},
                            {FormatId::mxint8, "I8 [3, 77]", "F8_E8M0 [3, 3]", ""},
                            {FormatId::mx_e1m2, "U8 [3, 48]", "F8_E8M0 [3, 3]", ""},
                            {FormatId::nvfp4, "F4 [3, 78]", "F8_E4M3 [3, 5]", "F32 [1]"},
                            {FormatId::nvfp4_single, "F4 [3, 78]", "F8_E4M3 [3, 5]", ""},
                            {FormatId::hif4, "U8 [3, 64]", "U8 [3, 2, 4]", ""},
                            {FormatId::amxfp4, "F4 [3, 78]", "F8_E5M2 [3, 3, 2]", ""},
                            {FormatId::int8, "I8 [3, 77]", "", "F32 [3]"},
                            {FormatId::int4, "U8 [3, 39]", "", "F32 [3]"},
                            {FormatId::int4_asym, "U8 [3, 64]", "U8 [3, 1, 3]", ""},
                            {FormatId::fp8, "F8_E4M3 [3, 77]", "", "F32 [3]"},
                            {FormatId::fp8_e5m2, "F8_E5M2 [3, 77]", "", "F32 [3]"},
                            {FormatId::fp8_tensor, "F8_E4M3 [3, 77]", "", "F32 [1]"},
                            {FormatId::fp8_e5m2_tensor, "F8_E5M2 [3, 77]", "", "F32 [1]"},
                            {FormatId::bf16, "BF16 [3, 77]", "", ""},
                            {FormatId::fp16, "F16 [3, 77]", "", ""}};
  EXPECT_EQ(std::size(layouts), numerics::formats().size());
  for (const Layout& layout : layouts) {
    SCOPED_TRACE(name_of(layout.format));
    const ScratchFile file(".safetensors");
    write(file.path(), "w", sample(layout.format, 3, 77));
    const SafetensorsFile reader(file.path());
    const auto shown = [&](const std::string& name) -> std::string {
      const auto found = reader.tensors().find(name);
      if (found == reader.tensors().end()) return "";
      return fmt::format("{} {}", found->second.dtype->name, shape_text(found->second.shape));
    };
    EXPECT_EQ(shown("w.decoded"), "F32 [3, 77]");
    EXPECT_EQ(shown("w.codes"), layout.codes);
    EXPECT_EQ(shown("w.scales"), layout.scales);
    EXPECT_EQ(shown("w.outer_scale"), layout.outer);
  }
}

TEST(QuantisedFile, MetadataSayHowToReadIt) {
  const ScratchFile file(".safetensors");
  write(file.path(), "w", sample(FormatId::mxfp4, 3, 77));
  const std::map<std::string, std::string> expected{
      {"oscsim_quantised", "1"},
      {"format", "mxfp4"},
      {"layout",
       "codes: E2M1: sign bit 3, exponent bits 2-1, mantissa bit 0; bias 1, two in a byte, element 0 in the low "
       "nibble; "
       "scales, for each 32 elements of a row: E8M0: a byte with an exponent, bias 127; 2^-127 to 2^127, NaN 0xff"},
      {"rounding", "nearest_even"},
      {"scale_rule", "floor"},
      {"source", "x.npy"},
      {"version", "1.2.3"},
      {"w.k", "77"},
      {"w.padding_columns", "1"}};
  EXPECT_EQ(SafetensorsFile(file.path()).metadata(), expected);
}

TEST(QuantisedFile, OneOfSeveralOperandsIsChosenByName) {
  const QuantisedMatrix first = sample(FormatId::mxfp8, 2, 40);
  const QuantisedMatrix second = sample(FormatId::mxfp8, 3, 64);
  const ScratchFile file(".safetensors");
  QuantisedFileSpec spec({.format = FormatId::mxfp8, .options = {}, .version = "", .source = ""});
  spec.add("first", 2, 40);
  spec.add("second", 3, 64);
  write_safetensors(file.path(), spec.tensors(), spec.metadata(), [&](SafetensorsBody& body) {
    for (const QuantisedMatrix* matrix : {&first, &second}) {
      body.append(std::vector<std::byte>(static_cast<std::size_t>(matrix->rows * matrix->k) * 4));
      append_quantised(body, *matrix);
    }
  });
  EXPECT_EQ(read_quantised(SafetensorsFile(file.path()), "second").codes, second.codes);
  EXPECT_EQ(error_of_quantised(file),
            "FILE: 2 quantised operands; choose one with FILE:NAME\n  operands: first, second");
  EXPECT_EQ(error_of_quantised(file, "frist"),
            "FILE: no quantised operand 'frist'\n  operands: first, second; did you mean 'first'?");
}

TEST(QuantisedFile, WhatDoesNotFitIsRefused) {
  const QuantisedMatrix matrix = sample(FormatId::mxfp4, 2, 64);
  const ScratchFile file(".safetensors");
  const auto error = [&](const Parts& parts) {
    write(file.path(), "", matrix, parts);
    return error_of_quantised(file);
  };
  EXPECT_EQ(error({}), "");
  EXPECT_EQ(error({.metadata = {{"format", "mxfp5"}}}).substr(0, 46),
            "FILE: unknown format 'mxfp5' in the metadata\n ");
  EXPECT_EQ(error({.metadata = {{"oscsim_quantised", "2"}}}),
            "FILE: version '2' of the layout of quantised files; this program knows 1");
  EXPECT_EQ(error({.metadata = {{"k", "65"}}}), "FILE: tensor 'codes' is F4 [2, 64]; expected F4 [2, 66]");
  EXPECT_EQ(error({.metadata = {{"k", "9223372036854775807"}}}),
            "FILE: metadata 'k' is 9223372036854775807; allowed: 0 to 1099511627776");
  EXPECT_EQ(error({.metadata = {{"k", "66"}}}), "FILE: tensor 'codes' is F4 [2, 64]; expected F4 [2, 66]");
  EXPECT_EQ(error({.metadata = {{"k", "-64"}}}), "FILE: metadata 'k' is -64; allowed: 0 to 1099511627776");
  EXPECT_EQ(error({.metadata = {{"k", "many"}}}), "FILE: metadata 'k': 'many' is not a number");
  EXPECT_EQ(error({.left_out = "k"}), "FILE: no 'k' in the metadata of a file that oscsim quantised");
  EXPECT_EQ(error({.left_out = "format"}), "FILE: no 'format' in the metadata of a file that oscsim quantised");
  EXPECT_EQ(error({.specs = {{"scales", {"scales", "F8_E4M3", {2, 2}}}}}),
            "FILE: tensor 'scales' is F8_E4M3 [2, 2]; expected F8_E8M0 [2, 2]");
  EXPECT_EQ(error({.specs = {{"scales", {"scale", "F8_E8M0", {2, 2}}}}}),
            "FILE: no tensor 'scales'; expected F8_E8M0 [2, 2]");
  EXPECT_EQ(error({.specs = {{"codes", {"code", "F4", {2, 64}}}}}),
            "FILE: 0 quantised operands; choose one with FILE:NAME\n  operands: none");
}

TEST(QuantisedFile, CodesBehindTheLastColumnMustBeZero) {
  QuantisedMatrix odd = sample(FormatId::mxfp4, 2, 33);
  odd.codes[static_cast<std::size_t>(odd.row_bytes + 16)] |= 0x30;
  const ScratchFile file(".safetensors");
  write(file.path(), "", odd);
  EXPECT_EQ(error_of_quantised(file),
            "FILE: tensor 'codes': code 3 at [1, 33], behind the last of 33 columns, where the code of zero, 0, is "
            "expected");
  QuantisedMatrix asymmetric = sample(FormatId::int4_asym, 1, 100);
  const int zero = asymmetric.scale_of(0, 0)[2];
  ASSERT_GT(zero, 0);
  asymmetric.codes[50] = 0;
  write(file.path(), "", asymmetric);
  EXPECT_EQ(error_of_quantised(file),
            fmt::format("FILE: tensor 'codes': code 0 at [0, 100], behind the last of 100 columns, where the code of "
                        "zero, {}, is expected",
                        zero));
  asymmetric.block_scale[2] = 16;
  write(file.path(), "", asymmetric);
  EXPECT_EQ(error_of_quantised(file),
            "FILE: tensor 'codes': the zero point of block 0 in row 0 is 16; allowed: 0 to 15");
}

TEST(QuantisedFile, NonfiniteElementsAreFoundWithTheirPlace) {
  QuantisedMatrix matrix = sample(FormatId::mxfp4, 3, 64);
  EXPECT_EQ(error_of([&] { require_finite("q", matrix); }), "");
  matrix.block_scale[5] = 0xFF;
  matrix.block_scale[3] = 0xFF;
  EXPECT_EQ(error_of([&] { require_finite("q", matrix); }),
            "q has NaN at [1, 32]; --allow-nonfinite goes on and propagates NaN");
  QuantisedMatrix half = sample(FormatId::fp16, 1, 3);
  half.codes[4] = 0x00;
  half.codes[5] = 0x7C;
  EXPECT_EQ(error_of([&] { require_finite("h", half); }),
            "h has Inf at [0, 2]; --allow-nonfinite goes on and propagates NaN");
}

TEST(FormatWords, NumbersArePowersWhereDigitsWouldHideThem) {
  EXPECT_EQ(number_words(448), "448");
  EXPECT_EQ(number_words(0), "0");
  EXPECT_EQ(number_words(0.25), "0.25");
  EXPECT_EQ(number_words(std::ldexp(1.0, -127)), "2^-127");
  EXPECT_EQ(number_words(-std::ldexp(1.0, 20)), "-2^20");
  EXPECT_EQ(number_words(57344), "57344");
}

}  // namespace
}  // namespace oscsim
