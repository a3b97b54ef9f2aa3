// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "models/base/error.h"
#include "sim/config/atomic_file.h"
#include "sim/workload/safetensors.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kVersionBytes = 2;
constexpr std::size_t kPreamble = 10;               // of version 1.0: magic, version, header length
constexpr std::uint64_t kLargestNpyHeader = 65535;  // what version 1.0 can hold; three keys never need more
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kLongestShown = 40;  // characters of a header that a message repeats

struct NpyHeader {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;
};

// Headers of hostile files may hold anything.
std::string shown(std::string_view text) {
  std::string part(text.substr(0, kLongestShown));
  std::ranges::replace_if(
      part, [](char letter) { return letter < ' ' || letter > '~'; }, '?');
  return text.size() > kLongestShown ? part + "..." : part;
}

// The header is a Python dictionary. Of that language only what the three keys need is understood.
class HeaderReader {
 public:
  HeaderReader(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  NpyHeader read() {
    NpyHeader header;
    expect('{');
    while (!take('}')) {
      read_entry(header);
      if (take('}')) break;
      expect(',');
    }
    skip_blanks();
    if (at_ != text_.size()) wrong("the end of the header");
    if (!header.descr) missing("descr");
    if (!header.fortran_order) missing("fortran_order");
    if (!header.shape) missing("shape");
    return header;
  }

 private:
  void read_entry(NpyHeader& header) {
    const std::string key = quoted("a key in quotes");
    expect(':');
    if (key == "descr") {
      refuse_second(key, header.descr.has_value());
      if (next() == '[')
        input_error("{}: descr is a list: records have several fields; expected one type, such as '<f4'", path_);
      header.descr = quoted("descr in quotes");
    } else if (key == "fortran_order") {
      refuse_second(key, header.fortran_order.has_value());
      header.fortran_order = boolean();
    } else if (key == "shape") {
      refuse_second(key, header.shape.has_value());
      header.shape = integers();
    } else {
      const std::vector<std::string> keys{"descr", "fortran_order", "shape"};
      input_error("{}: unknown key '{}' in the header; allowed: {}{}", path_, shown(key), joined(keys),
                  did_you_mean(key, keys));
    }
  }

  std::string quoted(const char* what) {
    const char quote = next();
    if (quote != '\'' && quote != '"') wrong(what);
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) wrong(what);
    const std::string_view text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return std::string(text);
  }

  bool boolean() {
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      skip_blanks();
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    wrong("fortran_order as True or False");
  }

  // "(3, 4)", "(3,)", "()"
  std::vector<std::int64_t> integers() {
    std::vector<std::int64_t> values;
    expect('(');
    while (!take(')')) {
      values.push_back(integer());
      if (take(')')) break;
      expect(',');
    }
    return values;
  }

