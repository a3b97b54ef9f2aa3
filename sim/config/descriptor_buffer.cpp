// SPDX-License-Identifier: Apache-2.0
#include "sim/config/descriptor_buffer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace oscsim::config {

DescriptorBuffer::DescriptorBuffer(int descriptor) : descriptor_(descriptor) {
  setp(bytes_.data(), bytes_.data() + bytes_.size());
}

int DescriptorBuffer::finish() {
  empty();
  return error_;
}

DescriptorBuffer::int_type DescriptorBuffer::overflow(int_type character) {
  if (!empty()) return traits_type::eof();
  if (!traits_type::eq_int_type(character, traits_type::eof())) {
    *pptr() = traits_type::to_char_type(character);
    pbump(1);
  }
  return traits_type::not_eof(character);
}

std::streamsize DescriptorBuffer::xsputn(const char* bytes, std::streamsize count) {
  if (count > epptr() - pptr() && !empty()) return 0;
  if (count >= epptr() - pbase()) return write_all(bytes, count) ? count : 0;
  std::copy_n(bytes, count, pptr());  // of no bytes there may be none to point at
  pbump(static_cast<int>(count));
  return count;
}

int DescriptorBuffer::sync() {
  return empty() ? 0 : -1;
}

// After an error nothing more is written: what follows it would leave a hole.
bool DescriptorBuffer::write_all(const char* bytes, std::streamsize count) {
  while (count > 0 && error_ == 0) {
    const ssize_t written = write(descriptor_, bytes, static_cast<std::size_t>(count));
    if (written < 0 && errno != EINTR) error_ = errno;
    if (written > 0) {
      bytes += written;
      count -= written;
    }
  }
  return error_ == 0;
}

bool DescriptorBuffer::empty() {
  const bool is_written = write_all(pbase(), pptr() - pbase());
  setp(bytes_.data(), bytes_.data() + bytes_.size());
  return is_written;
}

}  // namespace oscsim::config
