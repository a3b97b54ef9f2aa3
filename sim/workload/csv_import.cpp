// SPDX-License-Identifier: Apache-2.0
// Topologies of SCALE-Sim (github.com/scalesim-project/SCALE-Sim), and what looks like them: GEMMs as "Layer,M,N,K" or
// "M,N,K", and convolutions as "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels,
// Num Filter, Strides". A heading may put the columns into another order.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>

#include "models/base/error.h"
#include "models/base/quantity.h"
#include "models/base/text.h"
#include "sim/config/files.h"
#include "sim/config/units.h"
#include "sim/workload/csv_text.h"
#include "sim/workload/generate.h"
#include "sim/workload/trace_select.h"

namespace oscsim {
namespace {

constexpr std::size_t kLargestCsv = std::size_t{64} << 20;  // bytes

enum class Column : std::uint8_t {
  name,
  m,
  n,
  k,
  input_height,
  input_width,
  filter_height,
  filter_width,
  channels,
  filters,
  stride,
  stride_width,
};
constexpr std::size_t kColumns = 12;

// Names in headings, in lower case and without blanks. Of a column's names the first one stands in messages.
constexpr std::pair<std::string_view, Column> kHeadings[] = {{"layer", Column::name},
                                                             {"layername", Column::name},
                                                             {"name", Column::name},
                                                             {"m", Column::m},
                                                             {"n", Column::n},
                                                             {"k", Column::k},
                                                             {"ifmapheight", Column::input_height},
                                                             {"ifmaph", Column::input_height},
                                                             {"ifmapwidth", Column::input_width},
                                                             {"ifmapw", Column::input_width},
                                                             {"filterheight", Column::filter_height},
                                                             {"filterh", Column::filter_height},
                                                             {"filterwidth", Column::filter_width},
                                                             {"filterw", Column::filter_width},
                                                             {"channels", Column::channels},
                                                             {"numchannels", Column::channels},
                                                             {"numfilter", Column::filters},
                                                             {"numfilters", Column::filters},
                                                             {"strides", Column::stride},
                                                             {"stride", Column::stride},
                                                             {"strideheight", Column::stride},
                                                             {"strideh", Column::stride},
                                                             {"stridewidth", Column::stride_width},
                                                             {"stridew", Column::stride_width}};

constexpr std::array kGemm{Column::m, Column::n, Column::k};
constexpr std::array kConvolution{Column::input_height, Column::input_width, Column::filter_height,
                                  Column::filter_width, Column::channels,    Column::filters,
                                  Column::stride};

std::string_view heading_of(Column column) {
  return std::ranges::find(kHeadings, column, &std::pair<std::string_view, Column>::second)->first;
}

// Where each column stands, and what is not read.
struct Layout {
  std::array<std::optional<std::size_t>, kColumns> at;
  std::vector<std::string> unread;

  std::optional<std::size_t>& operator[](Column column) { return at[static_cast<std::size_t>(column)]; }
  const std::optional<std::size_t>& operator[](Column column) const { return at[static_cast<std::size_t>(column)]; }
  bool is_convolution() const { return (*this)[Column::input_height].has_value(); }
};

std::string plain_heading(std::string_view text) {
  std::string plain;
  for (const char letter : text)
    if (std::isalnum(static_cast<unsigned char>(letter)))
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return plain;
}

// A line of data has a number in its second field.
bool is_heading(const std::vector<std::string>& fields) {
  return fields.size() > 1 && !fields[1].empty() && std::isalpha(static_cast<unsigned char>(fields[1][0]));
}

Layout layout_of_heading(const std::string& place, const std::vector<std::string>& fields) {
  Layout layout;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto known =
        std::ranges::find(kHeadings, plain_heading(fields[i]), &std::pair<std::string_view, Column>::first);
    if (known == std::end(kHeadings)) {
      layout.unread.push_back(fmt::format("'{}'", excerpt(fields[i])));
    } else if (std::exchange(layout[known->second], i)) {
      input_error("{}: a second column '{}'", place, excerpt(fields[i]));
    }
  }
  const auto require = [&](auto columns, const char* all) {
    for (const Column column : columns)
      if (!layout[column]) input_error("{}: no column '{}'; the columns are {}", place, heading_of(column), all);
  };
  if (layout.is_convolution())
    require(kConvolution,
            "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides");
  else
    require(kGemm, "Layer,M,N,K");
  return layout;
}

// Without a heading the number of fields tells what they are.
Layout layout_of_fields(std::size_t fields) {
  Layout layout;
  std::size_t at = 0;
  const auto place = [&](auto columns) {
    for (const Column column : columns) layout[column] = at++;
  };
  if (fields != kGemm.size()) layout[Column::name] = at++;
  fields > kConvolution.size() ? place(kConvolution) : place(kGemm);
  for (; at < fields; ++at) layout.unread.push_back(fmt::format("column {}", at + 1));
  return layout;
}

class CsvImport {
 public:
  CsvImport(const std::string& path, const Layout& layout) : path_(path), layout_(layout) {}

