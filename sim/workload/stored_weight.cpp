// SPDX-License-Identifier: Apache-2.0
// Recognises the layouts; stored_weight_load.cpp reads them.
#include "sim/workload/stored_weight.h"

#include "models/base/error.h"
#include "sim/workload/tensor_names.h"

namespace oscsim {
namespace {

using numerics::FormatId;
using Shape = std::vector<std::int64_t>;

constexpr std::int64_t kMxBlock = 32, kNvfp4Block = 16;  // OCP MX v1.0; NVIDIA NVFP4
constexpr std::int64_t kGptOssBytes = 16;                // of one block of 32 in gpt-oss

bool is(const TensorPlace& place, std::string_view dtype) {
  return place.entry->dtype->name == dtype;
}

std::string words(const TensorPlace& place) {
  return fmt::format("'{}' {} {}", place.name, place.entry->dtype->name, shape_text(place.entry->shape));
}

StoredWeight start(const TensorPlace& place, MatrixShape shape) {
  StoredWeight weight;
  weight.what = fmt::format("{}: tensor '{}'", place.file->path(), place.name);
  weight.place = place;
  weight.shape = shape;
  return weight;
}

void check_shape(const StoredWeight& weight, const std::optional<MatrixShape>& expected) {
  if (!expected || (weight.shape.rows == expected->rows && weight.shape.cols == expected->cols)) return;
  input_error("{} has shape {}{}, expected {}", weight.what, shape_text(weight.place.entry->shape),
              weight.is_quantised()
                  ? fmt::format(", {} of {}", weight.layout, shape_text(Shape{weight.shape.rows, weight.shape.cols}))
                  : "",
              shape_text(Shape{expected->rows, expected->cols}));
}

class Finder {
 public:
  Finder(const TensorSet& tensors, const std::string& name, std::optional<MatrixShape> expected)
      : tensors_(tensors), name_(name), expected_(expected) {}

  std::optional<StoredWeight> find() {
    // What an index leaves out comes last: looking for it opens every shard.
    for (const bool all : {false, true}) {
      look_everywhere_ = all;
      if (const auto place = look(name_)) return whole(*place);
      if (const auto place = look(name_ + "_packed")) return packed(*place);
      if (auto expert = this->expert()) return expert;
    }
    return std::nullopt;
  }

 private:
  std::optional<TensorPlace> look(const std::string& name) const {
    return look_everywhere_ ? tensors_.find(name) : tensors_.find_listed(name);
  }
  // A tensor that goes with `place`, found even where an index leaves it out.
  std::optional<TensorPlace> beside(const std::string& stem, std::initializer_list<std::string_view> endings) const {
    for (const bool all : {false, true})
      for (const std::string_view ending : endings)
        if (const auto found =
                all ? tensors_.find(stem + std::string(ending)) : tensors_.find_listed(stem + std::string(ending)))
          return found;
    return std::nullopt;
  }

  // ------ under the weight's own name

  StoredWeight whole(const TensorPlace& place) const {
    const std::optional<MatrixShape> shape = matrix_shape(*place.entry);
    if (shape && (is(place, "F8_E4M3") || is(place, "F8_E5M2") || is(place, "I8"))) return scaled(place, *shape);
    if (shape && is(place, "U8"))
      if (const auto outer = beside(place.name, {"_scale_2"})) return nvfp4(place, *outer, false);
    // A matrix, or something else; the words are the same for activations.
    const Shape found = shape ? Shape{shape->rows, shape->cols} : place.entry->shape;
    StoredWeight weight = start(place, shape.value_or(MatrixShape{}));
    if (expected_ ? found != Shape{expected_->rows, expected_->cols} : !shape)
      input_error("{} has shape {}, expected {}", weight.what, shape_text(place.entry->shape),
                  expected_ ? shape_text(Shape{expected_->rows, expected_->cols}) : "two sizes, rows and columns");
    if (!matrix_dtype(*place.entry->dtype))
      input_error("{} has dtype {}; allowed: BF16, F16, F32", weight.what, place.entry->dtype->name);
    return weight;
  }

