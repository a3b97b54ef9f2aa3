// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/usage.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/base/error.h"

namespace oscsim {
namespace {

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

bool is_option(const std::string& argument) {
  return argument.starts_with('-');
}

// "oscsim", "oscsim run" or "oscsim sweep merge"
std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

// The command that was chosen, within the command that was chosen ...
const CLI::App& chosen(const CLI::App& command) {
  const std::vector<CLI::App*> below = command.get_subcommands();
  return below.empty() ? command : chosen(*below.front());
}

std::string unexpected(const CLI::App& app, const CLI::App& command) {
  const std::vector<std::string> arguments = command.remaining();
  const auto option = std::ranges::find_if(arguments, is_option);
  const std::string found = option != arguments.end() ? *option : arguments.front();
  if (is_option(found)) {
    const std::string name = found.substr(0, found.find('='));
    const bool is_letter = name.size() <= 2;  // every other letter would be near
    return fmt::format("unknown option '{}'{}", name, is_letter ? "" : did_you_mean(name, option_names(command)));
  }
  if (&command == &app) {
    const std::vector<std::string> commands = command_names(app);
    return fmt::format("unknown command '{}'\n  allowed: {}{}", found, joined(commands), did_you_mean(found, commands));
  }
  return fmt::format("unexpected argument '{}'", found);
}

// CLI11 speaks of "1 required N missing" and "At Most 1 required but received 2".
std::string in_plain_words(const std::string& what) {
  const std::string option = what.substr(0, what.find(':'));
  if (what.ends_with(" missing")) return option + ": the value is missing";
  if (what.find("At Most 1 required") != std::string::npos) return option + ": given more than once";
  return what;
}

}  // namespace

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = app.remaining_size() > 0 ? app : chosen(app);
  const std::string what = command.remaining_size() > 0 ? unexpected(app, command) : in_plain_words(error.what());
  return fmt::format("{}\n  see: {} --help", what, full_name(command));
}

void refuse_empty_values(CLI::App& app) {
  const auto problem = [](const std::string& value) { return value.empty() ? "the value is empty" : ""; };
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    for (CLI::Option* option : command->get_options())
      if (option->get_items_expected_max() > 0) option->check(problem);
    refuse_empty_values(*command);
  }
}

}  // namespace oscsim
