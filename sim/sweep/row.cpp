// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/row.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "models/base/error.h"
#include "sim/config/json_output.h"

namespace oscsim::sweep {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 12> kParts{"tensor",      "branch",      "startup",     "wait_load",
                                                  "wait_gather", "wait_tensor", "wait_vector", "wait_feed",
                                                  "wait_drain",  "wait_memory", "vector",      "idle"};

// Sums over GEMMs, shared work and operations of one side.
struct SideSum {
  std::int64_t gemm = 0, shared = 0, operation = 0;
  std::array<std::int64_t, kParts.size()> parts{};
  units::Traffic traffic;
  const SideResult* longest = nullptr;  // GEMM
  std::int64_t longest_cycles = 0;      // times repeat
  std::optional<double> sqnr;

  void add(const SideResult& side, std::int64_t repeat, std::int64_t& cycles) {
    cycles += side.cycles.count() * repeat;
    for (const auto& [name, part] : side.cycle_stack) {
      const auto at = std::ranges::find(kParts, name);
      ensure(at != kParts.end(), "a cycle stack has a part that rows do not know: {}", name);
      parts[static_cast<std::size_t>(at - kParts.begin())] += part.count() * repeat;
    }
    traffic.hbm_read += side.traffic.hbm_read * repeat;
    traffic.hbm_write += side.traffic.hbm_write * repeat;
    traffic.l2_read += side.traffic.l2_read * repeat;
    traffic.l2_write += side.traffic.l2_write * repeat;
  }

  void add_gemm(const SideResult& side, std::int64_t repeat) {
    add(side, repeat, gemm);
    if (longest == nullptr || side.cycles.count() * repeat > longest_cycles) {
      longest = &side;
      longest_cycles = side.cycles.count() * repeat;
    }
    if (side.accuracy) sqnr = std::min(sqnr.value_or(INFINITY), side.accuracy->sqnr_db);
  }
};

SideSum sum_of(const RunResult& result, SideResult GemmResult::*gemm_side,
               std::optional<SideResult> SharedResult::*shared_side,
               std::optional<SideResult> OperationResult::*operation_side) {
  SideSum sum;
  for (const GemmResult& gemm : result.gemms) sum.add_gemm(gemm.*gemm_side, gemm.repeat);
  for (const SharedResult& shared : result.shared)
    if (shared.*shared_side) sum.add(*(shared.*shared_side), shared.repeat, sum.shared);
  for (const OperationResult& operation : result.operations)
    if (operation.*operation_side) sum.add(*(operation.*operation_side), operation.repeat, sum.operation);
  return sum;
}

Json finite(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json();
}

void add_tile(Json& json, const std::string& side, const SideResult* longest) {
  const Tiling* tile = longest != nullptr && longest->tile ? &*longest->tile : nullptr;
  const auto put = [&](const char* name, auto&& value) {
    json[fmt::format("{}_tile_{}", side, name)] = tile != nullptr ? Json(value()) : Json();
  };
  put("m", [&] { return tile->m; });
  put("n", [&] { return tile->n; });
  put("k", [&] { return tile->passes.front().step; });
  put("stage_k", [&] { return tile->passes.front().stage; });
  put("order", [&] { return std::string(name_of(tile->order)); });
  put("cores_m", [&] { return tile->cores_m; });
  put("cores_n", [&] { return tile->cores_n; });
}

// `sum` is null for a row without results: its columns are there, and null.
void add_side(Json& json, const std::string& side, const SideSum* sum, const SideTotal* total) {
  const auto put = [&](std::string_view name, const auto& value) {
    json[fmt::format("{}_{}", side, name)] = sum != nullptr ? Json(value()) : Json();
  };
  put("cycles", [&] { return total->cycles.count(); });
  put("time_us", [&] { return total->time_us; });
  put("gemm_cycles", [&] { return sum->gemm; });
  put("shared_cycles", [&] { return sum->shared; });
  put("operation_cycles", [&] { return sum->operation; });
  put("bound", [&] {
    const auto largest = std::ranges::max_element(sum->parts) - sum->parts.begin();
    return std::string(kParts[static_cast<std::size_t>(largest)]);
  });
  for (std::size_t i = 0; i < kParts.size(); ++i)
    put(fmt::format("stack_{}", kParts[i]), [&] { return sum->parts[i]; });
  put("hbm_read_bytes", [&] { return sum->traffic.hbm_read.count(); });
  put("hbm_write_bytes", [&] { return sum->traffic.hbm_write.count(); });
  put("l2_read_bytes", [&] { return sum->traffic.l2_read.count(); });
  put("l2_write_bytes", [&] { return sum->traffic.l2_write.count(); });
  add_tile(json, side, sum != nullptr ? sum->longest : nullptr);
  json[side + "_sqnr_db"] = sum != nullptr ? finite(sum->sqnr) : Json();
  json[side + "_energy_uj"] = sum != nullptr ? finite(total->energy.total()) : Json();
}

std::string line_of(const Json& json) {
  return config::json_text(json);
}

std::string row_line(const std::string& key, Status status, const Json& error, const RunResult* result) {
  Json json;
  json["key"] = key;
  json["status"] = std::string(name_of(status));
  json["error"] = error;
  if (result == nullptr) {
    json["speedup"] = nullptr;
    json["area_mm2"] = nullptr;
    add_side(json, "scheme", nullptr, nullptr);
    add_side(json, "baseline", nullptr, nullptr);
    return line_of(json);
  }
  json["speedup"] = finite(result->speedup());
  json["area_mm2"] = finite(result->area.total());
  const SideSum scheme = sum_of(*result, &GemmResult::scheme, &SharedResult::scheme, &OperationResult::scheme);
  const SideSum baseline = sum_of(*result, &GemmResult::baseline, &SharedResult::baseline, &OperationResult::baseline);
  add_side(json, "scheme", &scheme, &result->scheme_total);
  add_side(json, "baseline", &baseline, &result->baseline_total);
  return line_of(json);
}

}  // namespace

