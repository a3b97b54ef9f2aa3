// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/sweep.h"

#include "models/base/error.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {
namespace {

// The files that most sweeps name, read once.
const RunFiles& base_files() {
  static const RunFiles kFiles = [] {
    RunFiles files;
    const sweep::BaseParams base;
    files.machine(base.machine);
    files.scheme(base.scheme);
    files.scheme(base.baseline);
    files.costs(base.costs);
    return files;
  }();
  return kFiles;
}

std::vector<Seed> sweep_seeds() {
  const std::string head = "schema: 1\nbase: {gemms: [\"8,16,64\"]}\n";
  std::vector<Seed> good = files_of("configs/sweeps", ".yaml");
  good.push_back({"range", head + "axes: {machine.cores: {from: 1, to: 32, scale: log2}}\n"});
  good.push_back({"step", head + "axes: {machine.hbm.bandwidth: {from: 1TB/s, to: 2TB/s, step: 250GB/s}}\n"});
  good.push_back({"linked", head + "linked: [{machine.cores: [1, 2], scheme: [osc, w4a4]}]\n"});
  good.push_back(
      {"points", head + "points: [{gemm.m: 1, gemm.n: 2, gemm.k: 32}, {gemm.m: 3, gemm.n: 2, gemm.k: 32}]\n"});
  good.push_back({"where", head + "axes: {machine.cores: [1, 2]}\nwhere: [machine.cores + 1 <= 2 or gemm.m == 8]\n"});
  good.push_back({"random", head + "axes: {machine.cores: [1, 2, 3]}\nrandom: {count: 2, seed: 3}\n"});
  good.push_back({"tiny_range", head + "axes: {machine.hbm.bandwidth: {from: 1e-320, to: 1, count: 3}}\n"});
  good.push_back({"wide_range", head + "axes: {machine.cores: {from: 1, to: 1e308, count: 3, scale: log10}}\n"});
  good.push_back({"unknown", head + "axes: {machine.coers: [1]}\nwhere: [foo <= 3]\n"});
  good.push_back({"overlap", head + "axes: {machine: [edge_npu], machine.cores: [1]}\n"});
  return yaml_seeds(std::move(good));
}

// Values of base.settings are named as --set names them, without the file.
void read_sweep_input(std::string_view input) {
  try {
    sweep::read_sweep(kFile, std::string(input), base_files());
  } catch (const InputError& error) {
    if (std::string_view(error.what()).starts_with("--set")) input_error("{}: {}", kFile, error.what());
    throw;
  }
}

}  // namespace

Reader sweep_reader() {
  return {.name = "sweep",
          .read = read_sweep_input,
          .seeds = sweep_seeds,
          .longest = 2048,
          .words = {"axes", "linked", "where", "points", "random", "generate", "gemms", "machine.cores", "gemm.m",
                    "{from: 1, to: 9, count: 3}", "scale: log10", "step", "<=", " or "}};
}

}  // namespace oscsim::fuzz
