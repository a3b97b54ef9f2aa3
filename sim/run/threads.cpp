// SPDX-License-Identifier: Apache-2.0
#include "sim/run/threads.h"

#include <algorithm>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

namespace oscsim {

std::size_t startable_threads(std::size_t wanted) {
  if (wanted <= 1) return 1;
  std::latch counted(1);
  std::vector<std::jthread> others;
  others.reserve(wanted - 1);
  try {
    while (others.size() + 1 < wanted) others.emplace_back([&counted] { counted.wait(); });
  } catch (const std::system_error&) {  // the limit
  }
  counted.count_down();
  return others.size() + 1;
}

}  // namespace oscsim
