// SPDX-License-Identifier: Apache-2.0
// Feeds one reader, or all, with its seeds and with mutations of them: mutation N is the same at every run. What a
// reader must do is in reader.h. --write DIR writes the seeds for libFuzzer (scripts/fuzz.sh) and stops.
#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "models/base/error.h"
#include "sim/workload/counter_random.h"
#include "tests/fuzz/reader.h"

namespace oscsim::fuzz {
namespace {

constexpr std::size_t kMostEdits = 6;  // of one mutation

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
                                        "(",
                                        "'",
                                        "\\u0000",
                                        ": ",
                                        "\n",
                                        "\xE9"};

class Mutator {
 public:
  Mutator(const Reader& reader, std::uint64_t number)
      : reader_(reader), key_(random_key(number, std::string(reader.name))) {}

  std::string mutated(const std::vector<Seed>& all) {
    std::string input = all[draw(all.size())].input;
    const std::size_t edits = 1 + draw(kMostEdits);
    for (std::size_t i = 0; i < edits; ++i) edit(input, all[draw(all.size())].input);
    if (reader_.mend != nullptr && draw(2) == 0) reader_.mend(input);
    return input;
  }

 private:
  std::size_t draw(std::size_t range) {
    return static_cast<std::size_t>(random_bits(key_, counter_++) % std::max<std::size_t>(range, 1));
  }

  std::string_view piece() {
    const std::size_t at = draw(std::size(kPieces) + reader_.words.size());
    return at < std::size(kPieces) ? kPieces[at] : reader_.words[at - std::size(kPieces)];
  }

  void edit(std::string& input, const std::string& other) {
    const std::size_t at = draw(input.size() + 1);
    const std::size_t count = draw(16);
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
        input.replace(at, count / 4, piece());
        break;
      case 4:
        if (draw(4) == 0) input.resize(at);
        break;
      default:
        input.replace(at, count, other.substr(draw(other.size()), count));
    }
  }

  const Reader& reader_;
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

struct Limits {
  double seconds = 10;
  std::uint64_t first = 0, runs = UINT64_MAX;
};

// Says which input it was, then lets the finding end the program.
bool fed(const Reader& reader, const std::string& input, const std::string& which) {
  try {
    return takes(reader, input);
  } catch (const std::exception& error) {
    const nlohmann::json text(input);
    std::cerr << reader.name << ", " << which << ": " << error.what() << "\n  "
              << text.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) << "\n";
    throw;
  }
}

// Nothing and everything are both wrong: such a reader, or such seeds, tell nothing.
bool run(const Reader& reader, const Limits& limits) {
  const auto start = std::chrono::steady_clock::now();
  const auto is_over = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() >= limits.seconds;
  };
  const std::vector<Seed> all = reader.seeds();
  std::size_t accepted = 0;
  for (const Seed& seed : all) accepted += fed(reader, seed.input, "seed " + seed.name) ? 1 : 0;
  std::uint64_t taken = 0, number = limits.first;
  for (; number - limits.first < limits.runs && !is_over(); ++number)
    taken += fed(reader, Mutator(reader, number).mutated(all), fmt::format("--first {} --runs 1", number)) ? 1 : 0;
  std::cout << fmt::format("{}: {} of {} seeds and {} of {} mutations taken\n", reader.name, accepted, all.size(),
                           taken, number - limits.first);
  return accepted > 0 && accepted < all.size();
}

void write_seeds(const Reader& reader, const std::filesystem::path& folder) {
  for (const Seed& seed : reader.seeds()) std::ofstream(folder / seed.name, std::ios::binary) << seed.input;
  // What libFuzzer takes as -dict.
  std::ofstream words(folder.string() + ".dict");
  for (const std::string_view word : reader.words) {
    words << '"';
    for (const char letter : word) words << fmt::format("\\x{:02X}", static_cast<unsigned char>(letter));
    words << "\"\n";
  }
}

int main_of(const std::string& name, const Limits& limits, const std::string& folder, bool only_lists) {
  bool is_known = name == "all", passed = true;
  for (const Reader& reader : readers()) {
    if (only_lists) std::cout << reader.name << " " << reader.longest << "\n";
    if (only_lists || (name != "all" && name != reader.name)) continue;
    is_known = true;
    if (folder.empty())
      passed &= run(reader, limits);
    else
      write_seeds(reader, folder);
  }
  if (!is_known && !only_lists) std::cerr << "no reader '" << name << "'; --list shows them\n";
  return only_lists || (is_known && passed) ? 0 : 1;
}

}  // namespace
}  // namespace oscsim::fuzz

int main(int argc, char** argv) {
  CLI::App app("Feeds hostile inputs to the readers");
  oscsim::fuzz::Limits limits;
  std::string name = "all", folder;
  bool only_lists = false;
  app.add_option("reader", name, "a reader, or all")->capture_default_str();
  app.add_option("--seconds", limits.seconds, "mutate for so long")->capture_default_str();
  app.add_option("--runs", limits.runs, "no more mutations than these");
  app.add_option("--first", limits.first, "number of the first mutation")->capture_default_str();
  app.add_option("--write", folder, "write the seeds into this folder and stop");
  app.add_flag("--list", only_lists, "print the readers and the longest inputs worth making, and stop");
  CLI11_PARSE(app, argc, argv);
  return oscsim::fuzz::main_of(name, limits, folder, only_lists);
}
