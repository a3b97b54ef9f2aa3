// SPDX-License-Identifier: Apache-2.0
// Inputs that become shorter while they are read.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "sim/config/open_files.h"
#include "sim/workload/checkpoint.h"
#include "sim/workload/mapped_file.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

constexpr int kStatus = 2;

// Reads the byte at `offset` of a file of which only `left` bytes are left.
void read_after_truncation(const ScratchFile& scratch, std::size_t offset, std::size_t left) {
  const MappedFile file(scratch.path());
  std::filesystem::resize_file(scratch.path(), left);
  file.release(file.bytes());
  static_cast<void>(*static_cast<const volatile std::byte*>(&file.bytes()[offset]));
}

TEST(FaultD6, ALostByteIsNamedWithItsFile) {
  const ScratchFile scratch(".safetensors", std::string(1 << 20, 'x'));
  EXPECT_EXIT(
      {
        config::prepare_for_the_end(kStatus);
        read_after_truncation(scratch, 700'000, 4096);
      },
      testing::ExitedWithCode(kStatus),
      "^oscsim: " + scratch.path() + ": byte 700000 is gone: the file became shorter while it was read\n$");
}

TEST(FaultD6, VariantTheSecondOfSeveralFilesAfterAMove) {
  const ScratchFile first(".npy", std::string(1 << 16, 'x')), second(".npy", std::string(1 << 16, 'x'));
  EXPECT_EXIT(
      {
        config::prepare_for_the_end(kStatus);
        MappedFile file(first.path());
        file = MappedFile(second.path());
        const MappedFile moved(std::move(file));
        std::filesystem::resize_file(second.path(), 0);
        static_cast<void>(*static_cast<const volatile std::byte*>(&moved.bytes()[5]));
      },
      testing::ExitedWithCode(kStatus), "^oscsim: " + second.path() + ": byte 5 is gone: ");
}

TEST(FaultD6, VariantAWorkersLineGoesToItsParent) {
  const ScratchFile scratch(".npy", std::string(1 << 16, 'x'));
  constexpr std::size_t kSize = 4096;
  auto* shared = static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(shared, MAP_FAILED);
  EXPECT_EXIT(
      {
        config::prepare_for_the_end(kStatus);
        config::leave_last_words_in({shared, kSize});
        read_after_truncation(scratch, 9000, 0);
      },
      testing::ExitedWithCode(kStatus), "^$");
  EXPECT_EQ(std::string(shared), scratch.path() + ": byte 9000 is gone: the file became shorter while it was read");
  munmap(shared, kSize);
}

TEST(FaultD6, VariantABusErrorOfAnotherKindKeepsItsSignal) {
  EXPECT_EXIT(
      {
        config::prepare_for_the_end(kStatus);
        raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "^$");
}

TEST(FaultB1, VariantShardsOfWhichNothingIsUsedAreInputs) {
  const ScratchFile shard(".safetensors", "x");
  const std::filesystem::path place(shard.path());
  const ScratchFile index(".safetensors.index.json",
                          R"({"weight_map": {"w": ")" + place.filename().string() + R"("}})");
  const ShardedCheckpoint checkpoint(index.path());
  EXPECT_EQ(error_of(
                [&] {
                  const config::OutputClaims claims({{"--outputs", shard.path()}});
                },
                shard.path()),
            "--outputs FILE: is the input FILE; nothing is written over what is read");
}

}  // namespace
}  // namespace oscsim
