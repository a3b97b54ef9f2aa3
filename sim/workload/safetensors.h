// SPDX-License-Identifier: Apache-2.0
// Files in the safetensors format (github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON
// header, then the tensors' bytes without holes. Read through a mapping; everything is checked before it is believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/workload/mapped_file.h"

namespace oscsim {

inline constexpr std::string_view kSafetensors = ".safetensors";  // what the files' names end with

inline constexpr std::uint64_t kLargestHeader = 100'000'000;  // bytes; the limit of the reference implementation

struct SafetensorsDtype {
  const char* name;
  std::int64_t bits;  // per element; F4 and F6 are packed
};
// nullptr for a name that the format does not know.
const SafetensorsDtype* safetensors_dtype(const std::string& name);

struct SafetensorsEntry {
  const SafetensorsDtype* dtype = nullptr;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // bytes, from the end of the header
};

// "[2048, 4096]"
std::string shape_text(std::span<const std::int64_t> shape);

// What the header of a file says.
struct SafetensorsHeader {
  std::size_t data_begin = 0;  // byte of the file at which the tensors' bytes start
  std::map<std::string, SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
};

// `file` holds all bytes of the file called `path`; only the header is read. Every tensor lies inside the file.
// InputError, with file, tensor, what was expected and what was found, for anything that breaks the format.
SafetensorsHeader read_safetensors_header(const std::string& path, std::span<const std::byte> file);

class SafetensorsFile {
 public:
  // InputError as of read_safetensors_header, and for a file that cannot be mapped.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, SafetensorsEntry>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  // Aligned to nothing more than the file happens to give.
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const;
  // The bytes will not be needed soon (mapped_file.h).
  void release(std::span<const std::byte> part) const { file_.release(part); }

 private:
  std::string path_;
  MappedFile file_;
  SafetensorsHeader header_;
};

struct SafetensorsSpec {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
};

// Takes the tensors' bytes, little-endian and row-major, in the order of the specifications, in pieces of any size.
class SafetensorsBody {
 public:
  SafetensorsBody(std::ostream& out, std::uint64_t expected) : out_(out), expected_(expected) {}
  void append(std::span<const std::byte> bytes);
  void finish() const;  // a defect when bytes are missing

 private:
  std::ostream& out_;
  std::uint64_t expected_;
  std::uint64_t written_ = 0;
};

// Writes a file that appears whole or not at all. `fill` streams the tensors; nothing of them is held in memory.
void write_safetensors(const std::string& path, const std::vector<SafetensorsSpec>& specs,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<void(SafetensorsBody&)>& fill);

}  // namespace oscsim
