// SPDX-License-Identifier: Apache-2.0
// Messages for a command line that does not parse.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace oscsim {

// In the order of --help.
std::vector<std::string> command_names(const CLI::App& app);

// What is wrong, the nearest option or command, and where help is.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error);

// An option with an empty value ("$UNSET" in a script) is an error, of every command.
void refuse_empty_values(CLI::App& app);

}  // namespace oscsim
