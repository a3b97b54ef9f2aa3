// SPDX-License-Identifier: Apache-2.0
// --timeline and --vcd of oscsim run.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "sim/config/open_files.h"
#include "sim/run/run.h"

namespace oscsim {

struct RecordingArguments {
  std::string timeline, window, cores, vcd;

  // InputError when they make no sense.
  void check() const;
  config::OutputClaims::Outputs files() const;
};

void add_recording_options(CLI::App& command, RecordingArguments& arguments);

// Runs, and writes what was asked for. The files appear when the run is over, or not at all.
RunResult recorded_run(const RecordingArguments& arguments, const RunOptions& options, const Progress& progress);

}  // namespace oscsim
