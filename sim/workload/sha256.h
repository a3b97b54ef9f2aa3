// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits, for provenance.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace oscsim {

// Takes the bytes piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  std::string finish();  // once; no update afterwards

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view text);
std::string sha256_of_file(const std::string& path);  // InputError when it cannot be read

}  // namespace oscsim
