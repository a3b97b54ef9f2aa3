// SPDX-License-Identifier: Apache-2.0
// Parts of a trace (--layers, --only) and single GEMMs from the command line (--gemm).
#pragma once

#include <optional>
#include <span>
#include <string>

#include "sim/workload/trace.h"

namespace oscsim {

// The GEMMs and operations of the layers in `layers` whose name contains a match of the regular expression `only`
// (name_pattern.h). InputError for a bad expression, and when nothing is left: it says what there is.
Trace select(Trace trace, const std::optional<LayerRange>& layers, const std::optional<std::string>& only);

// "M,N,K" or "M,N,K,position". Named gemm_<M>x<N>x<K>.
Gemm parse_gemm(const std::string& text);

// One trace of several such texts; a second GEMM of the same name gets _2 behind it, and so on.
Trace parse_gemms(std::span<const std::string> texts);

// InputError, with `what` in front, unless the sizes are positive and every operand, its bytes and the number of
// multiply-accumulates fit in 63 bits.
void check_sizes(const std::string& what, const Gemm& gemm);

}  // namespace oscsim
