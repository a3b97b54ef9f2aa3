// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/safetensors.h"

#include <gtest/gtest.h>

#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

// Length, header and data put together.
std::string safetensors_of(const std::string& header, const std::string& data) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return text + header + data;
}

std::string error_of_safetensors(const std::string& content) {
  const ScratchFile file(".safetensors", content);
  return error_of([&] { SafetensorsFile reader(file.path()); }, file.path());
}

const std::string kTwoTensors =
    R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[2,6]}})";

TEST(SafetensorsFile, ReadsTensorsAndMetadata) {
  const ScratchFile file(
      ".safetensors",
      safetensors_of(R"({"__metadata__":{"made":"by hand"},)" + kTwoTensors.substr(1) + "   ", "xyABCD"));
  const SafetensorsFile reader(file.path());
  EXPECT_EQ(reader.metadata().at("made"), "by hand");
  ASSERT_EQ(reader.tensors().size(), 2U);
  const SafetensorsEntry& b = reader.tensors().at("b");
  EXPECT_STREQ(b.dtype->name, "BF16");
  EXPECT_EQ(shape_text(b.shape), "[1, 2]");
  const auto bytes = reader.bytes(b);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "ABCD");
}

TEST(SafetensorsFile, EveryTruncationSaysHowManyBytesAreMissing) {
  const std::string whole = safetensors_of(kTwoTensors, "xyABCD");
  EXPECT_EQ(error_of_safetensors(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::size_t header_end = 8 + kTwoTensors.size();
    const std::size_t part_end = size < 8 ? 8 : size < header_end ? header_end : whole.size();
    const std::string error = error_of_safetensors(whole.substr(0, size));
    EXPECT_NE(error.find("FILE: truncated: "), std::string::npos) << size << ": " << error;
    EXPECT_NE(error.find(fmt::format("{}{}", part_end - size, part_end == header_end ? " of them are missing" : "")),
              std::string::npos)
        << size << ": " << error;
  }
  EXPECT_EQ(error_of_safetensors(whole.substr(0, 5)),
            "FILE: truncated: the file has 5 bytes, 3 are missing to the end of the header length");
  EXPECT_EQ(error_of_safetensors(whole.substr(0, whole.size() - 1)),
            "FILE: truncated: tensor 'b' ends at byte 6 of the data, the file has 5; 1 bytes are missing");
}

TEST(SafetensorsFile, RefusesWhatIsNoSafetensorsFile) {
  EXPECT_EQ(error_of_safetensors(std::string(8, '\xFF')),
            "FILE: no safetensors file: the header length is 18446744073709551615 bytes; allowed: at most 100000000");
  EXPECT_EQ(error_of_safetensors(std::string("\x01\xE1\xF5\x05\0\0\0\0", 8)),
            "FILE: no safetensors file: the header length is 100000001 bytes; allowed: at most 100000000");
  EXPECT_EQ(error_of_safetensors(std::string("\0\xE1\xF5\x05\0\0\0\0{", 9)),
            "FILE: truncated: the header has 100000000 bytes, 99999999 of them are missing");
  EXPECT_EQ(error_of_safetensors(std::string(8, '\0')),
            "FILE: no safetensors file: the header does not start with '{'");
  EXPECT_EQ(error_of_safetensors(safetensors_of("   ", "")),
            "FILE: no safetensors file: the header does not start with '{'");
  EXPECT_EQ(error_of_safetensors(safetensors_of("\xEF\xBB\xBF{}", "")),
            "FILE: no safetensors file: the header does not start with '{'");
  EXPECT_EQ(error_of_safetensors(safetensors_of("[]", "")),
            "FILE: no safetensors file: the header does not start with '{'");
  const std::string broken = error_of_safetensors(safetensors_of(R"({"a":)", ""));
  EXPECT_EQ(broken.find("FILE: header:1:6: not valid JSON: "), 0U) << broken;
  EXPECT_NE(error_of_safetensors(safetensors_of("{\"\xFF\":1}", "")).find("not valid JSON"), std::string::npos);
  EXPECT_NE(error_of_safetensors(safetensors_of(R"({}{})", "")).find("not valid JSON"), std::string::npos);
  EXPECT_EQ(error_of_safetensors(safetensors_of(R"({"a":[[[[)" + std::string(1000, '['), "")),
            "FILE: header: JSON nested more than 128 deep");
}

TEST(SafetensorsFile, RefusesDuplicateKeys) {
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(error_of_safetensors(safetensors_of("{" + a + "," + a + "}", "x")),
            "FILE: header: duplicate key 'a' in the JSON text");
  EXPECT_EQ(error_of_safetensors(
                safetensors_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")),
            "FILE: header: duplicate key 'dtype' in the JSON text");
}

TEST(SafetensorsFile, RefusesHolesOverlapsAndBytesBehindTheEnd) {
  const auto two = [](const char* first, const char* second) {
    return fmt::format(
        R"({{"a":{{"dtype":"U8","shape":[2],"data_offsets":{}}},"b":{{"dtype":"U8","shape":[2],"data_offsets":{}}}}})",
        first, second);
  };
  EXPECT_EQ(error_of_safetensors(safetensors_of(two("[0,2]", "[3,5]"), "01234")),
            "FILE: tensor 'b' starts at byte 3, expected 2: a hole behind 'a'");
  EXPECT_EQ(error_of_safetensors(safetensors_of(two("[0,2]", "[1,3]"), "012")),
            "FILE: tensor 'b' starts at byte 1, expected 2: it overlaps 'a'");
  EXPECT_EQ(error_of_safetensors(safetensors_of(two("[0,2]", "[0,2]"), "01")),
            "FILE: tensor 'b' starts at byte 0, expected 2: it overlaps 'a'");
  EXPECT_EQ(error_of_safetensors(safetensors_of(two("[1,3]", "[3,5]"), "01234")),
            "FILE: tensor 'a' starts at byte 1, expected 0: a hole behind the header");
  EXPECT_EQ(error_of_safetensors(safetensors_of(two("[0,2]", "[2,4]"), "01234")),
            "FILE: 1 bytes behind the last tensor, which ends at byte 4 of the data");
  EXPECT_EQ(error_of_safetensors(safetensors_of(two("[2,4]", "[0,2]"), "0123")), "") << "any order in the header";
}

TEST(SafetensorsFile, RefusesRecordsThatAreWrong) {
  const auto tensor = [](const std::string& record) {
    return error_of_safetensors(safetensors_of("{\"a\":" + record + "}", "0123"));
  };
  EXPECT_EQ(tensor("3"), "FILE: tensor 'a': expected an object with dtype, shape, data_offsets, found the integer 3");
  EXPECT_EQ(tensor(R"({"dtype":"U8","shape":[4]})"), "FILE: tensor 'a': missing key 'data_offsets' in the header");
  EXPECT_EQ(tensor(R"({"dtype":"F31","shape":[4],"data_offsets":[0,4]})"),
            "FILE: tensor 'a': dtype is the text 'F31'; allowed: BOOL, F4, F6_E2M3, F6_E3M2, U8, I8, F8_E5M2, F8_E4M3, "
            "F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, I16, U16, F16, BF16, I32, U32, F32, C64, F64, I64, U64");
  EXPECT_EQ(tensor(R"({"dtype":"U8","shape":[-4],"data_offsets":[0,4]})"),
            "FILE: tensor 'a': shape holds the integer -4; allowed: integers from 0 to 2^63 - 1");
  EXPECT_EQ(tensor(R"({"dtype":"U8","shape":[4.0],"data_offsets":[0,4]})"),
            "FILE: tensor 'a': shape holds the number 4.0; allowed: integers from 0 to 2^63 - 1");
  EXPECT_EQ(tensor(R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})"),
            "FILE: tensor 'a': data_offsets are [4, 0]; expected [begin, end] with begin <= end");
  EXPECT_EQ(tensor(R"({"dtype":"U8","shape":[4],"data_offsets":[0]})"),
            "FILE: tensor 'a': data_offsets are [0]; expected [begin, end] with begin <= end");
  EXPECT_EQ(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
            "FILE: tensor 'a': data_offsets [0, 4] span 4 bytes; shape [2] of F32 needs 8");
  EXPECT_EQ(tensor(R"({"dtype":"F4","shape":[3],"data_offsets":[0,2]})"),
            "FILE: tensor 'a': shape [3] of F4 is no whole number of bytes");
  EXPECT_EQ(tensor(R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]})"),
            "FILE: tensor 'a': shape [4294967296, 4294967296] of U8 overflows: its bits do not fit in 63 bits");
  EXPECT_EQ(tensor(R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,4]})"),
            "FILE: tensor 'a': shape holds the integer 18446744073709551615; allowed: integers from 0 to 2^63 - 1");
  EXPECT_EQ(error_of_safetensors(safetensors_of(R"({"__metadata__":{"a":1}})", "")),
            "FILE: __metadata__ 'a' is the integer 1; expected a text");
}

