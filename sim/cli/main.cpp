// SPDX-License-Identifier: Apache-2.0
// The program: parses the command line, runs one command, and turns failures into messages and exit statuses.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <new>

#include "models/base/error.h"
#include "sim/cli/commands.h"
#include "sim/cli/standard_output.h"
#include "sim/cli/usage.h"
#include "sim/config/ending.h"
#include "sim/config/files.h"
#include "sim/report/version.h"

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
  return action();
}

// A message may repeat names out of hostile files: what would steer the terminal becomes '?'.
std::string harmless(std::string text) {
  std::ranges::replace_if(
      text, [](char letter) { return (letter >= 0 && letter < ' ' && letter != '\n') || letter == '\x7F'; }, '?');
  return text;
}

int guarded(int argc, char** argv) {
  try {
    return dispatch(argc, argv);
  } catch (const InputError& error) {
    fmt::print(stderr, "oscsim: {}\n", harmless(error.what()));
    return kWrongInput;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr,
               "oscsim: out of memory\n  --timing-only needs no tensors; --layers and --only make a run smaller\n");
    return kWrongInput;
  } catch (const std::exception& error) {
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
