// SPDX-License-Identifier: Apache-2.0
// The table of operand formats. A new format is one line here, its codec in element.h and its kernel.
#include "models/numerics/format.h"

#include <algorithm>
#include <vector>

namespace oscsim::numerics {
namespace {

constexpr std::string_view kOcpMx = "OCP Microscaling Formats (MX) v1.0";
constexpr std::string_view kOfp8 = "OCP 8-bit Floating Point (OFP8) v1.0";

// In the order of FormatId.
constexpr FormatInfo kFormats[] = {
    {FormatId::mxfp4, "mxfp4", 4, ScaleKind::block, 32, 8, "E2M1, one E8M0 scale for 32 elements", kOcpMx},
    {FormatId::mxfp8, "mxfp8", 8, ScaleKind::block, 32, 8, "E4M3, one E8M0 scale for 32 elements", kOcpMx},
    {FormatId::fp8, "fp8", 8, ScaleKind::row_float, 32, 32,
     "E4M3, one FP32 scale (amax / 448) for each token or output channel; accumulated in blocks of 32", kOfp8},
    {FormatId::int8, "int8", 8, ScaleKind::row_float, 0, 32,
     "symmetric INT8, one FP32 scale (amax / 127, at least 1e-5) for each token or output channel; INT32 accumulation",
     "SmoothQuant, arXiv 2211.10438"},
    {FormatId::bf16, "bf16", 16, ScaleKind::none, 1, 0, "BF16, no scale", "upper half of IEEE 754 binary32"},
    {FormatId::fp16, "fp16", 16, ScaleKind::none, 1, 0, "FP16, no scale", "IEEE 754-2019 binary16"},
};

std::int64_t stored_row_bytes(const FormatInfo& format, std::int64_t k) {
  const std::int64_t elements = format.scale_kind == ScaleKind::block ? round_up(k, format.block) : k;
  return bytes_of(Bits(checked_product(elements, format.element_bits, "row size"))).count();
}

}  // namespace

std::span<const FormatInfo> formats() {
  return kFormats;
}

const FormatInfo& format(FormatId id) {
  const auto index = static_cast<std::size_t>(id);
  ensure(index < std::size(kFormats) && kFormats[index].id == id, "format table is not in the order of FormatId: {}",
         index);
  return kFormats[index];
}

const FormatInfo& format(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name, &FormatInfo::name);
  if (found != std::end(kFormats)) return *found;
  const std::vector<std::string> names = names_of<FormatId>();
  input_error("unknown format '{}'\n  allowed: {}{}", name, joined(names), did_you_mean(name, names));
}

Bytes code_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k) {
  return Bytes(checked_product(rows, stored_row_bytes(format, k), "size of codes"));
}

Bytes scale_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k) {
  switch (format.scale_kind) {
    case ScaleKind::none:
      return Bytes(0);
    case ScaleKind::block:
      return bytes_of(Bits(checked_product(checked_product(rows, tiles_of(k, format.block), "number of scales"),
                                           format.scale_bits, "size of scales")));
    case ScaleKind::row_float:
      return bytes_of(Bits(checked_product(rows, format.scale_bits, "size of scales")));
  }
  ensure(false, "unknown scale kind {}", static_cast<int>(format.scale_kind));
  return Bytes(0);
}

}  // namespace oscsim::numerics
