// SPDX-License-Identifier: Apache-2.0
// Readers of files with tensors against hostile ones: every seed, then mutations of seeds, the same at every run. Under
// the sanitizers a read outside the file is an error. --write DIR writes the seeds for libFuzzer (scripts/fuzz.sh).
#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "sim/workload/counter_random.h"
#include "tests/fuzz/hostile_files.h"

namespace oscsim {
namespace {

constexpr std::int64_t kMostEdits = 6;  // of one mutation

// Numbers and pieces that readers stumble over.
constexpr std::string_view kPieces[] = {"0",
                                        "-1",
                                        "4294967296",
                                        "9223372036854775807",
                                        "18446744073709551616",
                                        "1e999",
                                        "{",
                                        "}",
                                        "[]",
                                        "\"",
                                        ",",
                                        "null",
                                        "\"F32\"",
                                        "(",
                                        "\\u0000",
                                        "'"};

class Mutator {
 public:
  explicit Mutator(std::uint64_t number) : key_(random_key(number, "hostile")) {}

  std::string mutated(const std::vector<Seed>& all) {
    std::string input = all[draw(all.size())].input;
    const std::size_t edits = 1 + draw(kMostEdits);
    for (std::size_t i = 0; i < edits; ++i) edit(input, all[draw(all.size())].input);
    if (draw(2) == 0) mend_length(input);
    return input;
  }

 private:
  std::size_t draw(std::size_t range) {
    return static_cast<std::size_t>(random_bits(key_, counter_++) % std::max<std::size_t>(range, 1));
  }

  void edit(std::string& input, const std::string& other) {
    const std::size_t at = draw(input.size() + 1);
    const std::size_t count = draw(16);
    const std::string_view piece = kPieces[draw(std::size(kPieces))];
    switch (draw(6)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ 1 << draw(8));
        break;
      case 1:
        input.erase(at, count);
        break;
      case 2:
        input.insert(at, input.substr(at, count));
        break;
      case 3:
        input.replace(at, count / 4, piece);
        break;
      case 4:
        input.resize(at);
        break;
      default:
        input.replace(at, count, other.substr(draw(other.size()), count));
    }
  }

  // The header's length as if the whole rest were the header: edits of its text are then seen.
  void mend_length(std::string& input) {
    constexpr std::size_t kLength = 8;
    if (input.size() < 1 + kLength || input[0] % 3 != 0) return;
    const std::size_t end = input.rfind('}');
    if (end == std::string::npos || end < 1 + kLength) return;
    for (std::size_t i = 0; i < kLength; ++i) input[1 + i] = static_cast<char>((end - kLength) >> (8 * i) & 0xFF);
  }

  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

bool read_text(const std::string& input) {
  return reads(std::as_bytes(std::span(input)));
}

int run(std::int64_t mutations, const std::string& folder) {
  const std::vector<Seed> all = seeds();
  if (!folder.empty()) {
    for (const Seed& seed : all)
      std::ofstream(std::filesystem::path(folder) / seed.name, std::ios::binary) << seed.input;
    return 0;
  }
  std::int64_t accepted = 0;
  for (const Seed& seed : all) accepted += read_text(seed.input) ? 1 : 0;
  std::cout << all.size() << " seeds, " << accepted << " accepted\n";
  std::int64_t taken = 0;
  for (std::int64_t i = 0; i < mutations; ++i)
    taken += read_text(Mutator(static_cast<std::uint64_t>(i)).mutated(all)) ? 1 : 0;
  std::cout << mutations << " mutations, " << taken << " accepted\n";
  // Neither may be all: a reader that takes everything, or nothing, is broken.
  return accepted == 0 || accepted == std::ssize(all) || taken == 0 || taken == mutations ? 1 : 0;
}

}  // namespace
}  // namespace oscsim

int main(int argc, char** argv) {
  CLI::App app("Feeds hostile files to the readers of tensors");
  std::int64_t mutations = 20'000;
  std::string folder;
  app.add_option("--mutations", mutations)->capture_default_str();
  app.add_option("--write", folder, "write the seeds into this folder and stop");
  CLI11_PARSE(app, argc, argv);
  return oscsim::run(mutations, folder);
}
