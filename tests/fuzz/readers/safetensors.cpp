// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/safetensors.h"

#include <fmt/format.h>

#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {
namespace {

constexpr std::size_t kLength = 8;  // bytes that hold the header's length

void write_length(std::string& file, std::size_t length) {
  for (std::size_t i = 0; i < kLength; ++i) file[i] = static_cast<char>(length >> (8 * i) & 0xFF);
}

std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string file = std::string(kLength, '\0') + header + std::string(data_bytes, '\x3F');
  write_length(file, header.size());
  return file;
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape, std::size_t begin,
                   std::size_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype, shape, begin, end);
}

std::vector<Seed> safetensors_seeds() {
  const std::string f32 = tensor("a", "F32", "[2,3]", 0, 24);
  const std::string bf16 = tensor("model.layers.0.attn_in", "BF16", "[2,2]", 24, 32);
  return {
      {"matrices", file_of("{" + f32 + "," + bf16 + "}", 32)},
      {"metadata", file_of(R"({"__metadata__":{"format":"pt"},)" + f32 + "}", 24)},
      {"null_metadata", file_of(R"({"__metadata__":null,)" + f32 + "}", 24)},
      {"packed", file_of("{" + tensor("q", "F4", "[2,4]", 0, 4) + "}", 4)},
      {"scalar_and_empty",
       file_of("{" + tensor("s", "F16", "[]", 0, 2) + "," + tensor("e", "I64", "[0,7]", 2, 2) + "}", 2)},
      {"no_tensors", file_of("{}", 0)},
      {"blanks", file_of("  {" + f32 + "}  ", 24)},
      {"unknown_key", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{}}})", 1)},
      {"nul", file_of("{" + f32 + "}" + '\0' + "{}", 24)},
      {"truncated", file_of("{" + f32 + "}", 20)},
      {"oversized", file_of("{" + f32 + "}", 30)},
      {"overlap", file_of("{" + f32 + "," + tensor("b", "U8", "[8]", 20, 28) + "}", 28)},
      {"hole", file_of("{" + f32 + "," + tensor("b", "U8", "[8]", 28, 36) + "}", 36)},
      {"duplicate_key", file_of("{" + f32 + "," + f32 + "}", 24)},
      {"wrong_dtype", file_of("{" + tensor("a", "F33", "[2,3]", 0, 24) + "}", 24)},
      {"overflow", file_of("{" + tensor("a", "F32", "[4294967296,4294967296]", 0, 24) + "}", 24)},
      {"large_numbers", file_of(R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1e999]}})", 8)},
      {"deep", file_of("{\"a\":" + std::string(200, '['), 0)},
      {"escapes", file_of(R"({"\u001b[31m":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)},
      {"long_length", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}"}};
}

// Every byte that an accepted header promises is in the file.
void read_safetensors_input(std::string_view input) {
  const auto file = std::as_bytes(std::span(input));
  const SafetensorsHeader header = read_safetensors_header(kFile, file);
  for (const auto& [name, entry] : header.tensors)
    touch(file.subspan(header.data_begin + entry.begin, entry.end - entry.begin));
}

// As if everything to the last brace were the header: edits of its text are then seen.
void mend_length(std::string& input) {
  const std::size_t end = input.rfind('}');
  if (end != std::string::npos && end >= kLength) write_length(input, end + 1 - kLength);
}

}  // namespace

Reader safetensors_reader() {
  return {.name = "safetensors",
          .read = read_safetensors_input,
          .seeds = safetensors_seeds,
          .longest = 1024,
          .words = {"\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\"", "\"F32\"", "\"F4\"",
                    "\"F8_E4M3FNUZ\"", "[0,0]", "null", "18446744073709551615"},
          .mend = mend_length};
}

}  // namespace oscsim::fuzz
