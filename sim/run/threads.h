// SPDX-License-Identifier: Apache-2.0
// Threads that the system allows.
#pragma once

#include <cstddef>

namespace oscsim {

// How many threads, of `wanted`, this process can have now, the one that calls included: limits of processes (ulimit
// -u, cgroups) and of memory (ulimit -v) say no only when one asks. With more than these, work on several threads fails
// in the middle.
std::size_t startable_threads(std::size_t wanted);

}  // namespace oscsim
