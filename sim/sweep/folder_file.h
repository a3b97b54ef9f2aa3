// SPDX-License-Identifier: Apache-2.0
// Reading what a sweep's folder holds: whatever became of a file there, it is named, with the line, and nothing waits
// for a pipe.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace oscsim::sweep {

// InputError: "<file>:<line>: <what>; the sweep's folder is damaged". Line 0: the file as a whole.
[[noreturn]] void damaged(const std::filesystem::path& file, std::size_t line, std::string_view what);

// Whether there is such a file; InputError when it is no regular one, or cannot be reached.
bool is_there(const std::filesystem::path& file);

// Calls `use` with each complete line, without its end, and its number from 1. What follows the last line end was cut
// off. InputError for lines of more than 1 MiB and for files that are not there.
void each_line(const std::filesystem::path& file, const std::function<void(std::string line, std::size_t number)>& use);

// A file of one JSON object.
nlohmann::ordered_json read_json(const std::filesystem::path& file);
std::string text_in(const nlohmann::ordered_json& json, const char* key, const std::filesystem::path& file);

}  // namespace oscsim::sweep
