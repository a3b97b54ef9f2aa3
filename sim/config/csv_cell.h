// SPDX-License-Identifier: Apache-2.0
// Text in files of comma-separated values.
#pragma once

#include <string>
#include <string_view>

namespace oscsim::config {

// `text` as a cell: in quotes where it has to be (RFC 4180), and where a semicolon or a tab could pass for the
// separator. Text that a spreadsheet would run as a formula (it begins with = + - @ or their full-width forms, or with
// a tab or a line end) gets a ' in front, which makes it text there; numbers, negative ones too, are left as they are.
std::string csv_cell(std::string_view text);

}  // namespace oscsim::config
