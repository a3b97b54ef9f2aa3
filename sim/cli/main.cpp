// SPDX-License-Identifier: Apache-2.0
// The program: parses the command line, runs one command, and turns failures into messages and exit statuses.
#include <fmt/format.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <string_view>
#include <system_error>
#include <thread>

#include "models/base/error.h"
#include "models/base/text.h"
#include "sim/cli/commands.h"
#include "sim/cli/standard_output.h"
#include "sim/cli/usage.h"
#include "sim/config/ending.h"
#include "sim/config/files.h"
#include "sim/report/version.h"
#include "sim/run/threads.h"

namespace oscsim {
namespace {

// With the configurations that names stand for: of two checkouts the program's own are used.
std::string version_text() {
  const std::string program = fmt::format("oscsim {} (git {})", version(), git_hash());
  try {
    return fmt::format("{}\nconfigurations: {}", program, config::search_root().string());
  } catch (const InputError& error) {
    return fmt::format("{}\nconfigurations: {}", program, error.what());
  }
}

int dispatch(int argc, char** argv) {
  CLI::App app("Cycle-approximate, bit-exact simulator of low-precision LLM accelerators", "oscsim");
  app.set_version_flag("--version", version_text);
  app.require_subcommand(0, 1);
  app.footer("Example:\n  oscsim run --machine ascend_950pr --layers 0 --json result.json\n");
  Action action;
  add_run_command(app, action);
  add_trace_command(app, action);
  add_calibrate_command(app, action);
  add_quantize_command(app, action);
  add_gemm_command(app, action);
  add_sweep_command(app, action);
  add_describe_command(app, action);
  refuse_empty_values(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return kDone;
  } catch (const CLI::CallForVersion& text) {
    print(std::string(text.what()) + "\n");
    return kDone;
  } catch (const CLI::ParseError& error) {
    throw InputError(usage_message(app, error));
  }
  if (!action) input_error("no command\n  allowed: {}; see: oscsim --help", joined(command_names(app)));
  // Where fewer threads can be started than there are processors, it goes on with those. The end of such a control
  // would start the others.
  const std::size_t processors = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  [[maybe_unused]] static const tbb::global_control* fewer = nullptr;
  if (const std::size_t threads = startable_threads(processors); threads < processors)
    fewer = new tbb::global_control(tbb::global_control::max_allowed_parallelism, threads);
  return action();
}

// libtbb says so in words only.
bool is_missing_thread(const std::exception& error) {
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (system != nullptr && system->code() == std::errc::resource_unavailable_try_again) return true;
  return std::string_view(error.what()).starts_with("pthread_create");
}

int guarded(int argc, char** argv) {
  try {
    return dispatch(argc, argv);
  } catch (const InputError& error) {
    fmt::print(stderr, "oscsim: {}\n", printable(error.what()));
    return kWrongInput;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr,
               "oscsim: out of memory\n  --timing-only needs no tensors; --layers and --only make a run smaller\n");
    return kWrongInput;
  } catch (const std::exception& error) {
    if (is_missing_thread(error)) {
      fmt::print(
          stderr,
          "oscsim: a thread cannot be started: {}\n  limits of processes (ulimit -u) and memory (ulimit -v) count "
          "threads too; --threads 1 needs no other\n",
          error.what());
      return kWrongInput;
    }
    fmt::print(stderr,
               "oscsim: defect: {}\n  this is our mistake, not yours: please report it with the command line and "
               "'oscsim --version' ({} {})\n",
               error.what(), version(), git_hash());
    return kDefect;
  }
}

}  // namespace
}  // namespace oscsim

int main(int argc, char** argv) {
  oscsim::prepare_standard_streams();
  oscsim::config::prepare_for_the_end(oscsim::kWrongInput);
  return oscsim::guarded(argc, argv);
}
