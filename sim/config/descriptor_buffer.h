// SPDX-License-Identifier: Apache-2.0
// A stream buffer that writes to an open file and remembers why it could not.
#pragma once

#include <array>
#include <streambuf>

namespace oscsim::config {

class DescriptorBuffer : public std::streambuf {
 public:
  explicit DescriptorBuffer(int descriptor);

  // Writes what is left. 0, or the first error number that a write gave.
  int finish();

 protected:
  int_type overflow(int_type character) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;
  int sync() override;

 private:
  bool write_all(const char* bytes, std::streamsize count);
  bool empty();

  int descriptor_;
  int error_ = 0;
  std::array<char, 1 << 16> bytes_;
};

}  // namespace oscsim::config
