// SPDX-License-Identifier: Apache-2.0
// The commands of oscsim. Each adds its options to the program's parser; when the user has chosen it, `action` holds
// what it does once parsing is over. An action returns the exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace oscsim {

// Exit statuses.
inline constexpr int kDone = 0;
inline constexpr int kCheckFailed = 1;  // --verify found a difference, or no point of a sweep is ok
inline constexpr int kWrongInput = 2;
inline constexpr int kDefect = 3;
inline constexpr int kInterrupted = 130;  // by Ctrl-C, as shells have it

using Action = std::function<int()>;

void add_run_command(CLI::App& app, Action& action);
void add_trace_command(CLI::App& app, Action& action);
void add_calibrate_command(CLI::App& app, Action& action);
void add_quantize_command(CLI::App& app, Action& action);
void add_gemm_command(CLI::App& app, Action& action);
void add_sweep_command(CLI::App& app, Action& action);
void add_describe_command(CLI::App& app, Action& action);

}  // namespace oscsim
