// SPDX-License-Identifier: Apache-2.0
// Suppression tables of OSC (arXiv 2604.12782) in a file, one per activation tensor: what `oscsim calibrate` writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/base/schema.h"
#include "models/schemes/channel_table.h"
#include "models/schemes/position.h"
#include "models/schemes/scheme.h"

namespace oscsim {

struct ChannelTableEntry {
  std::string input;  // name of the activation tensor
  std::optional<Position> position;
  std::optional<Treatment> decision;        // absent: the scheme's positions decide
  std::optional<std::int64_t> tokens;       // that were calibrated
  std::optional<double> threshold;          // alpha * mean magnitude
  std::optional<double> density;            // mean over the groups
  std::optional<double> held_out_hit_rate;  // of the table on held-out tokens
  std::vector<std::int64_t> channels;       // one per group; -1: no outlier
  std::vector<std::int64_t> above, hits;    // one per group, or empty: density of a group is hits / above

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("input", self.input, {.required = true, .meaning = "name of the activation tensor"});
    visit("position", self.position, {.meaning = "where it sits in the layer; for people, the trace has its own"});
    visit("decision", self.decision, {.meaning = "osc or fallback, instead of the scheme's fallback.positions"});
    visit("tokens", self.tokens, {.min = 0, .meaning = "tokens that were calibrated"});
    visit("threshold", self.threshold, {.min = 0, .meaning = "magnitude above which a group's maximum is an outlier"});
    visit("density", self.density, {.min = 0, .max = 1, .meaning = "clustering density, mean over the groups"});
    visit("held_out_hit_rate", self.held_out_hit_rate,
          {.min = 0, .max = 1, .meaning = "share of outliers in the table's channels on held-out tokens"});
    visit("channels", self.channels,
          {.min = -1, .required = true, .meaning = "outlier channel of each group, 0 to group - 1; -1: none"});
    visit("above", self.above, {.min = 0, .meaning = "tokens of each group above the threshold"});
    visit("hits", self.hits, {.min = 0, .meaning = "of these, those with their maximum in the group's channel"});
  }
};

// A file that was read, for provenance.
struct CalibratedFile {
  std::string file;
  std::string sha256;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("file", self.file, {.required = true, .meaning = "its path"});
    visit("sha256", self.sha256, {.required = true, .meaning = "of its bytes"});
  }
};

struct ChannelTableFile {
  std::int64_t schema = 1;
  std::int64_t group = 32;
  double alpha = 5;
  std::string source;
  std::string version;  // of the program that calibrated, with its git hash
  std::vector<CalibratedFile> files, held_out;
  std::vector<ChannelTableEntry> tables;
  std::string path;  // where it was read from; no key

  // The table of an activation with k channels, for a scheme that works on groups of `scheme_group`. InputError for
  // another group size, a missing table (with the nearest name) and a table for another k.
  ChannelTable find(const std::string& input, std::int64_t k, std::int64_t scheme_group) const;

  // What the file decides for an activation; nothing when it does not.
  std::optional<Treatment> decision(const std::string& input) const;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("schema", self.schema, {.min = 1, .max = 1, .required = true, .meaning = "version of the format"});
    visit("group", self.group, {.min = 1, .max = 32767, .required = true, .meaning = "channels of one group"});
    visit("alpha", self.alpha,
          {.min = 0, .meaning = "threshold, in mean magnitudes of the activation", .source = "arXiv 2604.12782"});
    visit("source", self.source, {.meaning = "tensors that were calibrated"});
    visit("version", self.version, {.meaning = "program that calibrated"});
    visit("files", self.files, {.meaning = "files that were calibrated"});
    visit("held_out", self.held_out, {.meaning = "files of the held-out tokens"});
    visit("tables", self.tables, {.required = true, .meaning = "one table per activation tensor"});
  }
};

// InputError with file:line:column for everything that is wrong: keys, values, channels beyond the group, an input that
// is there twice.
ChannelTableFile read_channel_tables(const std::string& path);
ChannelTableFile read_channel_tables(const std::string& path, std::string text);  // of that content

void write_channel_tables(const std::string& path, const ChannelTableFile& file);

}  // namespace oscsim
