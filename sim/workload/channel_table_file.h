// SPDX-License-Identifier: Apache-2.0
// Suppression tables of OSC (arXiv 2604.12782) in a file, one per activation tensor: what `oscsim calibrate` writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/base/schema.h"
#include "models/schemes/channel_table.h"

namespace oscsim {

struct ChannelTableEntry {
  std::string input;                   // name of the activation tensor
  std::optional<double> density;       // mean over the groups
  std::vector<std::int64_t> channels;  // one per group; -1: no outlier

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("input", self.input, {.required = true, .meaning = "name of the activation tensor"});
    visit("density", self.density, {.min = 0, .max = 1, .meaning = "clustering density, mean over the groups"});
    visit("channels", self.channels,
          {.min = -1, .required = true, .meaning = "outlier channel of each group, 0 to group - 1; -1: none"});
  }
};

struct ChannelTableFile {
  std::int64_t schema = 1;
  std::int64_t group = 32;
  double alpha = 5;
  std::string source;
  std::vector<ChannelTableEntry> tables;
  std::string path;  // where it was read from; no key

  // The table of an activation with k channels, for a scheme that works on groups of `scheme_group`. InputError for
  // another group size, a missing table (with the nearest name) and a table for another k.
  ChannelTable find(const std::string& input, std::int64_t k, std::int64_t scheme_group) const;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("schema", self.schema, {.min = 1, .max = 1, .required = true, .meaning = "version of the format"});
    visit("group", self.group, {.min = 1, .max = 32767, .required = true, .meaning = "channels of one group"});
    visit("alpha", self.alpha,
          {.min = 0, .meaning = "threshold, in mean magnitudes of the activation", .source = "arXiv 2604.12782"});
    visit("source", self.source, {.meaning = "tensors that were calibrated"});
    visit("tables", self.tables, {.required = true, .meaning = "one table per activation tensor"});
  }
};

// InputError with file:line:column for everything that is wrong: keys, values, channels beyond the group, an input that
// is there twice.
ChannelTableFile read_channel_tables(const std::string& path);

void write_channel_tables(const std::string& path, const ChannelTableFile& file);

}  // namespace oscsim