  // Codes of one byte: compressed-tensors, ModelOpt and FBGEMM (weight_scale), DeepSeek (weight_scale_inv). Both
  // multiply.
  StoredWeight scaled(const TensorPlace& place, MatrixShape shape) const {
    StoredWeight weight = start(place, shape);
    const auto scale = beside(place.name, {"_scale_inv", "_scale"});
    if (!scale) input_error("{} has dtype {}; allowed: BF16, F16, F32", weight.what, place.entry->dtype->name);
    weight.scale = *scale;
    const bool is_int8 = is(place, "I8"), is_e5m2 = is(place, "F8_E5M2");
    const Shape& extents = scale->entry->shape;
    const auto& [n, k] = shape;
    const std::string element = is_int8 ? "INT8" : is_e5m2 ? "FP8 E5M2" : "FP8";
    std::int64_t count = 1;
    for (const std::int64_t extent : extents) count *= extent;
    const bool is_e8m0 = is(*scale, "F8_E8M0") || is(*scale, "U8");
    if (is_e8m0 && extents == Shape{n, tiles_of(k, kMxBlock)} && !is_int8) {
      weight.layout = is_e5m2 ? "MXFP8 E5M2" : "MXFP8";
      weight.format = is_e5m2 ? FormatId::mxfp8_e5m2 : FormatId::mxfp8;
    } else if (count == 1) {
      weight.layout = element + " with one scale";
      weight.format = is_int8 ? FormatId::int8 : is_e5m2 ? FormatId::fp8_e5m2_tensor : FormatId::fp8_tensor;
    } else if (extents == Shape{n} || extents == Shape{n, 1}) {
      weight.layout = element + " with a scale for each row";
      weight.format = is_int8 ? FormatId::int8 : is_e5m2 ? FormatId::fp8_e5m2 : FormatId::fp8;
    } else if (extents == Shape{tiles_of(n, kFp8Block), tiles_of(k, kFp8Block)} && !is_int8) {
      weight.layout = fmt::format("{} with a scale for each block of {} x {}", element, kFp8Block, kFp8Block);
    } else {
      input_error("{}: {} does not fit {}: scales are one, one for each row, or one for each block of {} x {}",
                  place.file->path(), words(*scale), words(place), kFp8Block, kFp8Block);
    }
    check_scale(*scale, weight.format);
    check_shape(weight, expected_);
    return weight;
  }

  static void check_scale(const TensorPlace& scale, std::optional<FormatId> format) {
    const bool is_mx = format == FormatId::mxfp8 || format == FormatId::mxfp8_e5m2;
    if (is_mx || is(scale, "F32") || is(scale, "BF16") || is(scale, "F16") || is(scale, "F8_E8M0")) return;
    input_error("{}: tensor '{}' has dtype {}; allowed of scales: F32, BF16, F16, F8_E8M0", scale.file->path(),
                scale.name, scale.entry->dtype->name);
  }

  // ------ E2M1 codes, two in a byte, element 0 in the low nibble

  // compressed-tensors: weight_packed with weight_scale, and for NVFP4 weight_global_scale.
  StoredWeight packed(const TensorPlace& place) const {
    const auto scale = beside(name_of_module(place.name, "_packed"), {"_scale"});
    if (!is(place, "U8") || !matrix_shape(*place.entry))
      input_error("{}: {}: packed weights that are read have two E2M1 codes in a byte, U8 with two sizes",
                  place.file->path(), words(place));
    if (!scale)
      input_error("{}: {} without '{}_scale'", place.file->path(), words(place), name_of_module(place.name, "_packed"));
    if (is(*scale, "F8_E4M3")) {
      const auto outer = beside(name_of_module(place.name, "_packed"), {"_global_scale"});
      return nvfp4(place, outer, true);
    }
    const auto [rows, bytes] = *matrix_shape(*place.entry);
    StoredWeight weight = start(place, {rows, checked_product(2, bytes, "columns")});
    weight.layout = "MXFP4";
    weight.format = FormatId::mxfp4;
    weight.scale = scale;
    require_scales(weight, {"U8", "F8_E8M0"}, kMxBlock);
    check_shape(weight, expected_);
    return weight;
  }

