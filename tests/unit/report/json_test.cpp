// SPDX-License-Identifier: Apache-2.0
#include "sim/report/json.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/report/sample.h"

namespace oscsim {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST(ResultJson, HasTheKeysOfSchemaOneInOrder) {
  const Json json = Json::parse(result_json(sample_result()));
  EXPECT_EQ(keys(json), (std::vector<std::string>{"schema", "provenance", "gemms", "operations", "shared", "layers",
                                                  "total", "whole", "area_mm2"}));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["provenance"]["version"], "0.1.0");
  EXPECT_EQ(keys(json["gemms"][0]), (std::vector<std::string>{"name", "position", "m", "n", "k", "repeat", "scheme",
                                                              "baseline", "chain_input", "speedup"}));
  EXPECT_EQ(keys(json["gemms"][0]["scheme"]),
            (std::vector<std::string>{"name", "formats", "cycles", "time_us", "bound", "cycle_stack", "busy_cycles",
                                      "bytes", "tile", "energy_uj", "energy_parts_uj", "sqnr_db", "max_abs_error",
                                      "cosine", "accuracy_rows", "output_sha256", "chained", "verification"}));
  EXPECT_EQ(keys(json["shared"][0]),
            (std::vector<std::string>{"input", "position", "m", "k", "repeat", "scheme", "baseline"}));
}

TEST(ResultJson, KeepsTheNumbers) {
  RunResult result = sample_result();
  result.baseline_total.time_us = 1.0 / 3;
  const Json json = Json::parse(result_json(result));
  const Json& scheme = json["gemms"][1]["scheme"];
  EXPECT_EQ(scheme["cycles"], 4000);
  EXPECT_EQ(scheme["cycle_stack"], (Json{{"tensor", 3000}, {"wait_load", 1000}, {"idle", 0}}));
  EXPECT_EQ(scheme["busy_cycles"], (Json{{"load", 2000}, {"tensor", 3000}}));
  EXPECT_EQ(scheme["bytes"],
            (Json{{"hbm_read", 3000000}, {"hbm_write", 1000000}, {"l2_read", 500000}, {"l2_write", 0}}));
  EXPECT_EQ(json["gemms"][1]["repeat"], 2);
  EXPECT_EQ(json["gemms"][1]["speedup"].get<double>(), 5.0 / 4.0);
  EXPECT_EQ(json["total"]["scheme"]["cycles"], 10000);
  EXPECT_EQ(json["total"]["baseline"]["time_us"].get<double>(), 1.0 / 3);
  EXPECT_EQ(json["total"]["speedup"].get<double>(), result.speedup());
  EXPECT_TRUE(json["shared"][0]["baseline"].is_null());
}

TEST(ResultJson, EnergyAndAreaStandByPart) {
  RunResult result = sample_result();
  result.gemms[0].scheme.energy[cost::EnergyPart::tensor] = {2.5, 0.5};
  result.gemms[0].scheme.energy[cost::EnergyPart::hbm] = {1.5, 0};
  result.scheme_total.energy = result.gemms[0].scheme.energy;
  result.area[cost::AreaPart::l2] = {8, 2};
  const Json json = Json::parse(result_json(result));
  const Json& scheme = json["gemms"][0]["scheme"];
  EXPECT_EQ(scheme["energy_uj"], 4.0);
  EXPECT_EQ(scheme["energy_parts_uj"]["tensor"], 2.5);
  EXPECT_EQ(keys(scheme["energy_parts_uj"]),
            (std::vector<std::string>{"tensor", "branch", "accumulate", "l0", "l0c", "l1", "ub", "gather", "vector",
                                      "l2", "hbm", "leakage"}));
  EXPECT_EQ(json["total"]["scheme"]["energy_uj"], 4.0);
  EXPECT_EQ(json["total"]["scheme"]["energy_parts_uj"]["hbm"], 1.5);
  EXPECT_EQ(json["total"]["scheme"]["energy_assumed_share"], 0.125);
  EXPECT_EQ(json["area_mm2"]["total"], 8.0);
  EXPECT_EQ(keys(json["area_mm2"]["parts"]),
            (std::vector<std::string>{"tensor", "branch", "gather", "vector", "buffers", "l2"}));
  EXPECT_EQ(json["area_mm2"]["assumed_share"], 0.25);
}

