// SPDX-License-Identifier: Apache-2.0
// GEMM topologies of SCALE-Sim (github.com/scalesim-project/SCALE-Sim): lines "Layer,M,N,K,".
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <string_view>

#include "models/base/error.h"
#include "sim/config/files.h"
#include "sim/config/units.h"
#include "sim/workload/generate.h"
#include "sim/workload/trace_select.h"

namespace oscsim {
namespace {

constexpr std::size_t kLargestCsv = std::size_t{64} << 20;  // bytes

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The fields of one line, without empty ones at its end.
std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> fields;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    fields.emplace_back(trimmed(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  while (!fields.empty() && fields.back().empty()) fields.pop_back();
  return fields;
}

// A heading names its columns; a line of data has a number in the second one.
bool is_heading(const std::vector<std::string>& fields) {
  return fields.size() > 1 && !fields[1].empty() && std::isalpha(static_cast<unsigned char>(fields[1][0]));
}

void check_heading(const std::string& place, const std::vector<std::string>& fields) {
  constexpr std::string_view kNames[] = {"M", "N", "K"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    const std::string found = i + 1 < fields.size() ? fields[i + 1] : "";
    if (found.size() == 1 && std::toupper(static_cast<unsigned char>(found[0])) == kNames[i][0]) continue;
    input_error("{}: column {} is '{}', expected '{}'; the columns are Layer,M,N,K", place, i + 2, found, kNames[i]);
  }
}

TraceEntry entry_of(const std::string& place, const std::vector<std::string>& fields) {
  if (fields.size() != 4) input_error("{}: {} columns, expected 4: Layer,M,N,K", place, fields.size());
  if (fields[0].empty()) input_error("{}: the name is empty", place);
  if (fields[0].find_first_of("{}") != std::string::npos)
    input_error("{}: '{}' has a brace; names of layers have none", place, fields[0]);
  std::int64_t sizes[3] = {};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto [value, problem] = config::parse_integer(fields[i + 1]);
    if (!value) input_error("{}: {} must be an integer: {}", place, "MNK"[i], problem);
    sizes[i] = *value;
  }
  Gemm gemm;
  gemm.m = gemm.input_rows = sizes[0];
  gemm.n = sizes[1];
  gemm.k = sizes[2];
  check_sizes(place, gemm);
  TraceEntry entry;
  entry.name = fields[0];
  entry.m.values = {gemm.m};
  entry.n = gemm.n;
  entry.k = gemm.k;
  return entry;
}

}  // namespace

TraceDocument read_csv(const std::string& path) {
  std::string text = config::read_file(path, kLargestCsv);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // byte order mark of UTF-8
  TraceDocument document;
  document.model = std::filesystem::path(path).stem().string();
  document.source = path;
  std::map<std::string, std::size_t> lines;
  std::size_t number = 0;
  bool is_first = true;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::vector<std::string> fields = fields_of(std::string_view(text).substr(begin, end - begin));
    const std::string place = fmt::format("{}:{}", path, ++number);
    begin = end + 1;
    if (fields.empty()) continue;
    if (std::exchange(is_first, false) && is_heading(fields)) {
      check_heading(place, fields);
      continue;
    }
    document.gemms.push_back(entry_of(place, fields));
    const auto [earlier, is_new] = lines.try_emplace(fields[0], number);
    if (!is_new)
      input_error("{}: a second layer has the name '{}'; the first is in line {}", place, fields[0], earlier->second);
  }
  if (document.gemms.empty()) input_error("{}: no GEMMs; expected lines Layer,M,N,K", path);
  return document;
}

}  // namespace oscsim