std::string point_line(const Sweep& sweep, std::size_t index, const std::string& key) {
  Json json;
  json["key"] = key;
  json["index"] = index;
  for (const Choice& choice : sweep.choices(sweep.points[index])) {
    json[choice.parameter->path] = choice.value->plain;
    json[choice.parameter->path + ".text"] = choice.value->text;
  }
  return line_of(json);
}

std::string ok_line(const std::string& key, const RunResult& result) {
  return row_line(key, Status::ok, nullptr, &result);
}

std::string error_line(const std::string& key, Status status, std::string_view error) {
  return row_line(key, status, std::string(error), nullptr);
}

bool is_key(std::string_view text) {
  constexpr std::size_t kDigits = 20;
  return text.size() == kDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

const std::vector<std::string>& row_columns() {
  static const std::vector<std::string> kColumns = [] {
    std::vector<std::string> names;
    const Json row = Json::parse(error_line("", Status::missing, ""));
    for (const auto& [name, value] : row.items())
      if (name != "key") names.push_back(name);
    return names;
  }();
  return kColumns;
}

bool is_row_value(const std::string& name, const Json& value) {
  if (name == "status") return value.is_string();
  const bool is_text = name == "error" || name.ends_with("_bound") || name.ends_with("_tile_order");
  return value.is_null() || (is_text ? value.is_string() : value.is_number());
}

std::optional<RowHead> head_of(std::string_view line) {
  constexpr std::string_view kFront = R"({"key":")", kMiddle = R"(","status":")";
  if (!line.starts_with(kFront) || !line.ends_with('}')) return std::nullopt;
  line.remove_prefix(kFront.size());
  const std::size_t middle = line.find(kMiddle);
  if (middle == std::string_view::npos) return std::nullopt;
  if (!is_key(line.substr(0, middle))) return std::nullopt;
  const std::string_view rest = line.substr(middle + kMiddle.size());
  const auto status = enum_from<Status>(rest.substr(0, rest.find('"')));
  if (!status) return std::nullopt;
  return RowHead{std::string(line.substr(0, middle)), *status};
}

std::string merged_line(std::string_view point, std::string_view row) {
  point.remove_suffix(1);                        // the closing brace
  row.remove_prefix(row.find(R"(,"status":)"));  // the key is there already
  return fmt::format("{}{}", point, row);
}

}  // namespace oscsim::sweep