  std::int64_t integer() {
    if (next() == '-') input_error("{}: shape has a negative size: '{}'", path_, shown(text_.substr(at_)));
    if (next() < '0' || next() > '9') wrong("an integer of shape");
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
        input_error("{}: shape has a size that does not fit in 63 bits", path_);
    return value;
  }

  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  // The next character that is no blank; '\0' at the end.
  char next() {
    skip_blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char letter) {
    if (next() != letter || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char letter) {
    if (!take(letter)) wrong(fmt::format("'{}'", letter));
  }

  [[noreturn]] void wrong(const std::string& expected) {
    skip_blanks();
    const std::string found = at_ < text_.size() ? fmt::format("'{}'", shown(text_.substr(at_))) : "its end";
    input_error("{}: header, byte {}: expected {}, found {}", path_, at_, expected, found);
  }
  [[noreturn]] void missing(const char* key) const { input_error("{}: missing key '{}' in the header", path_, key); }
  void refuse_second(const std::string& key, bool is_there) const {
    if (is_there) input_error("{}: duplicate key '{}' in the header", path_, key);
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << 8 * i;
  return value;
}

// Where the header's text stands in the file.
struct HeaderPlace {
  std::size_t begin = 0, size = 0;
};

HeaderPlace header_place(const std::string& path, std::span<const std::byte> file) {
  const std::string_view start(reinterpret_cast<const char*>(file.data()), std::min(file.size(), kMagic.size()));
  if (start != kMagic.substr(0, start.size()) || file.empty())
    input_error("{}: no .npy file: it does not start with '\\x93NUMPY'", path);
  const std::size_t version_end = kMagic.size() + kVersionBytes;
  const auto require = [&](std::size_t bytes, const char* part) {
    if (file.size() < bytes)
      input_error("{}: truncated: the file has {} bytes, {} are missing to the end of {}", path, file.size(),
                  bytes - file.size(), part);
  };
  require(version_end, "the version");
  const int major = std::to_integer<int>(file[kMagic.size()]);
  const int minor = std::to_integer<int>(file[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0)
    input_error("{}: version {}.{} of the .npy format; allowed: 1.0, 2.0, 3.0", path, major, minor);
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  require(version_end + length_bytes, "the header length");
  const std::uint64_t length = little_endian(file.subspan(version_end, length_bytes));
  if (length > kLargestNpyHeader)
    input_error("{}: the header length is {} bytes; allowed: at most {}", path, length, kLargestNpyHeader);
  require(version_end + length_bytes + length, "the header");
  return {version_end + length_bytes, length};
}

// Type and order of the elements.
void read_descr(const std::string& path, const std::string& descr, const NpyOptions& options, NpyLayout& layout) {
  constexpr std::pair<std::string_view, Dtype> kKinds[] = {
      {"f2", Dtype::fp16}, {"f4", Dtype::fp32}, {"f8", Dtype::fp32}};
  const bool is_void = descr == "<V2" || descr == "|V2";
  if (is_void && options.void_is_bf16) {
    layout.dtype = Dtype::bf16;
    layout.element_bytes = size_of(Dtype::bf16);
    return;
  }
  for (const auto& [kind, dtype] : kKinds) {
    if (descr.size() != 3 || descr.substr(1) != kind || (descr[0] != '<' && descr[0] != '>')) continue;
    layout.dtype = dtype;
    layout.element_bytes = static_cast<std::size_t>(kind[1] - '0');
    layout.is_big_endian = descr[0] == '>';
    return;
  }
  input_error("{}: descr is '{}'; allowed: '<f8', '<f4', '<f2', and the same with '>'{}", path, shown(descr),
              is_void ? "\n  BF16 of ml_dtypes is saved so: --npy-bf16 says that it is" : "");
}

// Rows and columns. Dropping a dimension of size 1 moves no element, in either order.
void read_shape(const std::string& path, std::vector<std::int64_t> shape, NpyLayout& layout) {
  const std::string given = shape_text(shape);
  while (shape.size() > 2 && shape.front() == 1) shape.erase(shape.begin());
  if (shape.size() == 1) shape.insert(shape.begin(), 1);
  if (shape.size() != 2)
    input_error(
        "{}: shape is {}; expected two sizes, rows and columns{}", path, given,
        shape.empty() ? "" : "\n  a stack of matrices: save one, a[0], or all rows, a.reshape(-1, a.shape[-1])");
  layout.rows = shape[0];
  layout.cols = shape[1];
}

std::uint64_t element_bits(const std::byte* from, const NpyLayout& layout) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < layout.element_bytes; ++i)
    bits |= std::to_integer<std::uint64_t>(from[layout.is_big_endian ? layout.element_bytes - 1 - i : i]) << 8 * i;
  return bits;
}

// One element into a matrix of the layout's dtype.
void convert(const std::string& path, const std::byte* from, const NpyLayout& layout, std::int64_t row,
             std::int64_t col, std::byte* to) {
  std::uint64_t bits = element_bits(from, layout);
  if (layout.is_double()) {
    const auto value = std::bit_cast<double>(bits);
    const auto rounded = static_cast<float>(value);
    if (std::isinf(rounded) && !std::isinf(value))
      input_error("{}: {:.9g} at [{}, {}] is beyond the largest FP32, {:.9g}", path, value, row, col,
                  std::numeric_limits<float>::max());
    bits = std::bit_cast<std::uint32_t>(rounded);
  }
  for (std::size_t i = 0; i < size_of(layout.dtype); ++i) to[i] = static_cast<std::byte>(bits >> 8 * i & 0xFF);
}

}  // namespace