  // ModelOpt: weight with weight_scale and weight_scale_2, which multiplies where compressed-tensors divides.
  StoredWeight nvfp4(const TensorPlace& place, const std::optional<TensorPlace>& outer, bool divides) const {
    const std::string stem = divides ? name_of_module(place.name, "_packed") : place.name;
    const auto scale = beside(stem, {"_scale"});
    if (!scale) input_error("{}: {} without '{}_scale'", place.file->path(), words(place), stem);
    const auto [rows, bytes] = *matrix_shape(*place.entry);
    StoredWeight weight = start(place, {rows, checked_product(2, bytes, "columns")});
    weight.layout = "NVFP4";
    weight.format = outer ? FormatId::nvfp4 : FormatId::nvfp4_single;
    weight.scale = scale;
    weight.outer_scale = outer;
    weight.divides = divides;
    require_scales(weight, {"F8_E4M3"}, kNvfp4Block);
    if (outer && (!is(*outer, "F32") || outer->entry->end - outer->entry->begin != sizeof(float)))
      input_error("{}: {}: expected one F32", outer->file->path(), words(*outer));
    check_shape(weight, expected_);
    return weight;
  }

  static std::string name_of_module(const std::string& name, std::string_view ending) {
    return name.substr(0, name.size() - ending.size());
  }

  static void require_scales(const StoredWeight& weight, std::initializer_list<std::string_view> dtypes,
                             std::int64_t block) {
    const TensorPlace& scale = *weight.scale;
    const Shape wanted{weight.shape.rows, tiles_of(weight.shape.cols, block)};
    for (const std::string_view dtype : dtypes)
      if (is(scale, dtype) && scale.entry->shape == wanted) return;
    input_error("{}: {} does not fit {}: expected {} {}", scale.file->path(), words(scale), words(weight.place),
                *dtypes.begin(), shape_text(wanted));
  }

  // ------ stacks of experts

  std::optional<StoredWeight> expert() const {
    const std::optional<ExpertName> name = expert_name(name_);
    if (!name) return std::nullopt;
    const bool is_gate = name->projection == "gate_proj", is_up = name->projection == "up_proj";
    const std::string fused = is_gate || is_up ? "gate_up_proj" : name->projection;
    for (const char* ending : {"", ".weight"}) {
      // gate_proj and up_proj as stacks of their own; down_proj always is one.
      if (const auto place = look(name->stack + name->projection + ending)) return stacked(*place, *name, false);
      if (const auto place = look(name->stack + fused + ending)) return stacked(*place, *name, true);
    }
    if (const auto blocks = look(name->stack + fused + "_blocks"))
      return gpt_oss(*blocks, *name, is_gate || is_up, is_up);
    return std::nullopt;
  }

  static void check_expert(const TensorPlace& place, const ExpertName& name, std::size_t dimensions) {
    const Shape& shape = place.entry->shape;
    if (shape.size() != dimensions)
      input_error("{}: {}: a stack of experts has {} sizes", place.file->path(), words(place), dimensions);
    if (name.expert >= shape[0]) input_error("{}: {} has no expert {}", place.file->path(), words(place), name.expert);
  }

