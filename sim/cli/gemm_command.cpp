// SPDX-License-Identifier: Apache-2.0
// oscsim gemm
#include <tbb/global_control.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/cli/arguments.h"
#include "sim/cli/cast_arguments.h"
#include "sim/cli/commands.h"
#include "sim/cli/standard_output.h"
#include "sim/config/atomic_file.h"
#include "sim/config/json_output.h"
#include "sim/report/text_table.h"
#include "sim/report/version.h"
#include "sim/run/accuracy.h"
#include "sim/run/row_sample.h"
#include "sim/run/threads.h"
#include "sim/run/verify.h"
#include "sim/workload/quantised_file.h"
#include "sim/workload/sha256.h"
#include "sim/workload/stored_weight.h"

namespace oscsim {
namespace {

using Json = nlohmann::ordered_json;
using numerics::FormatId;
using numerics::Matrix;

constexpr std::uint64_t kSeed = 1;  // of the rows that are compared when there are too many

constexpr const char* kName = "gemm";  // in the draw of rows

struct GemmArguments {
  std::string a, b, format_a, format_b, output, json;
  std::string accumulator = "fp32_rne", kernel = "auto", threads = "0";
  bool verify = false;
  CastArguments cast;
};

// How to compute; read from the arguments.
struct Arithmetic {
  numerics::CastOptions cast;
  numerics::Accumulator accumulator;
  numerics::Kernel kernel{};
};

struct Operand {
  std::string what;  // file and tensor, for messages
  FormatId format{};
  std::optional<NamedMatrix> matrix;  // what is to be cast; none: it was cast before
  PreparedOperand quantised;          // no branch

