// SPDX-License-Identifier: Apache-2.0
// An output stream that compresses on its way into another one. The same bytes in give the same bytes out.
#pragma once

#include <zlib.h>

#include <array>
#include <ostream>
#include <streambuf>

namespace oscsim {

class GzipBuffer : public std::streambuf {
 public:
  explicit GzipBuffer(std::ostream& out);
  GzipBuffer(const GzipBuffer&) = delete;
  GzipBuffer& operator=(const GzipBuffer&) = delete;
  ~GzipBuffer() override;

  // Writes what is left and the end of the gzip file; without it the file is incomplete.
  void finish();

 protected:
  int_type overflow(int_type character) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;

 private:
  static constexpr std::size_t kChunk = 1 << 16;

  void compress(int flush);

  std::ostream& out_;
  z_stream stream_{};
  std::array<char, kChunk> plain_;
  std::array<char, kChunk> packed_;
};

}  // namespace oscsim