TEST(SafetensorsFile, RefusesMissingFilesAndDirectories) {
  EXPECT_NE(error_of([] { SafetensorsFile("/nowhere/x.safetensors"); }).find("no such file"), std::string::npos);
  EXPECT_NE(error_of([] { SafetensorsFile("/tmp"); }).find("directory"), std::string::npos);
  EXPECT_EQ(error_of([] { SafetensorsFile("/dev/null"); }),
            "/dev/null: is not a regular file; only those can be mapped into memory");
}

TEST(WriteSafetensors, WhatIsWrittenReadsBack) {
  const ScratchFile file(".safetensors");
  const std::vector<SafetensorsSpec> specs = {{"y", "F32", {2, 1}}, {"empty", "F32", {0, 4}}, {"z", "U8", {3}}};
  write_safetensors(file.path(), specs, {{"seed", "1"}}, [](SafetensorsBody& body) {
    const float values[2] = {1.5F, -2.0F};
    body.append(std::as_bytes(std::span(values, 1)));
    body.append(std::as_bytes(std::span(values + 1, 1)));
    body.append(std::as_bytes(std::span("abc", 3)));
  });
  const SafetensorsFile reader(file.path());
  EXPECT_EQ(reader.metadata().at("seed"), "1");
  EXPECT_EQ(reader.tensors().size(), 3U);
  const auto bytes = reader.bytes(reader.tensors().at("y"));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8, 0U);
  EXPECT_EQ(reinterpret_cast<const float*>(bytes.data())[1], -2.0F);
}

TEST(WriteSafetensors, FailureLeavesTheOldFileAndNoOther) {
  const ScratchFile file(".safetensors", "old");
  const auto write = [&](std::size_t bytes) {
    write_safetensors(file.path(), {{"z", "U8", {3}}}, {},
                      [&](SafetensorsBody& body) { body.append(std::as_bytes(std::span("abcd", bytes))); });
  };
  EXPECT_THROW(write(2), DefectError);
  EXPECT_THROW(write(4), DefectError);
  EXPECT_EQ(file.read(), "old");
  write(3);
  EXPECT_EQ(SafetensorsFile(file.path()).tensors().size(), 1U);
}

}  // namespace
}  // namespace oscsim