  std::int64_t rows() const { return matrix ? matrix->tensor.view.rows() : quantised.main.rows; }
  std::int64_t k() const { return matrix ? matrix->tensor.view.cols() : quantised.main.k; }
  std::string shape() const { return fmt::format("[{}, {}]", rows(), k()); }
};

struct Product {
  Matrix output;
  double cast_s = 0, multiply_s = 0;
  std::string sha256;
  std::optional<Accuracy> accuracy;  // none: an unquantised operand is not known
  std::optional<Verification> verification;
};

std::span<const std::byte> bytes_of(const Matrix& output) {
  return {output.view().data(), static_cast<std::size_t>(output.rows() * output.cols()) * sizeof(float)};
}

// ------ operands

FormatId required_format(const std::string& option, const std::string& name, const std::string& path) {
  if (name.empty())
    input_error("{} is missing: {} is not quantised\n  allowed: {}", option, path, joined(names_of<FormatId>()));
  return format_argument(option, name);
}

// A file of `oscsim quantize` knows its format; a tensor in it by its full name is a matrix like any other.
bool is_operand_of(const SafetensorsFile& file, const std::string& tensor) {
  return holds_quantised(file) && (tensor.empty() || !file.tensors().contains(tensor));
}

// A weight of a checkpoint; of a quantised one codes and scales as they are, unless another format is asked for.
Operand checkpoint_operand(const MatrixFileName& name, const std::string& argument, const std::string& option,
                           const std::string& format) {
  const TensorSet tensors({name.path});
  const std::optional<StoredWeight> weight = find_stored_weight(tensors, name.tensor, std::nullopt);
  if (!weight) tensors.refuse_missing(name.tensor);
  if (weight->format) {
    numerics::QuantisedMatrix stored = load_quantised(*weight);
    const FormatId id = format.empty() ? stored.format : format_argument(option, format);
    if (auto same = as_format(stored, id)) return {argument, id, std::nullopt, {std::move(*same), std::nullopt}};
  }
  const FormatId id = required_format(option, format, argument);
  if (!weight->is_quantised()) return {argument, id, NamedMatrix{weight->what, load_plain(*weight)}, {}};
  const auto values =
      std::make_shared<const Matrix>(weight->format ? decoded(load_quantised(*weight)) : load_decoded(*weight));
  const std::string what = fmt::format("{} (values of {})", argument, weight->layout);
  return {what, id, NamedMatrix{what, {values->view(), values}}, {}};
}

// Whether the tensor asked for has no values of its own: codes, or a weight whose codes have another name.
bool is_quantised_weight(const SafetensorsFile& file, const std::string& tensor) {
  if (file.tensors().contains(tensor + "_packed")) return true;
  const auto found = file.tensors().find(tensor);
  if (found == file.tensors().end() || matrix_dtype(*found->second.dtype)) return false;
  return file.tensors().contains(tensor + "_scale") || file.tensors().contains(tensor + "_scale_inv");
}

Operand read_operand(const std::string& argument, const std::string& option, const std::string& format,
                     const CastArguments& cast) {
  const MatrixFileName name = matrix_file_name(argument);
  if (name.kind == MatrixFileKind::npy) {
    const FormatId id = required_format(option, format, argument);
    return {argument, id, matrix_of(name.path, cast.npy), {}};
  }
  if (name.kind == MatrixFileKind::checkpoint) {
    if (name.tensor.empty())
      input_error("{}: a checkpoint has many matrices; choose one with {}:NAME", argument, argument);
    return checkpoint_operand(name, argument, option, format);
  }
  const auto file = std::make_shared<const SafetensorsFile>(name.path);
  if (!holds_quantised(*file) && is_quantised_weight(*file, name.tensor))
    return checkpoint_operand(name, argument, option, format);
  if (!is_operand_of(*file, name.tensor)) {
    const FormatId id = required_format(option, format, argument);
    NamedMatrix matrix = matrix_of(file, name.tensor);
    return {argument, id, std::move(matrix), {}};
  }
  const FormatId id = quantised_format(*file);
  if (!format.empty() && format_argument(option, format) != id)
    input_error("{} {}: {} holds {}", option, format, name.path, numerics::format(id).name);
  return {argument, id, std::nullopt, {read_quantised(*file, name.tensor), std::nullopt}};
}

void check_shapes(const Operand& a, const Operand& b) {
  if (a.k() == b.k()) return;
  std::string hint;
  if (a.k() == b.rows())
    hint = fmt::format("\n  B has {} rows: transpose it, np.ascontiguousarray(b.T)", b.rows());
  else if (a.rows() == b.k())
    hint = fmt::format("\n  A has {} rows: transpose it, np.ascontiguousarray(a.T)", a.rows());
  input_error("Y = A B^T needs A [m, k] and B [n, k]: {} is {}, {} is {}{}", a.what, a.shape(), b.what, b.shape(),
              hint);
}

void check_values(const Operand& operand, const CastArguments& cast) {
  if (operand.matrix)
    check_values(*operand.matrix, cast);
  else if (!cast.allow_nonfinite)
    require_finite(operand.what, operand.quantised.main);
}

// ------ the product

numerics::Accumulator accumulator_argument(const std::string& text) {
  try {
    return numerics::accumulator(text);
  } catch (const InputError& error) {
    input_error("--accumulator: {}", error.what());
  }
}

// For --help.
std::string accumulators_text() {
  TextTable table({{""}, {""}});
  for (const numerics::AccumulatorPreset& preset : numerics::accumulators())
    table.add({fmt::format("  {}", preset.name), std::string(preset.meaning)});
  return table.text();
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

void verify(const Operand& a, const Operand& b, const numerics::GemmOperands& operands,
            const numerics::CastOptions& options, Product& product) {
  Verification& verification = product.verification.emplace();
  if (product.output.rows() == 0 || product.output.cols() == 0) return;
  for (const auto& [operand, which] : {std::pair(&a, "A"), std::pair(&b, "B")}) {
    if (!operand->matrix) continue;
    const PreparedOperand reference{reference_cast(operand->format, operand->matrix->tensor.view, options), {}};
    verify_operand(operand->quantised, reference, which, verification);
  }
  verify_outputs(operands, product.output, kSeed, kName, verification);
}

Product multiply(Operand& a, Operand& b, const Arithmetic& arithmetic, bool with_verification) {
  Product product;
  const Stopwatch cast_time;
  for (Operand* operand : {&a, &b})
    if (operand->matrix)
      operand->quantised.main = numerics::quantise(operand->format, operand->matrix->tensor.view, arithmetic.cast);
  product.cast_s = cast_time.seconds();

  numerics::GemmOperands operands{.a = &a.quantised.main, .b = &b.quantised.main};
  operands.accumulator = arithmetic.accumulator;
  numerics::check_operands(operands);
  product.output = Matrix(numerics::Dtype::fp32, a.rows(), b.rows());
  const Stopwatch multiply_time;
  const numerics::GemmEngine engine(operands, arithmetic.kernel);
  compute_all(engine, {reinterpret_cast<float*>(product.output.data()), a.rows(), b.rows()});
  product.multiply_s = multiply_time.seconds();

  product.sha256 = sha256(bytes_of(product.output));
  if (a.matrix && b.matrix) {
    std::vector<std::int64_t> rows =
        compared_rows(kSeed, kName, a.rows(), checked_product(b.rows(), b.k(), "n x k"), kLeastAccuracyRows);
    product.accuracy = measure_accuracy(
        product.output, exact_rows(a.matrix->tensor.view, b.matrix->tensor.view, std::move(rows), arithmetic.kernel));
  }
  if (with_verification) verify(a, b, operands, arithmetic.cast, product);
  return product;
}

// ------ reports

std::string operand_text(const Operand& operand, const numerics::CastOptions& options) {
  if (operand.matrix)
    return fmt::format("{} {}, cast to {}", operand.what, operand.shape(), cast_text(operand.format, options));
  return fmt::format("{} {}, {}, quantised before", operand.what, operand.shape(),
                     numerics::format(operand.format).name);
}

std::string accuracy_text(const std::optional<Accuracy>& accuracy, std::int64_t rows) {
  if (!accuracy) return "not known: an operand was quantised before";
  const std::string sqnr =
      std::isinf(accuracy->sqnr_db) && accuracy->sqnr_db > 0 ? "exact" : fmt::format("{:.2f} dB", accuracy->sqnr_db);
  const std::string sample = accuracy->rows < rows ? fmt::format(", over {} of {} rows", accuracy->rows, rows) : "";
  return fmt::format("{}, largest error {:.4g}, against the FP32 product of the unquantised operands{}", sqnr,
                     accuracy->max_abs_error, sample);
}

std::string report(const Operand& a, const Operand& b, const Product& product, const GemmArguments& arguments,
                   const numerics::CastOptions& options) {
  std::string text = fmt::format(
      "Y = A B^T, m {} n {} k {}\n"
      "  A         {}\n"
      "  B         {}\n"
      "  sums      {}\n"
      "  time      {:.3g} s to cast, {:.3g} s to multiply\n"
      "  accuracy  {}\n"
      "  SHA-256   {}\n"
      "  Y         {}\n",
      a.rows(), b.rows(), a.k(), plain_ascii(operand_text(a, options)), plain_ascii(operand_text(b, options)),
      arguments.accumulator, product.cast_s, product.multiply_s, accuracy_text(product.accuracy, a.rows()),
      product.sha256, plain_ascii(arguments.output));
  if (const auto& verification = product.verification) {
    text += fmt::format("verified against the scalar reference: {} of {} outputs compared, {} {}\n",
                        verification->compared, a.rows() * b.rows(), verification->differing,
                        verification->differing == 1 ? "difference" : "differences");
    if (verification->differing > 0) text += fmt::format("  {}\n", verification->first_difference);
  }
  return text;
}

Json operand_json(const Operand& operand, const numerics::CastOptions& options) {
  const numerics::FormatInfo& info = numerics::format(operand.format);
  return {{"input", operand.what},
          {"format", info.name},
          {"rounding", operand.matrix ? Json(name_of(rounding_of(info, options))) : Json()},
          {"rows", operand.rows()},
          {"k", operand.k()},
          {"quantised_before", !operand.matrix.has_value()}};
}

// No times: the same product writes the same bytes.
std::string report_json(const Operand& a, const Operand& b, const Product& product, const GemmArguments& arguments,
                        const numerics::CastOptions& options) {
  const std::optional<Accuracy>& accuracy = product.accuracy;
  const std::optional<Verification>& verification = product.verification;
  const Json json{{"schema", 1},
                  {"version", version()},
                  {"git", git_hash()},
                  {"m", a.rows()},
                  {"n", b.rows()},
                  {"k", a.k()},
                  {"a", operand_json(a, options)},
                  {"b", operand_json(b, options)},
                  {"accumulator", arguments.accumulator},
                  {"scale_rule", name_of(options.scale_rule)},
                  {"nvfp4_scale", name_of(options.nvfp4_scale)},
                  {"overflow", name_of(options.overflow)},
                  {"output", arguments.output},
                  {"sqnr_db", accuracy ? Json(accuracy->sqnr_db) : Json()},
                  {"max_abs_error", accuracy ? Json(accuracy->max_abs_error) : Json()},
                  {"accuracy_rows", accuracy ? Json(accuracy->rows) : Json()},
                  {"output_sha256", product.sha256},
                  {"verification", verification ? Json{{"compared", verification->compared},
                                                       {"outputs", a.rows() * b.rows()},
                                                       {"differing", verification->differing}}
                                                : Json()}};
  return config::json_text(json, 2) + "\n";
}

void write_output(const GemmArguments& arguments, const Operand& a, const Operand& b, const Matrix& output) {
  if (output_kind("-o", arguments.output) == MatrixFileKind::npy) return write_npy(arguments.output, output.view());
  const std::map<std::string, std::string> metadata{{"a", a.what},
                                                    {"accumulator", arguments.accumulator},
                                                    {"b", b.what},
                                                    {"format_a", std::string(numerics::format(a.format).name)},
                                                    {"format_b", std::string(numerics::format(b.format).name)},
                                                    {"version", version()}};
  write_safetensors(arguments.output, {{"output", "F32", {output.rows(), output.cols()}}}, metadata,
                    [&](SafetensorsBody& body) { body.append(bytes_of(output)); });
}

int gemm_command(const GemmArguments& arguments) {
  if (arguments.a.empty() || arguments.b.empty())
    input_error("two inputs are needed, A [m, k] and B [n, k]: FILE.npy, FILE.safetensors or FILE.safetensors:TENSOR");
  if (arguments.output.empty()) input_error("-o is missing: the .npy or .safetensors file to write");
  output_kind("-o", arguments.output);
  const config::OutputClaims claims = claim_outputs({{"-o", arguments.output}, {"--json", arguments.json}});
  Arithmetic arithmetic{.cast = {},
                        .accumulator = accumulator_argument(arguments.accumulator),
                        .kernel = choice_argument<numerics::Kernel>("--kernel", arguments.kernel)};
  std::optional<tbb::global_control> limit;
  if (const std::int64_t threads = integer_argument("--threads", arguments.threads, 0, kMostThreads); threads > 0)
    limit.emplace(tbb::global_control::max_allowed_parallelism, startable_threads(static_cast<std::size_t>(threads)));

  Operand a = read_operand(arguments.a, "--format-a", arguments.format_a, arguments.cast);
  Operand b = read_operand(arguments.b, "--format-b", arguments.format_b, arguments.cast);
  std::vector<FormatId> cast_formats;
  for (const Operand* operand : {&a, &b})
    if (operand->matrix) cast_formats.push_back(operand->format);
  arithmetic.cast = cast_options(arguments.cast, cast_formats);
  check_shapes(a, b);
  if (a.k() == 0) input_error("{} and {} have no columns", a.what, b.what);
  check_values(a, arguments.cast);
  check_values(b, arguments.cast);

  const Product product = multiply(a, b, arithmetic, arguments.verify);
  write_output(arguments, a, b, product.output);
  if (!arguments.json.empty())
    config::write_file_atomically(arguments.json, report_json(a, b, product, arguments, arithmetic.cast));
  print(report(a, b, product, arguments, arithmetic.cast));
  return product.verification && product.verification->differing > 0 ? kCheckFailed : kDone;
}

}  // namespace

void add_gemm_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<GemmArguments>();
  CLI::App& command = *app.add_subcommand("gemm", "One exact product Y = A B^T of matrices from files");
  const auto value = [&](const char* name, std::string& text, const char* meaning, const char* type) {
    return command.add_option(name, text, meaning)->type_name(type);
  };
  constexpr const char* kInput = "FILE.npy|FILE.safetensors[:TENSOR]|FOLDER:TENSOR";
  value("a", arguments->a, "A [m, k]: activations", kInput);
  value("b", arguments->b, "B [n, k]: weights", kInput);
  value("--format-a", arguments->format_a,
        "as in: oscsim describe format; a file of oscsim quantize, and a quantised weight of a checkpoint, know theirs",
        "NAME");
  value("--format-b", arguments->format_b, "the same for B", "NAME");
  add_cast_options(command, arguments->cast);
  value("--accumulator", arguments->accumulator, "how blocks are summed; names below, or fused(...)", "NAME")
      ->capture_default_str();
  value("--kernel", arguments->kernel, "auto, avx512_vnni, avx2 or portable; results do not depend on it", "NAME")
      ->capture_default_str();
  value("--threads", arguments->threads, "0: all; results do not depend on it", "N")->capture_default_str();
  command.add_flag("--verify", arguments->verify,
                   "recompute with the scalar reference; exit status 1 when a bit differs");
  value("-o,--output", arguments->output, "file to write, FP32 [m, n]", "FILE.npy|FILE.safetensors");
  value("--json", arguments->json, "write the report as JSON", "FILE");
  command.footer(
      "Accumulators:\n" + accumulators_text() +
      "  fused(FRACTION BITS,TERMS,ROUNDING[,SUB-BLOCK[,ZEROS]]), for example fused(25,16,rz)\n"
      "  Terms that are zero take part in an alignment, by the exponents of their factors: of a zero -126, of a "
      "sub-block\n"
      "  those of its scales (MMA-Sim); with ZEROS skip, fused(25,16,rz,1,skip), they do not.\n\n"
      "Example:\n  oscsim gemm x.npy weights.safetensors:q_proj.weight --format-a mxfp8 --format-b mxfp4 -o y.npy\n");
  command.callback([arguments, &action] { action = [arguments] { return gemm_command(*arguments); }; });
}

}  // namespace oscsim
