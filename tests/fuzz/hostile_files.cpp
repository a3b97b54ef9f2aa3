// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/hostile_files.h"

#include <fmt/format.h>

#include "models/base/error.h"
#include "sim/workload/checkpoint.h"
#include "sim/workload/npy.h"
#include "sim/workload/safetensors.h"

namespace oscsim {
namespace {

using FileBytes = std::span<const std::byte>;

// The first byte of an input.
constexpr unsigned kSafetensorsKind = 0, kNpyKind = 1, kIndexKind = 2, kKinds = 3;

// Memory that is not the file's would be an error of the sanitizer; the sum keeps the reads.
void touch(FileBytes bytes) {
  static volatile unsigned sum = 0;
  unsigned total = 0;
  for (const std::byte byte : bytes) total += std::to_integer<unsigned>(byte);
  sum = sum + total;
}

void read_safetensors(FileBytes file) {
  const SafetensorsHeader header = read_safetensors_header("FILE", file);
  for (const auto& [name, entry] : header.tensors)
    touch(FileBytes(file.data() + header.data_begin + entry.begin, entry.end - entry.begin));
}

void read_npy(FileBytes file) {
  const NpyLayout layout = read_npy_header("FILE", file, {.void_is_bf16 = true});
  const auto elements = static_cast<std::size_t>(layout.rows) * static_cast<std::size_t>(layout.cols);
  touch(FileBytes(file.data() + layout.data_begin, elements * layout.element_bytes));
  if (!layout.is_plain()) npy_matrix("FILE", file, layout);
}

void read_index(FileBytes file) {
  read_weight_map("FILE", {reinterpret_cast<const char*>(file.data()), file.size()});
}

std::string safetensors(const std::string& header, std::size_t data_bytes) {
  std::string file(1, static_cast<char>(kSafetensorsKind));
  for (std::size_t i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + std::string(data_bytes, '\x3F');
}

std::string npy(const std::string& header, std::size_t data_bytes, char version = 1) {
  std::string file(1, static_cast<char>(kNpyKind));
  file += std::string("\x93NUMPY") + version + '\0';
  for (std::size_t i = 0; i < (version == 1 ? 2U : 4U); ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + std::string(data_bytes, '\x3F');
}

std::string index(const std::string& text) {
  return std::string(1, static_cast<char>(kIndexKind)) + text;
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape, std::size_t begin,
                   std::size_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype, shape, begin, end);
}

std::string npy_header(const std::string& descr, const std::string& shape) {
  return fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n", descr, shape);
}

}  // namespace

bool reads(FileBytes input) {
  if (input.empty()) return false;
  // A copy that ends where the file ends.
  const std::vector<std::byte> file(input.begin() + 1, input.end());
  try {
    const unsigned kind = std::to_integer<unsigned>(input.front()) % kKinds;
    kind == kSafetensorsKind ? read_safetensors(file) : kind == kNpyKind ? read_npy(file) : read_index(file);
    return true;
  } catch (const InputError& error) {
    ensure(std::string_view(error.what()).starts_with("FILE"), "the message '{}' names no file", error.what());
    return false;
  }
}

std::vector<Seed> seeds() {
  const std::string f32 = tensor("a", "F32", "[2,3]", 0, 24);
  const std::string bf16 = tensor("model.layers.0.attn_in", "BF16", "[2,2]", 24, 32);
  const std::string deep(200, '[');
  return {
      {"matrices", safetensors("{" + f32 + "," + bf16 + "}", 32)},
      {"metadata", safetensors(R"({"__metadata__":{"format":"pt"},)" + f32 + "}", 24)},
      {"packed", safetensors("{" + tensor("q", "F4", "[2,4]", 0, 4) + "}", 4)},
      {"scalar_and_empty",
       safetensors("{" + tensor("s", "F16", "[]", 0, 2) + "," + tensor("e", "I64", "[0,7]", 2, 2) + "}", 2)},
      {"no_tensors", safetensors("{}", 0)},
      {"truncated", safetensors("{" + f32 + "}", 20)},
      {"oversized", safetensors("{" + f32 + "}", 30)},
      {"overlap", safetensors("{" + f32 + "," + tensor("b", "U8", "[8]", 20, 28) + "}", 28)},
      {"hole", safetensors("{" + f32 + "," + tensor("b", "U8", "[8]", 28, 36) + "}", 36)},
      {"duplicate_key", safetensors("{" + f32 + "," + f32 + "}", 24)},
      {"wrong_dtype", safetensors("{" + tensor("a", "F33", "[2,3]", 0, 24) + "}", 24)},
      {"overflow", safetensors("{" + tensor("a", "F32", "[4294967296,4294967296]", 0, 24) + "}", 24)},
      {"large_numbers",
       safetensors(R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1e999]}})", 8)},
      {"deep", safetensors("{\"a\":" + deep, 0)},
      {"escapes", safetensors(R"({"\u001b[31m":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)},
      {"npy_f4", npy(npy_header("<f4", "(2, 3)"), 24)},
      {"npy_f2_version_2", npy(npy_header("<f2", "(1, 4)"), 8, 2)},
      {"npy_v2_version_3", npy(npy_header("|V2", "(1, 4)"), 8, 3)},
      {"npy_truncated", npy(npy_header("<f4", "(2, 3)"), 23)},
      {"npy_overflow", npy(npy_header("<f4", "(4294967296, 4294967296)"), 24)},
      {"npy_fortran", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", 24)},
      {"npy_big_endian", npy(npy_header(">f2", "(2, 3)"), 12)},
      {"npy_double", npy(npy_header("<f8", "(1, 2, 3)"), 48)},
      {"npy_no_columns", npy(npy_header(">f8", "(4611686018427387904, 0)"), 0)},
      {"npy_records", npy("{'descr': [('x', '<f4')], 'fortran_order': True, 'shape': (2,)}", 8)},
      {"index", index(R"({"metadata":{"total_size":24},"weight_map":{"a":"model-00001-of-00002.safetensors"}})")},
      {"index_outside", index(R"({"weight_map":{"a":"../x.safetensors","b":3}})")},
      {"index_no_map", index(R"({"weight_map":[]})")},
  };
}

}  // namespace oscsim
