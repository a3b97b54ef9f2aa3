// SPDX-License-Identifier: Apache-2.0
// The sizes that the search tries: of a tile along one dimension, and of the grid of cores.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "models/base/quantity.h"

namespace oscsim {

inline constexpr std::int64_t kMostTileSize = 4096;  // rows or columns of an output tile that is searched

// Powers of two times `granule`, the whole of `extent`, and what cuts it into few equal tiles, or into equal tiles for
// `cores` or a simple fraction of them. Largest first: among equal estimates the larger tile, with fewer commands,
// wins.
inline std::vector<std::int64_t> tile_sizes(std::int64_t extent, std::int64_t granule, std::int64_t cores,
                                            const std::optional<std::int64_t>& pinned) {
  if (pinned) return {*pinned};
  std::vector<std::int64_t> sizes;
  const std::int64_t whole = round_up(extent, granule);
  for (std::int64_t size = granule; size < whole && size <= kMostTileSize; size *= 2) sizes.push_back(size);
  const auto add_part = [&](std::int64_t parts) {
    if (const std::int64_t size = round_up(tiles_of(extent, parts), granule); size <= kMostTileSize)
      sizes.push_back(size);
  };
  for (std::int64_t parts = 1; parts <= 6; ++parts) add_part(parts);
  for (const std::int64_t share : {1, 2, 3, 4, 6}) {
    add_part(std::max<std::int64_t>(1, cores / share));
    add_part(cores * share);
  }
  std::ranges::sort(sizes, std::greater{});
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());  // clang 14 has no subranges with GCC 12's library
  return sizes;
}

// A power of two times `granule`, or the whole.
inline bool is_plain_size(std::int64_t size, std::int64_t extent, std::int64_t granule) {
  return size == round_up(extent, granule) ||
         (size % granule == 0 && std::has_single_bit(static_cast<std::uint64_t>(size / granule)));
}

// Whether fewer cores would leave the busiest one more of `tiles`.
inline bool is_even_split(std::int64_t tiles, std::int64_t cores) {
  return tiles_of(tiles, tiles_of(tiles, cores)) == cores;
}

// Numbers of cores, `most` at most, that share `tiles` evenly: the three largest, and down to half of `most` those that
// have equal shares. Fewer cores disturb each other less.
inline std::vector<std::int64_t> even_splits(std::int64_t tiles, std::int64_t most) {
  std::vector<std::int64_t> splits;
  most = std::min(tiles, most);
  for (std::int64_t cores = most; 2 * cores >= most && cores > 0; --cores)
    if (is_even_split(tiles, cores) && (splits.size() < 3 || tiles % cores == 0)) splits.push_back(cores);
  return splits;
}

}  // namespace oscsim