TEST(ResultJson, OperationsHaveTheirSizesAndSides) {
  RunResult result = sample_result();
  result.operations = sample_operations();
  sum_up(result);
  const Json json = Json::parse(result_json(result));
  ASSERT_EQ(json["operations"].size(), 2U);
  const Json& norm = json["operations"][0];
  EXPECT_EQ(keys(norm), (std::vector<std::string>{"name", "op", "sizes", "repeat", "scheme", "baseline"}));
  EXPECT_EQ(norm["op"], "rms_norm");
  EXPECT_EQ(norm["sizes"], (Json{{"rows", 16}, {"width", 32}}));
  EXPECT_EQ(norm["scheme"]["cycles"], 2000);
  const Json& attention = json["operations"][1];
  EXPECT_EQ(attention["sizes"], Json::parse(R"({"sequences": 2, "heads": 8, "kv_heads": 4, "head_dim": 64,
                                                "queries": 16, "keys": 128, "causal": true, "window": 0})"));
  EXPECT_EQ(attention["scheme"]["tile"],
            Json::parse(R"({"rows": 16, "keys": 64, "step_d": 64, "step_keys": 32, "stage": 128})"));
  EXPECT_TRUE(attention["baseline"].is_null());
  EXPECT_EQ(json["total"]["scheme"]["cycles"], 10000 + 5000);
  EXPECT_EQ(json["whole"]["operations_left_out"], 0);
  EXPECT_DOUBLE_EQ(json["whole"]["gemm_share"]["scheme"], 10.0 / 15);
  EXPECT_DOUBLE_EQ(json["whole"]["gemm_share"]["baseline"], 12.0 / 14);
  EXPECT_DOUBLE_EQ(json["whole"]["speedup"], 14.0 / 15);
}

TEST(ResultJson, OperationsThatAreLeftOutShowInTheWholeOnly) {
  RunResult result = sample_result();
  result.operations = sample_operations();
  sum_up(result);
  result.left_out = 2;
  result.operations.clear();
  result.scheme_total.time_us -= result.scheme_operations.time_us;
  result.baseline_total.time_us -= result.baseline_operations.time_us;
  const Json json = Json::parse(result_json(result));
  EXPECT_TRUE(json["operations"].empty());
  EXPECT_DOUBLE_EQ(json["total"]["speedup"], 12.0 / 10);
  EXPECT_EQ(json["whole"]["operations_left_out"], 2);
  EXPECT_DOUBLE_EQ(json["whole"]["gemm_share"]["scheme"], 10.0 / 15);
  EXPECT_DOUBLE_EQ(json["whole"]["speedup"], 14.0 / 15);
}

TEST(ResultJson, WhatIsNotThereIsNull) {
  const Json json = Json::parse(result_json(sample_result()));
  for (const char* key :
       {"tile", "sqnr_db", "max_abs_error", "cosine", "accuracy_rows", "output_sha256", "chained", "verification"})
    EXPECT_TRUE(json["gemms"][0]["scheme"][key].is_null()) << key;
}

TEST(ResultJson, TileIsAnObject) {
  RunResult result = sample_result();
  result.gemms[0].scheme.tile = Tiling{128, 256, {{64, 512, 4}, {32, 32}}, LoopOrder::a_resident, 4, 8};
  const Json json = Json::parse(result_json(result));
  EXPECT_EQ(json["gemms"][0]["scheme"]["tile"],
            Json::parse(R"({"m": 128, "n": 256, "passes": [{"k": 64, "stage_k": 512, "scale_stages": 4},
                                                           {"k": 32, "stage_k": 32, "scale_stages": 1}],
                            "order": "a_resident", "cores_m": 4, "cores_n": 8, "core_m": 0, "core_n": 0,
                            "l1_slots": 2, "parts_m": 1, "drain_follows": true, "constants_folded": true})"));
}

