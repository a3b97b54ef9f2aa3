// SPDX-License-Identifier: Apache-2.0
// Comma-separated values as RFC 4180 has them: quoted fields may hold commas, line ends and doubled quotes; lines end
// with LF or CRLF. More freely: blanks around a field do not count, and neither do empty fields at the end of a line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim {

struct CsvRecord {
  std::size_t line = 0;  // at which it begins, from 1
  std::vector<std::string> fields;
};

// The records of `text` that are not empty. InputError with "origin:line" for a quote that is never closed or has text
// behind it, for control characters, and for what is not UTF-8.
std::vector<CsvRecord> read_csv_records(std::string_view text, const std::string& origin);

}  // namespace oscsim
