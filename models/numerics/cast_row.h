// SPDX-License-Identifier: Apache-2.0
// One row of the fast cast to any format, in vectors of kLanes elements.
#pragma once

#include "models/numerics/cast_hif4.h"
#include "models/numerics/cast_mx.h"
#include "models/numerics/cast_nvfp4.h"
#include "models/numerics/cast_rows.h"
#include "models/numerics/cast_two_sided.h"

namespace oscsim::numerics::cast {

template <int kLanes, FormatId kFormat, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_row(const CastJob& job, std::int64_t row) {
  const ScaleRule rule = job.options.scale_rule;
  const Nvfp4Scale nvfp4_scale = job.options.nvfp4_scale;
  if constexpr (kFormat == FormatId::mxfp4)
    cast_block_row<kLanes>(job, row, MxCast<MxFloat<kE2m1, kRounding>>{rule});
  else if constexpr (kFormat == FormatId::mxfp8)
    cast_block_row<kLanes>(job, row, MxCast<MxFloat<kE4m3, kRounding>>{rule});
  else if constexpr (kFormat == FormatId::mxfp8_e5m2)
    cast_block_row<kLanes>(job, row, MxCast<MxFloat<kE5m2, kRounding>>{rule});
  else if constexpr (kFormat == FormatId::mxint8)
    cast_block_row<kLanes>(job, row, MxCast<MxInt8<kRounding>>{rule});
  else if constexpr (kFormat == FormatId::mx_e1m2)
    cast_block_row<kLanes>(job, row, MxCast<MxFloat<kE1m2, kRounding>>{rule});
  else if constexpr (kFormat == FormatId::nvfp4)
    cast_block_row<kLanes>(job, row, Nvfp4Cast<kRounding>{nvfp4_encode_scale(job.tensor_amax), nvfp4_scale});
  else if constexpr (kFormat == FormatId::nvfp4_single)
    cast_block_row<kLanes>(job, row, Nvfp4Cast<kRounding>{1.0F, nvfp4_scale});
  else if constexpr (kFormat == FormatId::hif4)
    cast_block_row<kLanes>(job, row, Hif4Cast<kRounding>{});
  else if constexpr (kFormat == FormatId::amxfp4)
    cast_block_row<kLanes>(job, row, Amxfp4Cast<kRounding>{});
  else if constexpr (kFormat == FormatId::int8)
    cast_row_scaled_row<kLanes, ElementType::int8, kRounding>(job, row);
  else if constexpr (kFormat == FormatId::int4)
    cast_row_scaled_row<kLanes, ElementType::int4, kRounding>(job, row);
  else if constexpr (kFormat == FormatId::int4_asym)
    cast_block_row<kLanes>(job, row, AsymmetricCast<kRounding>{});
  else if constexpr (kFormat == FormatId::fp8)
    cast_row_scaled_row<kLanes, ElementType::e4m3, kRounding>(job, row);
  else if constexpr (kFormat == FormatId::fp8_e5m2)
    cast_row_scaled_row<kLanes, ElementType::e5m2, kRounding>(job, row);
  else if constexpr (kFormat == FormatId::fp8_tensor)
    cast_tensor_scaled_row<kLanes, ElementType::e4m3, kRounding>(job, row);
  else if constexpr (kFormat == FormatId::fp8_e5m2_tensor)
    cast_tensor_scaled_row<kLanes, ElementType::e5m2, kRounding>(job, row);
  else if constexpr (kFormat == FormatId::bf16)
    cast_plain_row<kLanes, kBf16, kRounding>(job, row);
  else
    cast_plain_row<kLanes, kFp16, kRounding>(job, row);
}

}  // namespace oscsim::numerics::cast