TEST(ResultJson, NonFiniteNumbersAreNull) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  RunResult result = sample_result();
  result.gemms[0].scheme.accuracy = Accuracy{kInfinity, 0, "aa", 9};
  result.gemms[0].baseline.accuracy = Accuracy{kNan, kNan, "bb"};
  result.gemms[1].scheme.time_us = 0;
  const Json json = Json::parse(result_json(result));
  const Json& exact = json["gemms"][0]["scheme"];
  EXPECT_TRUE(exact["sqnr_db"].is_null());
  EXPECT_EQ(exact["max_abs_error"], 0);
  EXPECT_EQ(exact["output_sha256"], "aa");
  EXPECT_EQ(exact["accuracy_rows"], 9);
  EXPECT_TRUE(json["gemms"][0]["baseline"]["max_abs_error"].is_null());
  EXPECT_TRUE(json["gemms"][1]["speedup"].is_null());
}

TEST(ResultJson, LayersAndChainsHaveTheirFigures) {
  RunResult result = sample_result();
  result.gemms[0].scheme.chained = Closeness{.sqnr_db = 12.5, .cosine = 0.75, .max_abs_error = 3};
  result.gemms[0].chain_input = Closeness{60, 0.999, 0.5};
  result.layers.resize(1);
  result.layers[0].layer = 4;
  result.layers[0].gemms = 7;
  result.layers[0].scheme = {"osc", {20, 0.5, 2}, Closeness{10, 0.25, 1}};
  result.layers[0].baseline = {"w8a8", {std::numeric_limits<double>::infinity(), 1, 0}, std::nullopt};
  const Json json = Json::parse(result_json(result));
  EXPECT_EQ(json["gemms"][0]["scheme"]["chained"],
            Json::parse(R"({"sqnr_db": 12.5, "max_abs_error": 3.0, "cosine": 0.75})"));
  EXPECT_EQ(json["gemms"][0]["chain_input"],
            Json::parse(R"({"sqnr_db": 60.0, "max_abs_error": 0.5, "cosine": 0.999})"));
  EXPECT_TRUE(json["gemms"][1]["chain_input"].is_null());
  EXPECT_EQ(json["layers"], Json::parse(R"([{"layer": 4, "gemms": 7,
                             "scheme": {"name": "osc", "sqnr_db": 20.0, "max_abs_error": 2.0, "cosine": 0.5,
                                        "chained": {"sqnr_db": 10.0, "max_abs_error": 1.0, "cosine": 0.25}},
                             "baseline": {"name": "w8a8", "sqnr_db": null, "max_abs_error": 0.0, "cosine": 1.0,
                                          "chained": null}}])"));
}

TEST(ResultJson, VerificationIsThereWhenAskedFor) {
  RunResult result = sample_result();
  result.gemms[0].scheme.verification = Verification{100, 1024, 2, 1, "row 3, column 4: 1 and 2"};
  const Json json = Json::parse(result_json(result));
  EXPECT_EQ(json["gemms"][0]["scheme"]["verification"],
            Json::parse(R"({"compared": 100, "outputs": 1024, "rows": 2, "differing": 1,
                            "first_difference": "row 3, column 4: 1 and 2"})"));
}

TEST(ResultJson, NamesThatAreNotUtf8StillGiveJson) {
  RunResult result = sample_result();
  result.gemms[0].gemm.name = "a\xff";
  EXPECT_EQ(Json::parse(result_json(result))["gemms"][0]["name"], "a\xef\xbf\xbd");
}

TEST(ResultJson, SameResultSameText) {
  EXPECT_EQ(result_json(sample_result()), result_json(sample_result()));
}

}  // namespace
}  // namespace oscsim
