// SPDX-License-Identifier: Apache-2.0
// oscsim describe
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <utility>

#include "sim/cli/commands.h"
#include "sim/cli/describe_text.h"
#include "sim/cli/format_text.h"
#include "sim/cli/standard_output.h"
#include "sim/config/files.h"
#include "sim/config/json_output.h"
#include "sim/report/text_table.h"
#include "sim/run/inputs.h"
#include "sim/sweep/sweep.h"

namespace oscsim {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMachines = "configs/machines", kSchemes = "configs/schemes", kTraces = "traces",
                           kCosts = "configs/costs", kSweeps = "configs/sweeps";

// Elsewhere than in a terminal every entry is one line, whatever its length.
std::size_t width() {
  return terminal_columns(STDOUT_FILENO).value_or(std::numeric_limits<std::size_t>::max());
}

struct DescribeArguments {
  std::string kind, name;
  bool json = false;
};

// What a command shows: text, or JSON when asked for.
struct Shown {
  std::string text;
  Json json;
};

template <class Params>
Shown parameters() {
  const std::vector<config::DescribeRow> rows = config::describe<Params>();
  return {parameters_text(rows, width()), parameters_json(rows)};
}

template <class Params>
Shown values(std::string_view folder, const std::string& name) {
  const std::filesystem::path path = config::locate(folder, name);
  const Json json = config::to_json(config::read_file_as<Params>(path));
  return {path.string() + "\n" + values_text(config::describe<Params>(), json, width()), json};
}

TraceSummary summary(const std::string& name) {
  const std::filesystem::path path = config::locate(kTraces, name);
  TraceSummary summary = summary_of(read_trace_document(path.string()), read_trace(path.string()));
  summary.name = path.stem().string();
  summary.path = path.string();
  return summary;
}

Shown trace(const std::string& name) {
  const TraceSummary found = summary(name);
  return {trace_text(found), trace_json(found)};
}

Shown traces() {
  Shown shown{"", Json::array()};
  for (const std::string& name : config::available_names(kTraces)) {
    const TraceSummary found = summary(name);
    shown.text += (shown.text.empty() ? "" : "\n") + trace_text(found);
    shown.json.push_back(trace_json(found));
  }
  shown.text += "\nstatistics of synthetic tensors: --set trace.synthetic.NAME=VALUE, or `synthetic:` in the trace\n" +
                parameters_text(config::describe<SyntheticParams>(), width()) +
                "\ntraces/README.md describes the format\n";
  return shown;
}

Shown all_formats() {
  Json json = Json::array();
  for (const numerics::FormatInfo& format : numerics::formats()) json.push_back(format_json(format));
  return {formats_text(numerics::formats(), width()), json};
}

Shown format(const std::string& name) {
  const numerics::FormatInfo& info = numerics::format(name);
  return {format_text(info, width()), format_json(info)};
}

Shown sweeps() {
  Shown shown = parameters<sweep::SweepFile>();
  shown.text +=
      "\nAn axis is a parameter's path with values: machine.core.gather.lanes: [8, 16], or {from: 64KiB, to: 1MiB, "
      "scale: log2, count: 5}.\nPaths are those of --set, generate.* and gemm.m, n, k, and machine, scheme, baseline "
      "or "
      "trace for whole files.\nsim/sweep/README.md describes the file, the folder and the rows.\n";
  return shown;
}

// What a sweep file comes to.
Shown swept(const std::string& name) {
  const sweep::Sweep found = sweep::read_sweep(name);
  Shown shown{fmt::format("{}\n{}\n{} points\n", found.file, found.head.description, found.points.size()), {}};
  shown.json = {{"file", found.file}, {"description", found.head.description}, {"points", found.points.size()}};
  for (const sweep::Axis& axis : found.axes)
    for (const sweep::Parameter& parameter : axis.parameters) {
      shown.text += fmt::format("  {}: {} values\n", parameter.path, axis.values.size());
      shown.json["axes"][parameter.path] = axis.values.size();
    }
  return shown;
}

// What a file says about itself; one that cannot be read says why.
template <class Describe>
std::string one_line(const Describe& describe) {
  try {
    return describe();
  } catch (const InputError& error) {
    const std::string text = error.what();
    return text.substr(0, text.find('\n'));
  }
}

// Everything that has a name.
Shown overview() {
  Shown shown;
  TextTable table({{""}, {""}});
  std::string gap;
  const auto section = [&](std::string_view kind, std::string_view folder, auto describe) {
    table.add_line(fmt::format("{}{}{} in {}: oscsim describe {} [NAME]", std::exchange(gap, "\n"), kind,
                               kind.ends_with('s') ? "" : "s", folder, kind));
    for (const std::string& name : config::available_names(folder)) {
      const std::string meaning = one_line([&] { return describe(name); });
      table.add({"  " + name, meaning});
      shown.json[std::string(kind)][name] = meaning;
    }
  };
  section("machine", kMachines, [](const std::string& name) {
    return config::read_file_as<units::MachineParams>(config::locate(kMachines, name)).description;
  });
  section("scheme", kSchemes, [](const std::string& name) {
    return config::read_file_as<SchemeConfig>(config::locate(kSchemes, name)).description;
  });
  section("costs", kCosts, [](const std::string& name) {
    return config::read_file_as<cost::CostTable>(config::locate(kCosts, name)).description;
  });
  section("trace", kTraces, [](const std::string& name) {
    const TraceDocument document = read_trace_document(config::locate(kTraces, name).string());
    return fmt::format("{}, {}", document.model, name_of(document.phase));
  });
  section("sweep", kSweeps, [](const std::string& name) {
    return config::read_file_as<sweep::SweepFile>(config::locate(kSweeps, name)).description;
  });
  table.add_line("\nformats: oscsim describe format [NAME]");
  for (const numerics::FormatInfo& format : numerics::formats()) {
    table.add({fmt::format("  {}", format.name), std::string(format.meaning)});
    shown.json["format"][std::string(format.name)] = format.meaning;
  }
  shown.text = table.text(width());
  return shown;
}

Shown described(const DescribeArguments& arguments) {
  if (arguments.kind.empty()) return overview();
  const std::string& name = arguments.name;
  if (arguments.kind == "machine")
    return name.empty() ? parameters<units::MachineParams>() : values<units::MachineParams>(kMachines, name);
  if (arguments.kind == "scheme")
    return name.empty() ? parameters<SchemeConfig>() : values<SchemeConfig>(kSchemes, name);
  if (arguments.kind == "costs")
    return name.empty() ? parameters<cost::CostTable>() : values<cost::CostTable>(kCosts, name);
  if (arguments.kind == "format") return name.empty() ? all_formats() : format(name);
  if (arguments.kind == "trace") return name.empty() ? traces() : trace(name);
  if (arguments.kind == "sweep") return name.empty() ? sweeps() : swept(name);
  const std::vector<std::string> kinds{"machine", "scheme", "format", "trace", "sweep", "costs"};
  input_error("describe: unknown kind '{}'\n  allowed: {}{}", arguments.kind, joined(kinds),
              did_you_mean(arguments.kind, kinds));
}

}  // namespace

void add_describe_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<DescribeArguments>();
  CLI::App& command = *app.add_subcommand("describe", "Show what there is, every parameter, or one file");
  command
      .add_option("kind", arguments->kind, "machine, scheme, format, trace, sweep or costs; none: a list of all names")
      ->type_name("KIND");
  command.add_option("name", arguments->name, "a file or a name; none: every parameter of the kind")
      ->type_name("FILE|NAME");
  command.add_flag("--json", arguments->json, "as JSON");
  command.footer(
      "Examples:\n  oscsim describe machine\n  oscsim describe machine ascend_950pr\n  oscsim describe format nvfp4\n");
  command.callback([arguments, &action] {
    action = [arguments]() -> int {
      const Shown shown = described(*arguments);
      print(arguments->json ? config::json_text(shown.json, 2) + "\n" : shown.text);
      return kDone;
    };
  });
}

}  // namespace oscsim
