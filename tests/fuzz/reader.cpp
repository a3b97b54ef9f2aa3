// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/reader.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "models/base/error.h"
#include "sim/config/document.h"
#include "sim/config/files.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {

std::span<const Reader> readers() {
  static const std::vector<Reader> kReaders{machine_reader(),       scheme_reader(),      costs_reader(),
                                            channel_table_reader(), trace_reader(),       sweep_reader(),
                                            condition_reader(),     sweep_json_reader(),  sweep_points_reader(),
                                            sweep_rows_reader(),    config_json_reader(), checkpoint_index_reader(),
                                            safetensors_reader(),   npy_reader(),         csv_reader(),
                                            only_reader(),          gemm_reader(),        settings_reader()};
  return kReaders;
}

bool takes(const Reader& reader, std::string_view input) {
  // A copy that ends where the input ends: the sanitizer sees a read behind it.
  const auto copy = std::make_unique<char[]>(input.size());
  std::ranges::copy(input, copy.get());
  try {
    reader.read({copy.get(), input.size()});
    return true;
  } catch (const InputError& error) {
    ensure(std::string_view(error.what()).starts_with(reader.origin), "the message '{}' does not begin with '{}'",
           error.what(), reader.origin);
    return false;
  }
}

void touch(std::span<const std::byte> bytes) {
  static volatile unsigned sum = 0;  // keeps the reads
  unsigned total = 0;
  for (const std::byte byte : bytes) total += std::to_integer<unsigned>(byte);
  sum = sum + total;
}

std::string file_text(const std::string& path) {
  return config::read_file(std::filesystem::path(OSCSIM_SOURCE_ROOT) / path, config::kLargestFile);
}

std::vector<Seed> files_of(const std::string& folder, std::string_view extension) {
  std::vector<Seed> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(OSCSIM_SOURCE_ROOT) / folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(extension)) seeds.push_back({name, file_text(folder + "/" + name)});
  }
  std::ranges::sort(seeds, {}, &Seed::name);  // the same order on every file system
  return seeds;
}

std::vector<Seed> yaml_seeds(std::vector<Seed> good) {
  const std::string text = good.front().input;
  for (auto&& [name, input] : std::initializer_list<std::pair<const char*, std::string>>{
           {"empty", ""},
           {"two_documents", text + "---\n" + text},
           {"cut", text.substr(0, text.size() / 2)},
           {"marked_utf8", "\xEF\xBB\xBF" + text},
           {"latin1", text + "# caf\xE9\n"},
           {"tab", "a:\n\tb: 1\n"},
           {"tag", "!!python/object:os.system {a: 1}\n"},
           {"aliases", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c, *d]\n"},
           {"merge", "a: &a {x: 1}\nb: {<<: *a, y: 2}\n"},
           {"deep", std::string(200, '[')},
           {"open_quote", "a: \"b\nc: 'd\n"},
           {"block", "a: |\n  text\nb: >-\n  more\n? [complex]\n: value\n"},
           {"numbers", "a: [010, 0x1F, 1_000, 1e999, .inf, .nan, -0, 9223372036854775808]\n"},
           {"list", "- 1\n- {a: b}\n"}})
    good.push_back({name, input});
  return good;
}

}  // namespace oscsim::fuzz
