// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/npy.h"

#include <fmt/format.h>

#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {
namespace {

std::string npy(const std::string& header, std::size_t data_bytes, char version = 1) {
  std::string file = std::string("\x93NUMPY") + version + '\0';
  for (std::size_t i = 0; i < (version == 1 ? 2U : 4U); ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + std::string(data_bytes, '\x3F');
}

std::string npy_header(const std::string& descr, const std::string& shape, const char* order = "False") {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}\n", descr, order, shape);
}

std::vector<Seed> npy_seeds() {
  return {{"f4", npy(npy_header("<f4", "(2, 3)"), 24)},
          {"f2_version_2", npy(npy_header("<f2", "(1, 4)"), 8, 2)},
          {"v2_version_3", npy(npy_header("|V2", "(1, 4)"), 8, 3)},
          {"columns_first", npy(npy_header("<f4", "(2, 3)", "True"), 24)},
          {"big_endian", npy(npy_header(">f4", "(2, 3)"), 24)},
          {"f8", npy(npy_header("<f8", "(2, 3)"), 48)},
          {"one_dimension", npy(npy_header("<f4", "(6,)"), 24)},
          {"batch", npy(npy_header("<f4", "(1, 2, 3)"), 24)},
          {"no_columns", npy(npy_header(">f8", "(4611686018427387904, 0)"), 0)},
          {"truncated", npy(npy_header("<f4", "(2, 3)"), 23)},
          {"overflow", npy(npy_header("<f4", "(4294967296, 4294967296)"), 24)},
          {"records", npy("{'descr': [('x', '<f4')], 'fortran_order': True, 'shape': (2,)}", 8)},
          {"no_header", "\x93NUMPY"}};
}

// Every element that an accepted header promises is in the file.
void read_npy_input(std::string_view input) {
  const auto file = std::as_bytes(std::span(input));
  const NpyLayout layout = read_npy_header(kFile, file, {.void_is_bf16 = true});
  const auto elements = static_cast<std::size_t>(layout.rows) * static_cast<std::size_t>(layout.cols);
  touch(file.subspan(layout.data_begin, elements * layout.element_bytes));
  if (!layout.is_plain()) npy_matrix(kFile, file, layout);
}

}  // namespace

Reader npy_reader() {
  return {
      .name = "npy",
      .read = read_npy_input,
      .seeds = npy_seeds,
      .longest = 512,
      .words = {"'descr'", "'fortran_order'", "'shape'", "'<f4'", "'>f8'", "'|V2'", "True", "(1, 2, 3)", "(", ",)"}};
}

}  // namespace oscsim::fuzz
