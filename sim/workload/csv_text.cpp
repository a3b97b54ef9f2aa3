// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/csv_text.h"

#include <algorithm>

#include "models/base/error.h"
#include "models/base/text.h"

namespace oscsim {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of UTF-8

void check_text(std::string_view text, const std::string& origin) {
  const auto fail = [&](std::size_t at, const char* what) {
    const std::string_view before = text.substr(0, at);
    const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    input_error("{}:{}:{}: {} 0x{:02X}", origin, std::ranges::count(before, '\n') + 1, at - start + 1, what,
                static_cast<unsigned char>(text[at]));
  };
  const auto is_control = [](char letter) {
    return (letter >= 0 && letter < ' ' && letter != '\t' && letter != '\r' && letter != '\n') || letter == '\x7F';
  };
  const auto control = static_cast<std::size_t>(std::ranges::find_if(text, is_control) - text.begin());
  const std::size_t invalid = first_invalid_utf8(text);
  if (invalid < control) fail(invalid, "not UTF-8 text: byte");
  if (control < text.size()) fail(control, "not a text file: control character");
}

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {}

  std::vector<CsvRecord> records() {
    std::vector<CsvRecord> all;
    while (at_ < text_.size()) {
      CsvRecord record{.line = line_, .fields = {}};
      do record.fields.push_back(field());
      while (take(","));
      if (!take("\r\n") && !take("\n") && !take("\r") && at_ < text_.size())
        input_error("{}:{}: text behind a quoted field: '{}'", origin_, line_, excerpt(rest_of_line()));
      ++line_;
      while (!record.fields.empty() && record.fields.back().empty()) record.fields.pop_back();
      if (!record.fields.empty()) all.push_back(std::move(record));
    }
    return all;
  }

 private:
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }

  std::string_view rest_of_line() const {
    const std::string_view rest = text_.substr(at_);
    return rest.substr(0, rest.find_first_of("\r\n"));
  }

  void skip_blanks() { at_ = std::min(text_.find_first_not_of(" \t", at_), text_.size()); }

  std::string field() {
    skip_blanks();
    if (take("\"")) return quoted_field();
    const std::size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    std::string_view found = text_.substr(at_, end - at_);
    found = found.substr(0, found.find_last_not_of(" \t") + 1);
    at_ = end;
    return std::string(found);
  }

  std::string quoted_field() {
    const std::size_t opened = line_;
    std::string found;
    for (; at_ < text_.size(); ++at_) {
      if (take("\"") && !text_.substr(at_).starts_with('"')) {
        skip_blanks();
        return found;
      }
      found += text_[at_];
      if (text_[at_] == '\n') ++line_;
    }
    input_error("{}:{}: a quoted field is never closed", origin_, opened);
  }

  std::string_view text_;
  const std::string& origin_;
  std::size_t at_ = 0, line_ = 1;
};

}  // namespace

std::vector<CsvRecord> read_csv_records(std::string_view text, const std::string& origin) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  check_text(text, origin);
  return CsvReader(text, origin).records();
}

}  // namespace oscsim
