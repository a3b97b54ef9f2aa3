// SPDX-License-Identifier: Apache-2.0
// The table of operand formats. A new format is one line here, its codec in element.h and its kernel.
#include "models/numerics/format.h"

#include <algorithm>
#include <vector>

namespace oscsim::numerics {
namespace {

constexpr std::string_view kOcpMx = "OCP Microscaling Formats (MX) v1.0";
constexpr std::string_view kOfp8 = "OCP 8-bit Floating Point (OFP8) v1.0";

constexpr std::string_view kNvfp4 = "NVIDIA NVFP4, as documented with Transformer Engine";
constexpr std::string_view kSmoothQuant = "SmoothQuant, arXiv 2211.10438";

// In the order of FormatId.
constexpr FormatInfo kFormats[] = {
    {FormatId::mxfp4, "mxfp4", ElementType::e2m1, 4, BlockScale::e8m0, OuterScale::none, 32, 8,
     "E2M1, one E8M0 scale for 32 elements", kOcpMx},
    {FormatId::mxfp8, "mxfp8", ElementType::e4m3, 8, BlockScale::e8m0, OuterScale::none, 32, 8,
     "E4M3, one E8M0 scale for 32 elements", kOcpMx},
    {FormatId::mxfp8_e5m2, "mxfp8_e5m2", ElementType::e5m2, 8, BlockScale::e8m0, OuterScale::none, 32, 8,
     "E5M2, one E8M0 scale for 32 elements", kOcpMx},
    {FormatId::mxint8, "mxint8", ElementType::int8, 8, BlockScale::e8m0, OuterScale::none, 32, 8,
     "INT8 in units of 1/64, one E8M0 scale for 32 elements", kOcpMx},
    {FormatId::mx_e1m2, "mx_e1m2", ElementType::e1m2, 4, BlockScale::e8m0, OuterScale::none, 32, 8,
     "E1M2 (quarters up to 1.75), one E8M0 scale for 32 elements",
     "the element of HiFloat4, arXiv 2602.11287, in an OCP MX block"},
    {FormatId::nvfp4, "nvfp4", ElementType::e2m1, 4, BlockScale::e4m3, OuterScale::tensor, 16, 8,
     "E2M1, one E4M3 scale for 16 elements, one FP32 scale for the tensor", kNvfp4},
    {FormatId::nvfp4_single, "nvfp4_single", ElementType::e2m1, 4, BlockScale::e4m3, OuterScale::none, 16, 8,
     "E2M1, one E4M3 scale for 16 elements, without the tensor's scale", kNvfp4},
    {FormatId::hif4, "hif4", ElementType::e1m2, 4, BlockScale::hif4, OuterScale::none, 64, 32,
     "S1P2 (quarters up to 1.75), for 64 elements one E6M2 scale, a 1-bit exponent for every 8 and one for every 4",
     "HiFloat4, arXiv 2602.11287", ElementRounding::half_away},  // as its published quantisers
    {FormatId::amxfp4, "amxfp4", ElementType::e2m1, 4, BlockScale::signed_e5m2, OuterScale::none, 32, 16,
     "E2M1, two E5M2 scales for 32 elements: of the positive and of the negative ones", "AMXFP4, arXiv 2411.09909"},
    {FormatId::int8, "int8", ElementType::int8, 8, BlockScale::none, OuterScale::row, 0, 0,
     "symmetric INT8, one FP32 scale (max(amax, 1e-5) / 127) for each token or output channel; INT32 accumulation",
     kSmoothQuant},
    {FormatId::int4, "int4", ElementType::int4, 4, BlockScale::none, OuterScale::row, 0, 0,
     "symmetric INT4, one FP32 scale (max(amax, 1e-5) / 7) for each token or output channel; INT32 accumulation",
     kSmoothQuant},
    {FormatId::int4_asym, "int4_asym", ElementType::int4, 4, BlockScale::bf16_zero, OuterScale::none, 128, 24,
     "asymmetric INT4, x = scale * (code - zero), one BF16 scale (max(range, 1e-5) / 15) and zero point for 128 "
     "elements",
     "group-wise asymmetric quantisation; 128 elements, BF16 scale and 8-bit storage of the zero point assumed"},
    {FormatId::fp8, "fp8", ElementType::e4m3, 8, BlockScale::none, OuterScale::row, 32, 0,
     "E4M3, one FP32 scale (amax / 448) for each token or output channel; accumulated in blocks of 32", kOfp8},
    {FormatId::fp8_e5m2, "fp8_e5m2", ElementType::e5m2, 8, BlockScale::none, OuterScale::row, 32, 0,
     "E5M2, one FP32 scale (amax / 57344) for each token or output channel; accumulated in blocks of 32", kOfp8},
    {FormatId::fp8_tensor, "fp8_tensor", ElementType::e4m3, 8, BlockScale::none, OuterScale::tensor, 32, 0,
     "E4M3, one FP32 scale (amax / 448) for the tensor; accumulated in blocks of 32", kOfp8},
    {FormatId::fp8_e5m2_tensor, "fp8_e5m2_tensor", ElementType::e5m2, 8, BlockScale::none, OuterScale::tensor, 32, 0,
     "E5M2, one FP32 scale (amax / 57344) for the tensor; accumulated in blocks of 32", kOfp8},
    {FormatId::bf16, "bf16", ElementType::bf16, 16, BlockScale::none, OuterScale::none, 1, 0, "BF16, no scale",
     "upper half of IEEE 754 binary32"},
    {FormatId::fp16, "fp16", ElementType::fp16, 16, BlockScale::none, OuterScale::none, 1, 0, "FP16, no scale",
     "IEEE 754-2019 binary16"},
};

constexpr int kOuterScaleBits = 32;

std::int64_t stored_row_bytes(const FormatInfo& format, std::int64_t k) {
  const std::int64_t elements = format.block_scale != BlockScale::none ? round_up(k, format.block) : k;
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

Bytes block_scale_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k) {
  if (format.block_scale == BlockScale::none) return Bytes(0);
  const std::int64_t blocks = checked_product(rows, tiles_of(k, format.block), "number of scales");
  return bytes_of(Bits(checked_product(blocks, format.block_scale_bits, "size of scales")));
}

Bytes scale_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k) {
  const std::int64_t outer = format.outer_scale == OuterScale::none  ? 0
                             : format.outer_scale == OuterScale::row ? rows
                                                                     : 1;
  return block_scale_bytes(format, rows, k) + bytes_of(Bits(checked_product(outer, kOuterScaleBits, "size of scales")));
}

}  // namespace oscsim::numerics
