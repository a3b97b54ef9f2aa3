// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/trace_select.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "models/base/error.h"
#include "models/base/quantity.h"
#include "sim/config/node.h"
#include "sim/config/units.h"
#include "sim/workload/name_pattern.h"

namespace oscsim {
namespace {

constexpr std::int64_t kLargestElement = 4;  // bytes: FP32
constexpr std::size_t kNamesShown = 3;

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts{""};
  for (const char letter : text) {
    if (letter == separator)
      parts.emplace_back();
    else
      parts.back() += letter;
  }
  for (std::string& part : parts) part = trimmed(part);
  return parts;
}

// "it has 252 GEMMs and 324 other operations in layers 0-35: a, b, c, ..."
std::string content(const Trace& trace) {
  std::vector<std::string> names;
  std::int64_t first = std::numeric_limits<std::int64_t>::max(), last = -1;
  const auto add = [&](const std::string& name, std::int64_t layer) {
    if (names.size() < kNamesShown) names.push_back(name);
    first = std::min(first, layer);
    last = std::max(last, layer);
  };
  for (const Gemm& gemm : trace.gemms) add(gemm.name, gemm.layer);
  for (const Operation& operation : trace.operations) add(operation.name, operation.layer);
  const std::size_t gemms = trace.gemms.size(), operations = trace.operations.size();
  const std::string layers =
      last < 0 ? "outside layers" : fmt::format("in layers {}-{}", std::max<std::int64_t>(first, 0), last);
  const std::string others =
      operations == 0 ? "" : fmt::format(" and {} other operation{}", operations, operations == 1 ? "" : "s");
  return fmt::format("the trace has {} GEMM{}{} {}: {}{}", gemms, gemms == 1 ? "" : "s", others, layers, joined(names),
                     gemms + operations > kNamesShown ? ", ..." : "");
}

void check_product(const std::string& what, const char* names, std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product) || __builtin_mul_overflow(product, kLargestElement, &product))
    input_error("{}: {} = {} x {} overflows: its bytes do not fit in 63 bits", what, names, a, b);
}

}  // namespace

LayerRange parse_layer_range(const std::string& text) {
  const std::vector<std::string> ends = split(text, '-');
  std::vector<std::int64_t> values;
  for (const std::string& end : ends)
    if (const auto value = config::parse_integer(end).value) values.push_back(*value);
  if (values.size() != ends.size() || ends.size() > 2)
    input_error("'{}' is no range; expected a number such as 4 or a range such as 0-3", text);
  if (values.front() > values.back())
    input_error("range '{}' runs backwards; write {}-{}", text, values.back(), values.front());
  return {.first = values.front(), .last = values.back()};
}

void check_sizes(const std::string& what, const Gemm& gemm) {
  for (const auto& [name, size] : {std::pair("m", gemm.m), {"n", gemm.n}, {"k", gemm.k}})
    if (size < 1) input_error("{}: {} = {}; allowed: at least 1", what, name, size);
  check_product(what, "m x n", gemm.m, gemm.n);
  check_product(what, "m x k", std::max(gemm.m, gemm.input_rows), gemm.k);
  check_product(what, "n x k", gemm.n, gemm.k);
  std::int64_t macs = 0;
  if (__builtin_mul_overflow(gemm.m * gemm.n, gemm.k, &macs))
    input_error("{}: m x n x k = {} x {} x {} overflows: does not fit in 63 bits", what, gemm.m, gemm.n, gemm.k);
}

Trace select(Trace trace, const std::optional<LayerRange>& layers, const std::optional<std::string>& only) {
  if (!layers && !only) return trace;
  Trace selected = trace;
  const auto keep = [&](const auto& is_kept) {
    std::erase_if(selected.gemms, [&](const Gemm& gemm) { return !is_kept(gemm.name, gemm.layer); });
    std::erase_if(selected.operations,
                  [&](const Operation& operation) { return !is_kept(operation.name, operation.layer); });
  };
  if (layers)
    keep([&](const std::string&, std::int64_t layer) { return layer >= layers->first && layer <= layers->last; });
  if (only) {
    const NamePattern pattern(*only);
    keep([&](const std::string& name, std::int64_t) { return pattern.is_in(name); });
  }
  if (!selected.gemms.empty() || !selected.operations.empty()) return selected;
  const std::string range = layers ? fmt::format("--layers {}-{}", layers->first, layers->last) : "";
  const std::string regex = only ? fmt::format("--only '{}'", config::excerpt(*only)) : "";
  input_error("{}{}{} selects nothing; {}", range, layers && only ? " with " : "", regex, content(trace));
}

Gemm parse_gemm(const std::string& text) {
  const std::vector<std::string> parts = split(text, ',');
  const std::string what = fmt::format("--gemm '{}'", text);
  if (parts.size() != 3 && parts.size() != 4)
    input_error("{}: {} value{}; expected M,N,K or M,N,K,position", what, parts.size(), parts.size() == 1 ? "" : "s");
  Gemm gemm;
  const std::pair<const char*, std::int64_t*> sizes[] = {{"M", &gemm.m}, {"N", &gemm.n}, {"K", &gemm.k}};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto [value, problem] = config::parse_integer(parts[i]);
    if (!value) input_error("{}: {} must be an integer: {}", what, sizes[i].first, problem);
    *sizes[i].second = *value;
  }
  if (parts.size() == 4) {
    const auto position = enum_from<Position>(parts[3]);
    const std::vector<std::string> allowed = names_of<Position>();
    if (!position)
      input_error("{}: unknown position '{}'; allowed: {}{}", what, parts[3], joined(allowed),
                  did_you_mean(parts[3], allowed));
    gemm.position = *position;
  }
  gemm.input_rows = gemm.m;
  check_sizes(what, gemm);
  gemm.name = fmt::format("gemm_{}x{}x{}", gemm.m, gemm.n, gemm.k);
  gemm.weight = gemm.name + ".weight";
  gemm.input = gemm.name + ".input";
  return gemm;
}

Trace parse_gemms(std::span<const std::string> texts) {
  Trace trace;
  std::map<std::string, int> uses;
  for (const std::string& text : texts) {
    Gemm gemm = parse_gemm(text);
    if (const int use = ++uses[gemm.name]; use > 1) {
      gemm.name += fmt::format("_{}", use);
      gemm.weight = gemm.name + ".weight";
      gemm.input = gemm.name + ".input";
    }
    trace.gemms.push_back(std::move(gemm));
  }
  return trace;
}

}  // namespace oscsim
