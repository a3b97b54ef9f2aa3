// SPDX-License-Identifier: Apache-2.0
// Issue: the scalar unit of a core computes addresses and hands commands to the pipes, in program order. Its time shows
// where a pipe has to wait for the next command: between tiles at the load pipe, between steps at the feed pipe.
#pragma once

#include "models/base/schema.h"

namespace oscsim::units {

struct IssueParams {
  Cycles step{0};
  Cycles tile{0};
  Cycles step_folded{0};
  Cycles tile_folded{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("step", self.step,
          {.min = 0, .max = 1e6, .meaning = "scalar work for each step of a tile, tiling computed at run time"});
    visit("tile", self.tile,
          {.min = 0,
           .max = 1e6,
           .meaning = "scalar work between the loads of two output tiles, tiling computed at run time"});
    visit("step_folded", self.step_folded,
          {.min = 0, .max = 1e6, .meaning = "the same as step, constants folded at compile time"});
    visit("tile_folded", self.tile_folded,
          {.min = 0, .max = 1e6, .meaning = "the same as tile, constants folded at compile time"});
  }

  Cycles per_step(bool folded) const { return folded ? step_folded : step; }
  Cycles per_tile(bool folded) const { return folded ? tile_folded : tile; }
};

}  // namespace oscsim::units