NpyLayout read_npy_header(const std::string& path, std::span<const std::byte> file, const NpyOptions& options) {
  const HeaderPlace place = header_place(path, file);
  NpyLayout layout;
  layout.data_begin = place.begin + place.size;
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + place.begin, place.size);
  const NpyHeader header = HeaderReader(path, text).read();
  read_descr(path, *header.descr, options, layout);
  read_shape(path, *header.shape, layout);
  layout.is_column_major = *header.fortran_order && layout.rows > 1 && layout.cols > 1;
  const std::string shape = shape_text(*header.shape);
  std::int64_t bytes = static_cast<std::int64_t>(layout.element_bytes);
  if (__builtin_mul_overflow(bytes, layout.cols, &bytes) || __builtin_mul_overflow(bytes, layout.rows, &bytes))
    input_error("{}: shape {} overflows: its bytes do not fit in 63 bits", path, shape);
  const std::size_t found = file.size() - layout.data_begin;
  const auto expected = static_cast<std::size_t>(bytes);
  if (found < expected)
    input_error("{}: truncated: shape {} of '{}' needs {} bytes, {} of them are missing", path, shape, *header.descr,
                expected, expected - found);
  if (found > expected) input_error("{}: {} bytes behind the array", path, found - expected);
  return layout;
}

Matrix npy_matrix(const std::string& path, std::span<const std::byte> file, const NpyLayout& layout) {
  Matrix matrix(layout.dtype, layout.rows, layout.cols);
  const std::byte* data = file.data() + layout.data_begin;
  if (layout.rows == 0 || layout.cols == 0) return matrix;
  // Tiles: one of the two matrices is walked across its rows.
  constexpr std::int64_t kTile = 64;
  for (std::int64_t first_row = 0; first_row < layout.rows; first_row += kTile)
    for (std::int64_t first_col = 0; first_col < layout.cols; first_col += kTile)
      for (std::int64_t row = first_row; row < std::min(first_row + kTile, layout.rows); ++row)
        for (std::int64_t col = first_col; col < std::min(first_col + kTile, layout.cols); ++col) {
          const std::int64_t from = layout.is_column_major ? col * layout.rows + row : row * layout.cols + col;
          convert(path, data + static_cast<std::size_t>(from) * layout.element_bytes, layout, row, col,
                  matrix.data() + static_cast<std::size_t>(row * layout.cols + col) * size_of(layout.dtype));
        }
  return matrix;
}

NpyFile::NpyFile(const std::string& path, const NpyOptions& options)
    : path_(path), file_(path), layout_(read_npy_header(path, file_.bytes(), options)) {}

void write_npy(const std::string& path, numerics::MatrixView matrix) {
  ensure(matrix.dtype() == Dtype::fp32, "{}: {} written as FP32", path, name_of(matrix.dtype()));
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", matrix.rows(), matrix.cols());
  const std::size_t size = (kPreamble + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.resize(size - kPreamble - 1, ' ');
  header += '\n';
  config::write_file_atomically(path, [&](std::ostream& out) {
    const std::array<char, 4> version_and_length{1, 0, static_cast<char>(header.size() & 0xFF),
                                                 static_cast<char>(header.size() >> 8)};
    out.write(kMagic.data(), kMagic.size());
    out.write(version_and_length.data(), version_and_length.size());
    out.write(header.data(), static_cast<std::streamsize>(header.size()));
    out.write(reinterpret_cast<const char*>(matrix.data()), matrix.rows() * matrix.cols() * 4);
  });
}

}  // namespace oscsim
