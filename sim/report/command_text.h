// SPDX-License-Identifier: Apache-2.0
// A command in words: the name of its slice in a timeline, and what it works on.
#pragma once

#include <string>

#include "models/units/program.h"
#include "sim/report/trace_events.h"

namespace oscsim {

// "a", "8 bit", "cast maximum": short, and the same for commands of one kind.
std::string command_name(const units::Command& command);

// Adds tile coordinates (half-open ranges "0..128") and sizes.
void describe_command(const units::Command& command, JsonMembers& args);

}  // namespace oscsim
