// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "models/base/error.h"
#include "sim/config/atomic_file.h"
#include "sim/config/json_output.h"
#include "sim/workload/json_text.h"

namespace oscsim {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr int kHeaderDepth = 128;  // of serde_json, which the reference implementation reads headers with

// Those of the reference implementation 0.8.0, in its order.
constexpr std::array<SafetensorsDtype, 22> kDtypes{
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
     {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
     {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}};

std::string dtype_names() {
  std::vector<std::string> names;
  for (const SafetensorsDtype& dtype : kDtypes) names.emplace_back(dtype.name);
  return joined(names);
}

// Bytes of a tensor; InputError with `what` in front when the product overflows or is no whole number of bytes.
std::uint64_t tensor_bytes(const std::string& what, const SafetensorsDtype& dtype,
                           std::span<const std::int64_t> shape) {
  std::int64_t bits = dtype.bits;
  for (const std::int64_t extent : shape) {
    if (extent < 0) input_error("{}: shape {} is negative", what, shape_text(shape));
    if (__builtin_mul_overflow(bits, extent, &bits))
      input_error("{}: shape {} of {} overflows: its bits do not fit in 63 bits", what, shape_text(shape), dtype.name);
  }
  if (bits % 8 != 0) input_error("{}: shape {} of {} is no whole number of bytes", what, shape_text(shape), dtype.name);
  return static_cast<std::uint64_t>(bits) / 8;
}

// One tensor's record in the header.
class EntryReader {
 public:
  EntryReader(std::string what, const Json& record) : what_(std::move(what)), record_(record) {
    static const std::vector<std::string> kKeys = {"dtype", "shape", "data_offsets"};
    if (!record.is_object())
      input_error("{}: expected an object with {}, found {}", what_, joined(kKeys), json_kind(record));
    // Further keys are for other programs, as the reference implementation takes them.
    for (const std::string& key : kKeys)
      if (!record.contains(key)) input_error("{}: missing key '{}' in the header", what_, key);
  }

  SafetensorsEntry read() const {
    SafetensorsEntry entry;
    const Json& dtype = record_["dtype"];
    if (dtype.is_string()) entry.dtype = safetensors_dtype(dtype.get<std::string>());
    if (!entry.dtype) input_error("{}: dtype is {}; allowed: {}", what_, json_kind(dtype), dtype_names());
    entry.shape = integers("shape");
    const std::vector<std::int64_t> offsets = integers("data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1])
      input_error("{}: data_offsets are {}; expected [begin, end] with begin <= end", what_, shape_text(offsets));
    entry.begin = static_cast<std::uint64_t>(offsets[0]);
    entry.end = static_cast<std::uint64_t>(offsets[1]);
    const std::uint64_t expected = tensor_bytes(what_, *entry.dtype, entry.shape);
    if (entry.end - entry.begin != expected)
      input_error("{}: data_offsets {} span {} bytes; shape {} of {} needs {}", what_, shape_text(offsets),
                  entry.end - entry.begin, shape_text(entry.shape), entry.dtype->name, expected);
    return entry;
  }

 private:
  std::vector<std::int64_t> integers(const char* key) const {
    const Json& list = record_[key];
    if (!list.is_array()) input_error("{}: {} is {}; expected a list of integers >= 0", what_, key, json_kind(list));
    std::vector<std::int64_t> values;
    for (const Json& value : list) {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
        input_error("{}: {} holds {}; allowed: integers from 0 to 2^63 - 1", what_, key, json_kind(value));
      values.push_back(value.get<std::int64_t>());
    }
    return values;
  }

  std::string what_;
  const Json& record_;
};

// Length of the JSON header, after checking that it lies inside the file.
std::uint64_t header_length(const std::string& path, std::span<const std::byte> file) {
  if (file.size() < kLengthBytes)
    input_error("{}: truncated: the file has {} bytes, {} are missing to the end of the header length", path,
                file.size(), kLengthBytes - file.size());
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (length > kLargestHeader)
    input_error("{}: no safetensors file: the header length is {} bytes; allowed: at most {}", path, length,
                kLargestHeader);
  if (length > file.size() - kLengthBytes)
    input_error("{}: truncated: the header has {} bytes, {} of them are missing", path, length,
                length - (file.size() - kLengthBytes));
  // The format's description wants '{' there; its reference implementation skips the blanks of JSON in front.
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || text[start] != '{')
    input_error("{}: no safetensors file: the header does not start with '{{'", path);
  return length;
}

// Tensors lie one behind the other, from the end of the header to the end of the file.
void check_layout(const std::string& path, const std::map<std::string, SafetensorsEntry>& tensors,
                  std::uint64_t data_bytes) {
  using Named = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Named*> order;
  for (const Named& tensor : tensors) order.push_back(&tensor);
  std::ranges::stable_sort(order, {},
                           [](const Named* tensor) { return std::pair(tensor->second.begin, tensor->second.end); });
  std::uint64_t position = 0;
  const std::string* previous = nullptr;
  for (const Named* tensor : order) {
    const auto& [name, entry] = *tensor;
    if (entry.begin != position)
      input_error("{}: tensor '{}' starts at byte {}, expected {}: {} {}", path, name, entry.begin, position,
                  entry.begin < position ? "it overlaps" : "a hole behind",
                  previous ? fmt::format("'{}'", *previous) : "the header");
    position = entry.end;
    previous = &name;
  }
  if (position > data_bytes)
    input_error("{}: truncated: tensor '{}' ends at byte {} of the data, the file has {}; {} bytes are missing", path,
                *previous, position, data_bytes, position - data_bytes);
  if (position < data_bytes)
    input_error("{}: {} bytes behind the last tensor, which ends at byte {} of the data", path, data_bytes - position,
                position);
}

}  // namespace

const SafetensorsDtype* safetensors_dtype(const std::string& name) {
  const auto found = std::ranges::find_if(kDtypes, [&](const SafetensorsDtype& dtype) { return dtype.name == name; });
  return found == kDtypes.end() ? nullptr : &*found;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

SafetensorsHeader read_safetensors_header(const std::string& path, std::span<const std::byte> file) {
  const std::uint64_t length = header_length(path, file);
  SafetensorsHeader header{.data_begin = kLengthBytes + length, .tensors = {}, .metadata = {}};
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  const Json json = parse_json(text, path + ": header", kHeaderDepth);
  for (const auto& [name, record] : json.items()) {
    if (name != "__metadata__") {
      header.tensors.emplace(name, EntryReader(fmt::format("{}: tensor '{}'", path, name), record).read());
      continue;
    }
    if (record.is_null()) continue;  // as if it were not there
    if (!record.is_object()) input_error("{}: __metadata__ is {}; expected an object", path, json_kind(record));
    for (const auto& [key, value] : record.items()) {
      if (!value.is_string()) input_error("{}: __metadata__ '{}' is {}; expected a text", path, key, json_kind(value));
      header.metadata.emplace(key, value.get<std::string>());
    }
  }
  check_layout(path, header.tensors, file.size() - header.data_begin);
  return header;
}

SafetensorsFile::SafetensorsFile(const std::string& path)
    : path_(path), file_(path), header_(read_safetensors_header(path, file_.bytes())) {}

std::span<const std::byte> SafetensorsFile::bytes(const SafetensorsEntry& entry) const {
  return file_.bytes().subspan(header_.data_begin + entry.begin, entry.end - entry.begin);
}

void SafetensorsBody::append(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  ensure(written_ <= expected_, "{} bytes of tensors for a header that announces {}", written_, expected_);
  out_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void SafetensorsBody::finish() const {
  ensure(written_ == expected_, "{} bytes of tensors for a header that announces {}", written_, expected_);
}

void write_safetensors(const std::string& path, const std::vector<SafetensorsSpec>& specs,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<void(SafetensorsBody&)>& fill) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t position = 0;
  for (const SafetensorsSpec& spec : specs) {
    const std::string what = fmt::format("{}: tensor '{}'", path, spec.name);
    const SafetensorsDtype* dtype = safetensors_dtype(spec.dtype);
    ensure(dtype != nullptr && !header.contains(spec.name), "{}: dtype {}, or the name is there twice", what,
           spec.dtype);
    const std::uint64_t end = position + tensor_bytes(what, *dtype, spec.shape);
    header[spec.name] = {{"dtype", spec.dtype}, {"shape", spec.shape}, {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text = config::json_text(header);
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');  // the data starts 8-byte aligned
  config::write_file_atomically(path, [&](std::ostream& out) {
    std::array<char, kLengthBytes> length{};
    for (std::size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xFF);
    out.write(length.data(), length.size());
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    SafetensorsBody body(out, position);
    fill(body);
    body.finish();
  });
}

}  // namespace oscsim