  void add(const CsvRecord& record) {
    place_ = fmt::format("{}:{}", path_, record.line);
    if (entries.size() == kMostGemms) input_error("{}: more than {} GEMMs in one trace", place_, kMostGemms);
    fields_ = &record.fields;
    TraceEntry& entry = entries.emplace_back();
    Gemm gemm;
    if (layout_.is_convolution()) {
      set_convolution(gemm);
    } else {
      gemm.m = number(Column::m);
      gemm.n = number(Column::n);
      gemm.k = number(Column::k);
    }
    check_sizes(place_, gemm);
    entry.name = name_of(gemm);
    entry.m.values = {gemm.m};
    entry.n = gemm.n;
    entry.k = gemm.k;
    const auto [earlier, is_new] = lines_.try_emplace(entry.name, record.line);
    if (!is_new)
      input_error("{}: a second layer has the name '{}'; the first is in line {}", place_, excerpt(entry.name),
                  earlier->second);
  }

  std::vector<TraceEntry> entries;

 private:
  std::int64_t number(Column column) const {
    const std::size_t at = *layout_[column];
    const bool is_gemm = !layout_.is_convolution();
    const std::string name =
        is_gemm ? std::string(1, "MNK"[static_cast<std::size_t>(column) - 1]) : std::string(heading_of(column));
    if (at >= fields_->size()) input_error("{}: {} columns, expected {}", place_, fields_->size(), expected_columns());
    const auto [value, problem] = config::parse_integer((*fields_)[at]);
    if (!value) input_error("{}: {} must be an integer: {}", place_, name, problem);
    if (!is_gemm && *value < 1) input_error("{}: {} = {}; allowed: at least 1", place_, name, *value);
    return *value;
  }

  std::string expected_columns() const {
    if (layout_.is_convolution()) return "a convolution's 8: Layer name, IFMAP Height, IFMAP Width, ...";
    return layout_[Column::name] ? "4: Layer,M,N,K" : "3: M,N,K";
  }

  // The pixels of the output times the filter's weights. As SCALE-Sim counts: no padding, and a window that reaches
  // over the edge at the end of a row or column counts as one.
  void set_convolution(Gemm& gemm) const {
    const std::int64_t stride = number(Column::stride);
    const std::int64_t stride_width = layout_[Column::stride_width] ? number(Column::stride_width) : stride;
    const auto pixels = [&](Column input, Column filter, std::int64_t step) {
      const std::int64_t size = number(input), window = number(filter);
      if (window > size)
        input_error("{}: {} = {} of {} = {}: the filter is larger than the input", place_, heading_of(filter), window,
                    heading_of(input), size);
      return (size - window) / step + ((size - window) % step > 0 ? 2 : 1);
    };
    try {
      const std::int64_t window =
          checked_product(number(Column::filter_height), number(Column::filter_width), "the filter");
      gemm.m = checked_product(pixels(Column::input_height, Column::filter_height, stride),
                               pixels(Column::input_width, Column::filter_width, stride_width), "the output");
      gemm.n = number(Column::filters);
      gemm.k = checked_product(window, number(Column::channels), "the filter");
    } catch (const InputError& error) {
      const std::string message = error.what();
      if (message.starts_with(place_)) throw;
      input_error("{}: {}", place_, message);
    }
  }

  std::string name_of(const Gemm& gemm) {
    if (!layout_[Column::name]) {
      const std::string name = fmt::format("gemm_{}x{}x{}", gemm.m, gemm.n, gemm.k);
      const int use = ++uses_[name];
      return use == 1 ? name : fmt::format("{}_{}", name, use);
    }
    const std::string& name = (*fields_)[*layout_[Column::name]];
    if (name.empty()) input_error("{}: the name is empty", place_);
    if (name.find_first_of("{}") != std::string::npos)
      input_error("{}: '{}' has a brace; names of layers have none", place_, excerpt(name));
    return name;
  }

  const std::string& path_;
  const Layout& layout_;
  std::string place_;
  const std::vector<std::string>* fields_ = nullptr;
  std::map<std::string, std::size_t> lines_;
  std::map<std::string, int> uses_;
};

}  // namespace

TraceDocument read_csv(const std::string& path) {
  return read_csv(path, config::read_file(path, kLargestCsv));
}

TraceDocument read_csv(const std::string& path, const std::string& text) {
  const std::vector<CsvRecord> records = read_csv_records(text, path);
  const bool has_heading = !records.empty() && is_heading(records.front().fields);
  if (records.size() == (has_heading ? 1U : 0U))
    input_error("{}: no GEMMs; expected lines Layer,M,N,K or M,N,K, or convolutions of SCALE-Sim", path);
  const std::vector<std::string>& first = records.front().fields;
  Layout layout = has_heading ? layout_of_heading(fmt::format("{}:{}", path, records.front().line), first)
                              : layout_of_fields(first.size());
  std::size_t most = first.size();
  for (const CsvRecord& record : records)
    for (; most < record.fields.size(); ++most) layout.unread.push_back(fmt::format("column {}", most + 1));
  CsvImport import(path, layout);
  for (std::size_t i = has_heading ? 1 : 0; i < records.size(); ++i) import.add(records[i]);
  TraceDocument document;
  document.model = std::filesystem::path(path).stem().string();
  document.source = layout.unread.empty() ? path : fmt::format("{}, without {}", path, joined(layout.unread));
  document.gemms = std::move(import.entries);
  return document;
}

}  // namespace oscsim
