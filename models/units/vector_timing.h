// SPDX-License-Identifier: Apache-2.0
// Vector pipe: online quantisation by format (maxima, application of the scale, cast) and the operations between the
// GEMMs, as passes over 16-bit data in the unified buffer.
#pragma once

#include <algorithm>
#include <optional>

#include "models/base/schema.h"
#include "models/numerics/format.h"

namespace oscsim::units {

// An FP32 scale of a whole tensor (NVFP4, FP8 per tensor) needs the maximum of all of it.
enum class TensorMaximum : std::uint8_t {
  producer,  // the kernel that wrote the tensor has it
  sweep,     // the tensor is read once more before it is cast
};

struct VectorParams {
  BytesPerCycle rate{256};
  Cycles setup{0};
  std::optional<std::int64_t> quantise_passes;
  TensorMaximum tensor_maximum = TensorMaximum::producer;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("rate", self.rate,
          {.min = 1e-3,
           .max = 1e9,
           .required = true,
           .meaning = "bytes of 16-bit input per cycle and pass, all vector units of a core"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "once for each tile", .source = "assumed"});
    visit("quantise_passes", self.quantise_passes,
          {.min = 1,
           .max = 64,
           .meaning = "passes over the data of a cast, whatever the format; absent: by format (maximum, scale, cast; 4 "
                      "where a block has two scales or levels)"});
    visit("tensor_maximum", self.tensor_maximum,
          {.meaning = "where a tensor's maximum comes from: the kernel that wrote the tensor, or a sweep over it",
           .source = "assumed"});
  }
};

// Passes over the data of a cast. Arithmetic on the block scales themselves, one in 16 to 128 elements, is not counted.
struct CastPasses {
  std::int64_t maximum = 0;  // before the scale is known
  std::int64_t rest = 0;     // apply it, cast
  std::int64_t all() const { return maximum + rest; }
};

// One pass each for maximum, scale and cast [assumed: one vector instruction on each element]. HiFloat4 takes another
// for the micro-exponents of every 8 and every 4 elements, chosen when the block's scale is known (arXiv 2602.11287);
// signed_e5m2 for the maxima of either sign (arXiv 2411.09909); bf16_zero for the minimum.
constexpr CastPasses cast_passes(numerics::BlockScale scale) {
  switch (scale) {
    case numerics::BlockScale::hif4:
      return {1, 3};
    case numerics::BlockScale::signed_e5m2:
    case numerics::BlockScale::bf16_zero:
      return {2, 2};
    case numerics::BlockScale::none:
    case numerics::BlockScale::e8m0:
    case numerics::BlockScale::e4m3:
      break;
  }
  return {1, 2};
}

// 16-bit formats take none.
inline CastPasses cast_passes(const VectorParams& params, const numerics::FormatInfo& format) {
  if (format.element_bits == 16) return {};
  const CastPasses own = cast_passes(format.block_scale);
  if (!params.quantise_passes) return own;
  const std::int64_t maximum = std::min(own.maximum, *params.quantise_passes - 1);
  return {maximum, *params.quantise_passes - maximum};
}

// A row that does not fit the unified buffer is cast in two sweeps: its maximum first, the rest when the scale is
// known. So is a tensor whose maximum nobody knows.
enum class CastPart : std::uint8_t { all, maximum, rest };

inline std::int64_t cast_passes(const VectorParams& params, const numerics::FormatInfo& format, CastPart part) {
  const CastPasses passes = cast_passes(params, format);
  // A sweep reads its data even when the passes are set to fewer.
  if (part == CastPart::maximum) return std::max<std::int64_t>(1, passes.maximum);
  return part == CastPart::rest ? passes.rest : passes.all();
}

// strided_dma: clearing the outlier channels in the tile is a masked pass over it.
inline constexpr std::int64_t kZeroingPasses = 1;

// `passes` over `bytes` bytes of 16-bit data; none take no time.
inline Cycles vector_time(const VectorParams& params, Bytes bytes, std::int64_t passes) {
  return passes == 0 ? Cycles(0) : params.setup + transfer_time(bytes * passes, params.rate);
}

// Instructions that go over `data` bytes, all together: normalisation, softmax, element-wise operations.
inline Cycles passes_time(const VectorParams& params, Bytes data) {
  return params.setup + transfer_time(data, params.rate);
}

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::TensorMaximum> {
  using Maximum = oscsim::units::TensorMaximum;
  static constexpr std::pair<std::string_view, Maximum> kValues[] = {{"producer", Maximum::producer},
                                                                     {"sweep", Maximum::sweep}};
};
