// SPDX-License-Identifier: Apache-2.0
#include "sim/report/json.h"

#include <cmath>

#include "sim/config/json_output.h"

namespace oscsim {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const CycleList& parts) {
  Json json = Json::object();
  for (const auto& [part, cycles] : parts) json[part] = cycles.count();
  return json;
}

Json to_json(const units::Traffic& traffic) {
  return {{"hbm_read", traffic.hbm_read.count()},
          {"hbm_write", traffic.hbm_write.count()},
          {"l2_read", traffic.l2_read.count()},
          {"l2_write", traffic.l2_write.count()}};
}

Json to_json(const Tiling& tile) {
  Json passes = Json::array();
  for (const PassTiling& pass : tile.passes)
    passes.push_back({{"k", pass.step}, {"stage_k", pass.stage}, {"scale_stages", pass.scale_stages}});
  return {{"m", tile.m},
          {"n", tile.n},
          {"passes", passes},
          {"order", std::string(name_of(tile.order))},
          {"cores_m", tile.cores_m},
          {"cores_n", tile.cores_n},
          {"core_m", tile.core_m},
          {"core_n", tile.core_n},
          {"l1_slots", tile.l1_slots},
          {"parts_m", tile.parts_m},
          {"drain_follows", tile.drain_follows},
          {"constants_folded", tile.constants_folded}};
}

Json to_json(const AttentionTiling& tile) {
  return {{"rows", tile.rows},
          {"keys", tile.keys},
          {"step_d", tile.step_d},
          {"step_keys", tile.step_keys},
          {"stage", tile.stage}};
}

template <class Part>
Json parts_json(const cost::Breakdown<Part>& parts) {
  Json json = Json::object();
  for (const auto& [name, part] : EnumNames<Part>::kValues) json[std::string(name)] = parts[part].value;
  return json;
}

Json tile_of(const SideResult& side) {
  if (side.tile) return to_json(*side.tile);
  return side.attention_tile ? to_json(*side.attention_tile) : Json();
}

Json to_json(const Verification& verification) {
  return {{"compared", verification.compared},
          {"outputs", verification.outputs},
          {"rows", verification.rows},
          {"differing", verification.differing},
          {"first_difference", verification.first_difference.empty() ? Json() : Json(verification.first_difference)}};
}

Json to_json(const Closeness& found) {
  return {{"sqnr_db", found.sqnr_db}, {"max_abs_error", found.max_abs_error}, {"cosine", found.cosine}};
}

Json to_json(const LayerSide& side) {
  Json json{{"name", side.scheme}};
  json.update(to_json(side.gemms));
  json["chained"] = side.chained ? to_json(*side.chained) : Json();
  return json;
}

Json to_json(const LayerResult& result) {
  return {{"layer", result.layer},
          {"gemms", result.gemms},
          {"scheme", to_json(result.scheme)},
          {"baseline", to_json(result.baseline)}};
}

Json to_json(const SideResult& side) {
  Json json;
  json["name"] = side.scheme;
  json["formats"] = side.formats;
  json["cycles"] = side.cycles.count();
  json["time_us"] = side.time_us;
  json["bound"] = side.bound;
  json["cycle_stack"] = to_json(side.cycle_stack);
  json["busy_cycles"] = to_json(side.busy_cycles);
  json["bytes"] = to_json(side.traffic);
  json["tile"] = tile_of(side);
  json["energy_uj"] = side.energy.total();
  json["energy_parts_uj"] = parts_json(side.energy);
  json["sqnr_db"] = side.accuracy ? Json(side.accuracy->sqnr_db) : Json();
  json["max_abs_error"] = side.accuracy ? Json(side.accuracy->max_abs_error) : Json();
  json["cosine"] = side.accuracy ? Json(side.accuracy->cosine) : Json();
  json["accuracy_rows"] = side.accuracy ? Json(side.accuracy->rows) : Json();
  json["output_sha256"] = side.accuracy ? Json(side.accuracy->output_sha256) : Json();
  if (!side.weight.empty()) json["weight"] = side.weight;
  json["chained"] = side.chained ? to_json(*side.chained) : Json();
  json["verification"] = side.verification ? to_json(*side.verification) : Json();
  return json;
}

Json to_json(const std::optional<SideResult>& side) {
  return side ? to_json(*side) : Json();
}

Json to_json(const GemmResult& result) {
  return {{"name", result.gemm.name},
          {"position", std::string(name_of(result.gemm.position))},
          {"m", result.gemm.m},
          {"n", result.gemm.n},
          {"k", result.gemm.k},
          {"repeat", result.repeat},
          {"scheme", to_json(result.scheme)},
          {"baseline", to_json(result.baseline)},
          {"chain_input", result.chain_input ? to_json(*result.chain_input) : Json()},
          {"speedup", result.speedup()}};
}

Json sizes_of(const Operation& operation) {
  if (const auto* sizes = std::get_if<AttentionSizes>(&operation.sizes))
    return {{"sequences", sizes->sequences}, {"heads", sizes->heads},     {"kv_heads", sizes->kv_heads},
            {"head_dim", sizes->head_dim},   {"queries", sizes->queries}, {"keys", sizes->keys},
            {"causal", sizes->causal},       {"window", sizes->window}};
  const auto& sizes = std::get<RowSizes>(operation.sizes);
  return {{"rows", sizes.rows}, {"width", sizes.width}};
}

Json to_json(const OperationResult& result) {
  return {{"name", result.operation.name},       {"op", result.kind},
          {"sizes", sizes_of(result.operation)}, {"repeat", result.repeat},
          {"scheme", to_json(result.scheme)},    {"baseline", to_json(result.baseline)}};
}

Json to_json(const SharedResult& result) {
  return {{"input", result.input},
          {"position", std::string(name_of(result.position))},
          {"m", result.m},
          {"k", result.k},
          {"repeat", result.repeat},
          {"scheme", to_json(result.scheme)},
          {"baseline", to_json(result.baseline)}};
}

Json to_json(const SideTotal& total) {
  return {{"cycles", total.cycles.count()},
          {"time_us", total.time_us},
          {"energy_uj", total.energy.total()},
          {"energy_parts_uj", parts_json(total.energy)},
          {"energy_assumed_share", total.energy.assumed_share()}};
}

}  // namespace

std::string result_json(const RunResult& result) {
  Json json;
  json["schema"] = 1;
  json["provenance"] = result.provenance;
  json["gemms"] = Json::array();
  for (const GemmResult& gemm : result.gemms) json["gemms"].push_back(to_json(gemm));
  json["operations"] = Json::array();
  for (const OperationResult& operation : result.operations) json["operations"].push_back(to_json(operation));
  json["shared"] = Json::array();
  for (const SharedResult& shared : result.shared) json["shared"].push_back(to_json(shared));
  json["layers"] = Json::array();
  for (const LayerResult& layer : result.layers) json["layers"].push_back(to_json(layer));
  json["total"] = {{"scheme", to_json(result.scheme_total)},
                   {"baseline", to_json(result.baseline_total)},
                   {"speedup", result.speedup()}};
  json["whole"] = {
      {"operations_left_out", result.left_out},
      {"speedup", result.whole_speedup()},
      {"gemm_share", {{"scheme", result.scheme_gemm_share()}, {"baseline", result.baseline_gemm_share()}}}};
  json["area_mm2"] = {{"total", result.area.total()},
                      {"parts", parts_json(result.area)},
                      {"assumed_share", result.area.assumed_share()}};
  return config::json_text(json, 2) + "\n";
}

}  // namespace oscsim
