// SPDX-License-Identifier: Apache-2.0
// Statistics of captured activations, and what is generated from them.
#include "sim/workload/fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "sim/workload/safetensors.h"
#include "sim/workload/tensors.h"
#include "sim/workload/trace_document.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

constexpr std::int64_t kTokens = 1536, kChannels = 2048;

// What the generator makes under one name, as a file.
void write_generated(const std::string& path, const SyntheticParams& params,
                     const std::vector<std::pair<std::string, Position>>& names, std::uint64_t seed) {
  const auto source = synthetic_tensors(params, seed);
  std::vector<SafetensorsSpec> specs;
  for (const auto& [name, position] : names) specs.push_back({name, "BF16", {kTokens, kChannels}});
  write_safetensors(path, specs, {}, [&](SafetensorsBody& body) {
    for (const auto& [name, position] : names) {
      const Tensor x = source->activation(name, position, kTokens, kChannels);
      body.append({x.view.data(), static_cast<std::size_t>(2 * kTokens * kChannels)});
    }
  });
}

void expect_near(const ActivationStatistics& found, const ActivationStatistics& asked) {
  EXPECT_NEAR(found.std, asked.std, 0.01 * asked.std);
  EXPECT_NEAR(found.density, asked.density, 0.01);
  EXPECT_NEAR(std::log(found.magnitude), std::log(asked.magnitude), 0.1);
  EXPECT_NEAR(found.magnitude_spread, asked.magnitude_spread, 0.05);
  EXPECT_NEAR(found.token_spread, asked.token_spread, 0.02);
  EXPECT_NEAR(found.miss_rate, asked.miss_rate, 0.01);
  EXPECT_NEAR(found.bypass_rate, asked.bypass_rate, 0.01);
}

TEST(Fit, FindsWhatTheGeneratorWasAskedFor) {
  const SyntheticParams asked{
      .activation_std = 0.3,
      .magnitude = 30,
      .token_spread = 0.2,
      .miss_rate = 0.15,
      .positions = {{.position = Position::attn_in, .layers = "0", .density = 0.85, .magnitude_spread = 0.1},
                    {.position = Position::attn_in, .layers = "1-2", .std = 40.0, .density = 0.4, .miss_rate = 0.5},
                    {.position = Position::down_in, .density = 0.15, .magnitude = 60.0, .token_spread = 0.0}}};
  const ScratchFile file(".safetensors");
  const std::vector<std::pair<std::string, Position>> names{{"model.layers.0.attn_in", Position::attn_in},
                                                            {"model.layers.1.attn_in", Position::attn_in},
                                                            {"model.layers.0.down_in", Position::down_in},
                                                            {"model.layers.1.ffn_in", Position::ffn_in}};
  write_generated(file.path(), asked, names, 3);
  const SyntheticParams found = fit_synthetic({.files = {file.path()}});
  for (const auto& [name, position] : names) {
    SCOPED_TRACE(name);
    expect_near(found.of(position, name), asked.of(position, name));
  }
}

TEST(Fit, FindsTheShareOfGroupsWithoutOutliers) {
  const SyntheticParams asked{.bypass_rate = 0.75, .attn_in_density = 0.5};
  const ScratchFile file(".safetensors");
  write_generated(file.path(), asked, {{"model.layers.0.attn_in", Position::attn_in}}, 1);
  const SyntheticParams found = fit_synthetic({.files = {file.path()}});
  // 64 groups: three standard deviations of a draw of their number.
  EXPECT_NEAR(found.of(Position::attn_in, "model.layers.0.attn_in").bypass_rate, 0.75, 0.17);
  EXPECT_NEAR(found.of(Position::attn_in, "model.layers.0.attn_in").density, 0.5, 0.01);
}

// A capture, its trace with statistics, and tensors made from that trace alone.
TEST(Fit, TracesCarryDensitiesWithinOnePoint) {
  const SyntheticParams asked{.magnitude = 15, .token_spread = 0.1, .miss_rate = 0.3};
  const ScratchFile file(".safetensors"), trace(".yaml");
  const std::string name = "model.layers.5.o_in";
  write_generated(file.path(), asked, {{name, Position::o_in}}, 9);
  TraceDocument document;
  document.synthetic = fit_synthetic({.files = {file.path()}});
  TraceEntry& entry = document.gemms.emplace_back();
  entry.name = "g";
  entry.m.values = {4};
  entry.n = 8;
  entry.k = kChannels;
  write_trace(trace.path(), document);
  const SyntheticParams read = read_trace(trace.path()).synthetic;
  const Tensor captured = synthetic_tensors(asked, 9)->activation(name, Position::o_in, kTokens, kChannels);
  const Tensor generated = synthetic_tensors(read, 4)->activation(name, Position::o_in, kTokens, kChannels);
  const Calibration was = calibrate(captured.view, 32, 5), is = calibrate(generated.view, 32, 5);
  EXPECT_NEAR(is.mean_density, was.mean_density, 0.01);
  EXPECT_NEAR(is.threshold / was.threshold, 1, 0.05);
}

TEST(Fit, LayersThatWereNotCapturedGetTheMeanOfTheirPosition) {
  const SyntheticParams asked{.positions = {{.position = Position::ffn_in, .layers = "0", .density = 0.9},
                                            {.position = Position::ffn_in, .layers = "1", .density = 0.5}}};
  const ScratchFile file(".safetensors");
  write_generated(file.path(), asked,
                  {{"model.layers.0.ffn_in", Position::ffn_in}, {"model.layers.1.ffn_in", Position::ffn_in}}, 1);
  const SyntheticParams found = fit_synthetic({.files = {file.path()}});
  EXPECT_NEAR(found.of(Position::ffn_in, "model.layers.7.ffn_in").density, 0.7, 0.01);
  EXPECT_EQ(found.of(Position::router, "model.layers.0.ffn_in").density,
            found.of(Position::ffn_in, "model.layers.0.ffn_in").density)
      << "the router reads what the experts read";
}

TEST(Fit, ActivationsWithoutOutliersAreFittedByTheirStandardDeviation) {
  const ScratchFile file(".safetensors");
  write_generated(file.path(), {.activation_std = 2, .magnitude = 0}, {{"model.layers.0.o_in", Position::o_in}}, 1);
  const SyntheticParams found = fit_synthetic({.files = {file.path()}, .alpha = 10});
  EXPECT_EQ(found.of(Position::o_in, "model.layers.0.o_in").bypass_rate, 1);
  EXPECT_NEAR(found.of(Position::o_in, "model.layers.0.o_in").std, 2 * std::sqrt(1 - 0.95 / 32), 0.01);
}

TEST(SyntheticPositions, WrongStatisticsAreNamed) {
  EXPECT_EQ(error_of([] {
              synthetic_tensors({.positions = {{.position = Position::o_in, .layers = "3-1"},
                                               {.position = Position::o_in, .density = 0.01}}},
                                1);
            }),
            "synthetic tensors: positions[0].layers: range '3-1' runs backwards; write 1-3, "
            "positions[1].density is 0.01; allowed: at least 1/group = 0.03125");
}

}  // namespace
}  // namespace oscsim
