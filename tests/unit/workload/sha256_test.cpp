// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/sha256.h"

#include <gtest/gtest.h>

#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

// FIPS 180-4 examples.
constexpr const char* kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(sha256(std::string_view("abc")), kOfAbc);
  EXPECT_EQ(sha256(std::string_view("")), kOfNothing);
}

TEST(Sha256, PiecesGiveTheDigestOfTheWhole) {
  Sha256 hash;
  for (const char letter : {'a', 'b', 'c'}) hash.update(std::as_bytes(std::span(&letter, 1)));
  EXPECT_EQ(hash.finish(), kOfAbc);
}

TEST(Sha256, FileHasTheDigestOfItsBytes) {
  EXPECT_EQ(sha256_of_file(ScratchFile(".txt", "abc").path()), kOfAbc);
  EXPECT_EQ(sha256_of_file(ScratchFile(".txt", "").path()), kOfNothing);
  EXPECT_EQ(error_of([] { sha256_of_file("/nowhere/x"); }), "/nowhere/x: no such file; there is no folder '/nowhere'");
}

}  // namespace
}  // namespace oscsim
