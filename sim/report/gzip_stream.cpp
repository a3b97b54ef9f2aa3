// SPDX-License-Identifier: Apache-2.0
#include "sim/report/gzip_stream.h"

#include <algorithm>
#include <cstring>

#include "models/base/error.h"

namespace oscsim {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib: the largest window; 16 more asks for a gzip header, without a time
constexpr int kMemoryLevel = 8;       // zlib's default

}  // namespace

GzipBuffer::GzipBuffer(std::ostream& out) : out_(out) {
  const int status =
      deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY);
  ensure(status == Z_OK, "zlib: deflateInit2 returned {}", status);
  setp(plain_.data(), plain_.data() + plain_.size());
}

GzipBuffer::~GzipBuffer() {
  deflateEnd(&stream_);
}

void GzipBuffer::finish() {
  compress(Z_FINISH);
}

GzipBuffer::int_type GzipBuffer::overflow(int_type character) {
  compress(Z_NO_FLUSH);
  if (!traits_type::eq_int_type(character, traits_type::eof())) {
    *pptr() = traits_type::to_char_type(character);
    pbump(1);
  }
  return traits_type::not_eof(character);
}

std::streamsize GzipBuffer::xsputn(const char* bytes, std::streamsize count) {
  for (std::streamsize done = 0; done < count;) {
    if (pptr() == epptr()) compress(Z_NO_FLUSH);
    const std::streamsize part = std::min<std::streamsize>(count - done, epptr() - pptr());
    std::memcpy(pptr(), bytes + done, static_cast<std::size_t>(part));
    pbump(static_cast<int>(part));
    done += part;
  }
  return count;
}

// Compresses what stands in the buffer and empties it. Failures of `out_` stay in its state.
void GzipBuffer::compress(int flush) {
  stream_.next_in = reinterpret_cast<Bytef*>(pbase());
  stream_.avail_in = static_cast<uInt>(pptr() - pbase());
  do {
    stream_.next_out = reinterpret_cast<Bytef*>(packed_.data());
    stream_.avail_out = static_cast<uInt>(packed_.size());
    const int status = deflate(&stream_, flush);
    ensure(status != Z_STREAM_ERROR, "zlib: deflate returned {}", status);
    out_.write(packed_.data(), static_cast<std::streamsize>(packed_.size() - stream_.avail_out));
  } while (stream_.avail_out == 0);
  setp(plain_.data(), plain_.data() + plain_.size());
}

}  // namespace oscsim