  // transformers >= 5: gate_up_proj [experts, 2 I, H] with the gate first, down_proj [experts, H, I]. Models that
  // multiply from the other side have [experts, H, 2 I] and [experts, I, H]: Llama 4 with the gate first, gpt-oss,
  // which has biases, with gate and up in turns.
  StoredWeight stacked(const TensorPlace& place, const ExpertName& name, bool is_fused) const {
    check_expert(place, name, 3);
    if (!matrix_dtype(*place.entry->dtype))
      input_error("{}: tensor '{}' has dtype {}; allowed of stacked experts: BF16, F16, F32", place.file->path(),
                  place.name, place.entry->dtype->name);
    const std::int64_t parts = is_fused ? 2 : 1;
    const std::int64_t rows = place.entry->shape[1], cols = place.entry->shape[2];
    const bool as_layer = is_transposed_stack(name);
    const auto& [n, k] =
        expected_.value_or(as_layer ? MatrixShape{cols / parts, rows} : MatrixShape{rows / parts, cols});
    const bool fits = rows == parts * n && cols == k, fits_transposed = rows == k && cols == parts * n;
    StoredWeight weight = start(place, {n, k});
    if (!fits && !fits_transposed)
      input_error("{} has shape {}, expected [experts, {}, {}]", weight.what, shape_text(place.entry->shape), parts * n,
                  k);
    const bool interleaves = tensors_.find_listed(name.stack + "gate_up_proj_bias").has_value();
    weight.is_transposed = fits && fits_transposed ? as_layer : fits_transposed;
    const std::int64_t part = is_fused && name.projection == "up_proj" ? 1 : 0;
    weight.begin = checked_product(name.expert, checked_product(rows, cols, "stack"), "stack");
    weight.columns = cols;
    weight.rows = {part * n, 1};
    if (weight.is_transposed && is_fused && interleaves) weight.rows = {part, 2};
    return weight;
  }

  // Of a square stack: as gate_up_proj of the layer lies, or as it must for a model with biases.
  bool is_transposed_stack(const ExpertName& name) const {
    if (tensors_.find_listed(name.stack + "gate_up_proj_bias")) return true;
    const auto fused = tensors_.find_listed(name.stack + "gate_up_proj");
    if (!fused || fused->entry->shape.size() != 3) return false;
    // [experts, H, 2 I] is wider than high, unless H is at least 2 I.
    return fused->entry->shape[1] * 2 == fused->entry->shape[2];
  }

  // gpt-oss: blocks U8 [experts, rows, k / 32, 16], scales U8 [experts, rows, k / 32]; rows of gate and up in turns.
  StoredWeight gpt_oss(const TensorPlace& place, const ExpertName& name, bool is_fused, bool is_up) const {
    check_expert(place, name, 4);
    const Shape& shape = place.entry->shape;
    const std::string stem = name_of_module(place.name, "_blocks");
    const auto scale = beside(stem, {"_scales"});
    if (!scale) input_error("{}: {} without '{}_scales'", place.file->path(), words(place), stem);
    if (!is(place, "U8") || shape[3] != kGptOssBytes || !is(*scale, "U8") ||
        scale->entry->shape != Shape{shape[0], shape[1], shape[2]} || (is_fused && shape[1] % 2 != 0))
      input_error("{}: {} and {}: expected U8 [experts, rows, k / 32, 16] and U8 [experts, rows, k / 32]",
                  place.file->path(), words(place), words(*scale));
    StoredWeight weight =
        start(place, {is_fused ? shape[1] / 2 : shape[1], checked_product(shape[2], kMxBlock, "columns")});
    weight.layout = "MXFP4";
    weight.format = FormatId::mxfp4;
    weight.scale = scale;
    weight.rows = {checked_product(name.expert, shape[1], "rows") + (is_up ? 1 : 0), is_fused ? 2 : 1};
    check_shape(weight, expected_);
    return weight;
  }

  const TensorSet& tensors_;
  const std::string& name_;
  std::optional<MatrixShape> expected_;
  bool look_everywhere_ = false;
};

}  // namespace

std::optional<StoredWeight> find_stored_weight(const TensorSet& tensors, const std::string& name,
                                               std::optional<MatrixShape> expected) {
  return Finder(tensors, name, expected).find();
}

}  // namespace oscsim
