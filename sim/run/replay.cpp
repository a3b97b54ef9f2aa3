// SPDX-License-Identifier: Apache-2.0
#include "sim/run/replay.h"

#include <tbb/task_group.h>

#include "sim/run/row_sample.h"
#include "sim/run/weight_cast.h"

namespace oscsim {
namespace {

using numerics::Matrix;
using numerics::MatrixView;
using numerics::QuantisedMatrix;

std::string treatment_key(const GemmPlan& plan) {
  const numerics::CastOptions& cast = plan.cast;
  return fmt::format("{} {} {} {} {} {} {} {}", name_of(plan.activation.format), plan.activation.gather_group,
                     name_of(plan.activation.branch_format), plan.alpha, name_of(cast.scale_rule),
                     cast.rounding ? name_of(*cast.rounding) : "own", name_of(cast.nvfp4_scale),
                     name_of(cast.overflow));
}

std::string format_text(const GemmPlan& plan) {
  std::string text;
  for (const MatmulPass& pass : plan.passes)
    text += fmt::format("{}{}{}", text.empty() ? "" : " + ", name_of(pass.format), pass.branch ? " branch" : "");
  return text;
}

QuantisedMatrix rows_of(const QuantisedMatrix& whole, const std::vector<std::int64_t>& rows) {
  QuantisedMatrix part{whole.format, static_cast<std::int64_t>(rows.size()), whole.k, whole.row_bytes, {}, {}, {}};
  const auto pick = [&](auto& to, const auto& from) {
    const auto width = static_cast<std::ptrdiff_t>(from.size() / static_cast<std::size_t>(whole.rows));
    for (const std::int64_t row : rows)
      to.insert(to.end(), from.begin() + row * width, from.begin() + (row + 1) * width);
  };
  pick(part.codes, whole.codes);
  pick(part.block_scale, whole.block_scale);
  if (numerics::format(whole.format).outer_scale == numerics::OuterScale::row)
    pick(part.outer_scale, whole.outer_scale);
  else
    part.outer_scale = whole.outer_scale;
  return part;
}

PreparedOperand rows_of(const PreparedOperand& whole, const std::vector<std::int64_t>& rows) {
  PreparedOperand part{rows_of(whole.main, rows), std::nullopt};
  if (whole.branch) part.branch = rows_of(*whole.branch, rows);
  return part;
}

// Q, K and V of the new tokens.
RowSizes attention_operands(const AttentionSizes& sizes) {
  return {.rows = sizes.sequences * sizes.queries, .width = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim};
}

numerics::OutputView view_of(Matrix& matrix) {
  return {matrix.row_f32(0).data(), matrix.rows(), matrix.cols()};
}

// Hands a written tile to the thread pool, in parts small enough to share it evenly.
void compute_tile(tbb::task_group& tiles, const numerics::GemmEngine& engine, Matrix& output,
                  const units::Region& region) {
  constexpr std::int64_t kRows = 512;
  constexpr std::int64_t kCols = 256;
  for (std::int64_t row = region.row; row < region.row + region.rows; row += kRows)
    for (std::int64_t col = region.k; col < region.k + region.depth; col += kCols) {
      const numerics::OutputRegion part{row, col, std::min(kRows, region.row + region.rows - row),
                                        std::min(kCols, region.k + region.depth - col)};
      tiles.run([&engine, &output, part] { engine.compute(part, view_of(output)); });
    }
}

}  // namespace

Replay::Replay(const RunOptions& options, const RunInputs& inputs, const Recorders& recorders, SideMemo* memo)
    : options_(options),
      inputs_(inputs),
      accumulator_(numerics::accumulator(inputs.machine.core.accumulator)),
      timing_(inputs.machine, recorders, !options.no_memo, options.no_memo ? nullptr : memo, options.cycle_limit),
      costs_(inputs.costs, chip_sizes(inputs.machine)) {
  if (options.chain) chain_.emplace(inputs);
  for (const Gemm& gemm : inputs.trace.gemms) ++waiting_[gemm.input].readers;
  if (inputs.table)
    for (auto& [name, input] : waiting_) input.decided = inputs.table->decision(name);
}

GemmPlan Replay::plan_of(const NamedScheme& scheme, const Gemm& gemm) const {
  return plan_gemm(scheme.config, gemm.position, gemm.m, gemm.n, gemm.k, waiting_.at(gemm.input).decided);
}

SideResult Replay::labelled(SideResult result, const WorkLabel& label, const MacKinds& kinds) const {
  result.scheme = label.scheme;
  result.formats = label.formats;
  result.energy = costs_.energy(actions_of(result, kinds));
  return result;
}

const Tensor& Replay::tensor(const Gemm& gemm, Input& input) {
  if (!input.tensor) input.tensor = inputs_.tensors->activation(gemm.input, gemm.position, gemm.input_rows, gemm.k);
  return *input.tensor;
}

// The table of the GEMM's input: from the file, else by the paper's rule from the tensor, else (timing only, synthetic)
// the channels that the generator plants.
const ChannelTable* Replay::table(const Gemm& gemm, const GemmPlan& plan, Input& input) {
  const std::int64_t group = plan.activation.gather_group;
  if (group == 0) return nullptr;
  const std::string key = fmt::format("{} {}", group, plan.alpha);
  if (const auto known = input.tables.find(key); known != input.tables.end()) return &known->second;
  ChannelTable found;
  if (inputs_.table)
    found = inputs_.table->find(gemm.input, gemm.k, group);
  else if (options_.timing_only && options_.tensors.empty())
    found = planted_channels(inputs_.trace.synthetic, options_.seed, gemm.input, gemm.position, gemm.k, group);
  else
    found = calibrate(tensor(gemm, input).view, group, plan.alpha).table;
  return &input.tables.emplace(key, std::move(found)).first->second;
}

SideResult Replay::timed(Side side, const Gemm& gemm, Input& input, const units::TileObserver& on_output) {
  const NamedScheme& scheme = scheme_of(side);
  const GemmPlan plan = plan_of(scheme, gemm);
  const WorkLabel label{side, scheme.name, gemm.name, format_text(plan), false, gemm.position, gemm.m, gemm.n, gemm.k};
  const MappingParams& mapping = scheme.config.mapping;
  const bool fuses = mapping.quantise == QuantisePlace::fused && inputs_.machine.model_shared_work;
  return labelled(timing_.gemm(label, plan, mapping, fuses ? table(gemm, plan, input) : nullptr, on_output), label,
                  mac_kinds(plan));
}

// Quantising and gathering the GEMM's input, once for all GEMMs that treat it alike.
void Replay::shared_work(const Gemm& gemm, Input& input, RunResult& result) {
  if (!inputs_.machine.model_shared_work) return;
  const auto work_of = [&](Side side) -> std::optional<SideResult> {
    const NamedScheme& scheme = scheme_of(side);
    if (scheme.config.mapping.quantise == QuantisePlace::fused) return std::nullopt;
    GemmPlan plan = plan_of(scheme, gemm);
    if (!inputs_.machine.model_gather) plan.activation.gather_group = 0;
    if (!plan.activation.any()) return std::nullopt;
    if (std::exchange(input.reported[fmt::format("{} {}", name_of(side), treatment_key(plan))], true))
      return std::nullopt;
    const std::string formats =
        fmt::format("{}{}", plan.activation.gather_group > 0 ? "gather, " : "", name_of(plan.activation.format));
    const WorkLabel label{side, scheme.name, gemm.input, formats, true, gemm.position, gemm.input_rows, 0, gemm.k};
    return labelled(timing_.activation(label, plan.activation, table(gemm, plan, input)), label, mac_kinds(plan));
  };
  SharedResult shared{gemm.input, gemm.position,         gemm.input_rows,        gemm.k,
                      1,          work_of(Side::scheme), work_of(Side::baseline)};
  if (shared.scheme || shared.baseline) result.shared.push_back(std::move(shared));
}

SideResult Replay::computed(Side which, const Gemm& gemm, Input& input, const Weight& weight, const ExactRows& exact,
                            const std::vector<std::int64_t>& rows, Matrix& output) {
  const GemmPlan plan = plan_of(scheme_of(which), gemm);
  const ChannelTable* channels = table(gemm, plan, input);
  auto prepared = input.prepared.find(treatment_key(plan));
  if (prepared == input.prepared.end())
    prepared =
        input.prepared.emplace(treatment_key(plan), prepare_activation(plan, tensor(gemm, input).view, channels)).first;
  std::optional<PreparedOperand> part;
  if (!rows.empty()) part = rows_of(prepared->second, rows);
  const PreparedOperand& activation = part ? *part : prepared->second;
  ensure(activation.main.rows == gemm.m, "{} prepared rows for {}", activation.main.rows, gemm.m);

  std::optional<PreparedOperand> prepared_weight =
      prepare_weight(plan, weight.view, channels, weight_cast(plan, weight, numerics::quantise));
  const numerics::GemmEngine engine(operands(plan, activation, *prepared_weight), options_.kernel);
  std::optional<Closeness> chained;
  if (chain_) chained = this->chained(which, gemm, plan, channels, *prepared_weight);
  if (!options_.verify) prepared_weight.reset();

  output = Matrix(numerics::Dtype::fp32, gemm.m, gemm.n);
  // Tiles are computed beside the simulation, as their drain commands retire.
  tbb::task_group tiles;
  SideResult side;
  try {
    side = timed(which, gemm, input, [&](const units::Region& region) { compute_tile(tiles, engine, output, region); });
  } catch (...) {
    tiles.cancel();
    tiles.wait();
    throw;
  }
  tiles.wait();
  side.accuracy = measure_accuracy(output, exact);
  side.chained = chained;
  side.weight = weight_words(plan, weight);
  if (options_.verify)
    side.verification = verify(plan, gemm, input, weight, rows, activation, *prepared_weight, output);
  return side;
}

// As the machine accumulates.
numerics::GemmOperands Replay::operands(const GemmPlan& plan, const PreparedOperand& activation,
                                        const PreparedOperand& weight) const {
  numerics::GemmOperands operands = operands_of(plan, activation, weight);
  operands.accumulator = accumulator_;
  return operands;
}

Verification Replay::verify(const GemmPlan& plan, const Gemm& gemm, Input& input, const Weight& weight,
                            const std::vector<std::int64_t>& rows, const PreparedOperand& activation,
                            const PreparedOperand& prepared_weight, const Matrix& output) {
  Verification verification;
  const ChannelTable* channels = table(gemm, plan, input);
  PreparedOperand reference = prepare_activation(plan, tensor(gemm, input).view, channels, reference_cast);
  if (!rows.empty()) reference = rows_of(reference, rows);
  verify_operand(activation, reference, "activation", verification);
  const PreparedOperand reference_weight =
      prepare_weight(plan, weight.view, channels, weight_cast(plan, weight, reference_cast));
  verify_operand(prepared_weight, reference_weight, "weight", verification);
  verify_outputs(operands(plan, reference, reference_weight), output, options_.seed, gemm.name, verification);
  return verification;
}

void Replay::both_computed(const Gemm& gemm, Input& input, RunResult& result, const OutputSink& sink) {
  std::vector<std::int64_t> rows;
  if (gemm.m < gemm.input_rows) rows = dispatched_rows(options_.seed, gemm.name, gemm.input_rows, gemm.m);
  const Weight weight = inputs_.tensors->weight(gemm.weight, gemm.n, gemm.k);
  const ExactRows exact = this->exact(gemm, tensor(gemm, input).view, weight.view, rows);
  const std::size_t index = result.gemms.size() - 1;
  if (chain_) result.gemms[index].chain_input = exact_chained(gemm, tensor(gemm, input).view, weight.view);
  for (const auto& [which, side] :
       {std::pair(Side::baseline, &GemmResult::baseline), std::pair(Side::scheme, &GemmResult::scheme)}) {
    Matrix output;
    result.gemms[index].*side = computed(which, gemm, input, weight, exact, rows, output);
    if (sink && which == Side::scheme) sink(gemm, output);
    hash_.finish(result);
    hash_.start(std::move(output), {index, side});
  }
  if (chain_) finish_chained_layer(gemm, result);
}

Closeness Replay::exact_chained(const Gemm& gemm, MatrixView captured, MatrixView weight) {
  Matrix y(numerics::Dtype::fp32, gemm.m, gemm.n);
  const Matrix& x = chain_->input(Chain::Stream::exact, gemm);
  const Closeness found = closeness(compared(x, as_fp32(captured)));
  numerics::compute_all(numerics::Fp32Product(x.view(), weight, options_.kernel), view_of(y));
  chain_->output(Chain::Stream::exact, gemm, std::move(y));
  return found;
}

Closeness Replay::chained(Side side, const Gemm& gemm, const GemmPlan& plan, const ChannelTable* channels,
                          const PreparedOperand& weight) {
  const Chain::Stream stream = side == Side::scheme ? Chain::Stream::scheme : Chain::Stream::baseline;
  const PreparedOperand activation = prepare_activation(plan, chain_->input(stream, gemm).view(), channels);
  Matrix y(numerics::Dtype::fp32, gemm.m, gemm.n);
  numerics::compute_all(numerics::GemmEngine(operands(plan, activation, weight), options_.kernel), view_of(y));
  return chain_->output(stream, gemm, std::move(y));
}

void Replay::finish_chained_layer(const Gemm& gemm, RunResult& result) const {
  const std::optional<Closeness> scheme = chain_->layer_output(Chain::Stream::scheme, gemm);
  if (!scheme) return;
  LayerResult& layer = result.layer(gemm.layer);
  layer.scheme.chained = scheme;
  layer.baseline.chained = chain_->layer_output(Chain::Stream::baseline, gemm);
}

ExactRows Replay::exact(const Gemm& gemm, MatrixView x, MatrixView weight,
                        const std::vector<std::int64_t>& dispatched) const {
  std::vector<std::int64_t> rows = compared_rows(options_.seed, gemm.name, gemm.m, gemm.n * gemm.k, kLeastAccuracyRows);
  if (dispatched.empty()) return exact_rows(x, weight, std::move(rows), options_.kernel);
  return exact_rows(rows_of(x, dispatched).view(), weight, std::move(rows), options_.kernel);
}

void Replay::gemm(const Gemm& gemm, RunResult& result, const OutputSink& sink) {
  Input& input = waiting_.at(gemm.input);
  shared_work(gemm, input, result);
  GemmResult& row = result.gemms.emplace_back();
  row.gemm = gemm;
  if (options_.timing_only) {
    row.scheme = timed(Side::scheme, gemm, input, {});
    row.baseline = timed(Side::baseline, gemm, input, {});
  } else {
    both_computed(gemm, input, result, sink);
  }
  if (--input.readers == 0) waiting_.erase(gemm.input);
}

SideResult Replay::operation_side(Side side, const Operation& operation) {
  const NamedScheme& scheme = scheme_of(side);
  const auto [m, n, k] = extents(operation);
  const auto* attention = std::get_if<AttentionSizes>(&operation.sizes);
  const std::string formats(attention != nullptr ? name_of(scheme.config.attention) : "");
  const WorkLabel label{side, scheme.name, operation.name, formats, false, Position::other, m, n, k};
  SideResult result = attention != nullptr
                          ? timing_.attention(label, plan_attention(scheme.config, *attention))
                          : timing_.rows(label, plan_rows(operation.kind, std::get<RowSizes>(operation.sizes)));
  return labelled(std::move(result), label, mac_kinds(std::array{scheme.config.attention}));
}

std::optional<SideResult> Replay::attention_cast(Side side, const Operation& cast) {
  const NamedScheme& scheme = scheme_of(side);
  const ActivationPlan plan{.format = scheme.config.attention};
  if (!inputs_.machine.model_shared_work || !plan.quantises()) return std::nullopt;
  const auto& sizes = std::get<RowSizes>(cast.sizes);
  const std::string formats(name_of(plan.format));
  const WorkLabel label{side, scheme.name, cast.name, formats, true, Position::other, sizes.rows, 0, sizes.width};
  return labelled(timing_.activation(label, plan, nullptr), label, mac_kinds(std::array{plan.format}));
}

void Replay::operation(const Operation& operation, RunResult& result) {
  if (const auto* attention = std::get_if<AttentionSizes>(&operation.sizes)) {
    OperationResult cast;
    cast.operation = operation;
    cast.operation.name += ".cast";
    cast.operation.sizes = attention_operands(*attention);
    cast.kind = "cast";
    cast.scheme = attention_cast(Side::scheme, cast.operation);
    cast.baseline = attention_cast(Side::baseline, cast.operation);
    if (cast.scheme || cast.baseline) result.operations.push_back(std::move(cast));
  }
  OperationResult& row = result.operations.emplace_back();
  row.operation = operation;
  row.kind = name_of(operation.kind);
  row.scheme = operation_side(Side::scheme, operation);
  row.baseline = operation_side(Side::baseline, operation);
}

void Replay::finish(RunResult& result) {
  result.area = costs_.area();
  hash_.finish(result);
}

}  // namespace oscsim
