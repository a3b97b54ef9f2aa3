// SPDX-License-Identifier: Apache-2.0
// oscsim quantize
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "sim/cli/arguments.h"
#include "sim/cli/cast_arguments.h"
#include "sim/cli/commands.h"
#include "sim/cli/standard_output.h"
#include "sim/config/atomic_file.h"
#include "sim/config/json_output.h"
#include "sim/report/layers_table.h"
#include "sim/report/text_table.h"
#include "sim/report/version.h"
#include "sim/run/cast_error.h"
#include "sim/workload/quantised_file.h"
#include "sim/workload/tensor_set.h"

namespace oscsim {
namespace {

using Json = nlohmann::ordered_json;

struct QuantizeArguments {
  std::string input, format, output, json;
  CastArguments cast;
};

// One matrix of the input, and the name of its operand in the output; empty for the only one. Loaded when it is needed:
// a checkpoint is larger than memory.
struct Job {
  std::string operand;
  std::function<NamedMatrix()> load;
};

// A tensor of the input that is not quantised.
struct LeftOut {
  std::string name, dtype, reason;
  std::vector<std::int64_t> shape;
};

struct Jobs {
  std::vector<Job> jobs;
  std::vector<LeftOut> left_out;
};

struct Quantised {
  std::string what;
  std::int64_t rows = 0, k = 0;
  Bytes before, after;  // after: codes and scales
  CastError error{};

  double elements() const { return static_cast<double>(rows) * static_cast<double>(k); }
  double bits_per_element() const { return elements() == 0 ? 0 : 8 * static_cast<double>(after.count()) / elements(); }
  double share(std::int64_t count) const { return elements() == 0 ? 0 : static_cast<double>(count) / elements(); }
};

Job job_of(std::string operand, NamedMatrix matrix) {
  return {std::move(operand), [matrix = std::move(matrix)] { return matrix; }};
}

// Every matrix of a file or checkpoint.
Jobs all_jobs(const std::string& path) {
  const auto tensors = std::make_shared<const TensorSet>(std::vector<std::string>{path});
  Jobs found;
  for (const std::string& name : tensors->names()) {
    const TensorPlace place = *tensors->find(name);
    std::string reason = left_out_reason(name, *place.entry);
    if (reason.empty())
      found.jobs.push_back({name, [tensors, place] { return matrix_of(place); }});
    else
      found.left_out.push_back({name, place.entry->dtype->name, std::move(reason), place.entry->shape});
  }
  if (found.jobs.empty())
    input_error(
        "{}: nothing to quantise: of {} tensors none is a matrix of BF16, F16 or F32, other than scales, zero "
        "points and biases",
        path, found.left_out.size());
  if (found.jobs.size() == 1) found.jobs.front().operand.clear();
  return found;
}

Jobs jobs_of(const MatrixFileName& input, const CastArguments& arguments) {
  if (input.kind == MatrixFileKind::npy) return {{job_of("", matrix_of(input.path, arguments.npy))}, {}};
  if (input.kind == MatrixFileKind::checkpoint) {
    if (input.tensor.empty()) return all_jobs(input.path);
    const TensorSet tensors({input.path});
    const std::optional<TensorPlace> place = tensors.find(input.tensor);
    if (!place) tensors.refuse_missing(input.tensor);
    matrix_entry(*place->file, place->name);
    return {{job_of("", matrix_of(*place))}, {}};
  }
  const auto file = std::make_shared<const SafetensorsFile>(input.path);
  if (input.tensor.empty() && holds_quantised(*file))
    input_error("{}: was written by oscsim quantize; {}:decoded are its values as a matrix", input.path, input.path);
  if (!input.tensor.empty() || matrix_names(*file).empty()) return {{job_of("", matrix_of(file, input.tensor))}, {}};
  return all_jobs(input.path);
}

Quantised quantise(const Job& job, const QuantisedOrigin& origin, SafetensorsBody& body) {
  const NamedMatrix named = job.load();
  const numerics::MatrixView matrix = named.tensor.view;
  const numerics::FormatInfo& info = numerics::format(origin.format);
  const numerics::QuantisedMatrix cast = numerics::quantise(origin.format, matrix, origin.options);
  Quantised result{.what = job.operand.empty() ? named.what : job.operand,
                   .rows = matrix.rows(),
                   .k = matrix.cols(),
                   .before = Bytes(matrix.rows() * matrix.cols() * static_cast<std::int64_t>(size_of(matrix.dtype()))),
                   .after = numerics::code_bytes(info, matrix.rows(), matrix.cols()) +
                            numerics::scale_bytes(info, matrix.rows(), matrix.cols())};
  result.error =
      measure_cast(matrix, cast, [&body](std::span<const float> decoded) { body.append(std::as_bytes(decoded)); });
  append_quantised(body, cast);
  return result;
}

std::string left_out_text(const std::vector<LeftOut>& left_out) {
  if (left_out.empty()) return "";
  TextTable table({{"left out"}, {"dtype"}, {"shape"}, {"reason"}});
  for (const LeftOut& tensor : left_out)
    table.add({plain_ascii(tensor.name), tensor.dtype, shape_text(tensor.shape), tensor.reason});
  return table.text() + "\n";
}

std::string report(const std::vector<Quantised>& results, const Jobs& jobs, const QuantizeArguments& arguments,
                   const QuantisedOrigin& origin) {
  TextTable table({{"matrix"},
                   {"rows", "", Align::right},
                   {"k", "", Align::right},
                   {"before", "bytes", Align::right},
                   {"after", "bytes", Align::right},
                   {"bits per", "element", Align::right},
                   {"SQNR", "dB", Align::right},
                   {"largest", "error", Align::right},
                   {"mean", "error", Align::right},
                   {"clipped", "%", Align::right},
                   {"zeroed", "%", Align::right}});
  for (const Quantised& result : results)
    table.add({plain_ascii(result.what), fmt::format("{}", result.rows), fmt::format("{}", result.k),
               fmt::format("{}", result.before.count()), fmt::format("{}", result.after.count()),
               fmt::format("{:.4g}", result.bits_per_element()), sqnr_text(result.error.sqnr_db),
               fmt::format("{:.4g}", result.error.max_abs_error), fmt::format("{:.4g}", result.error.mean_abs_error),
               fmt::format("{:.3f}", 100 * result.share(result.error.clipped)),
               fmt::format("{:.3f}", 100 * result.share(result.error.zeroed))});
  const std::string count =
      jobs.left_out.empty() ? "" : fmt::format("; {} quantised, {} left out", results.size(), jobs.left_out.size());
  return fmt::format("{}{}\n{}{}codes, scales and decoded values: {}\n", cast_text(origin.format, origin.options),
                     count, table.text(), left_out_text(jobs.left_out), plain_ascii(arguments.output));
}

std::string report_json(const std::vector<Quantised>& results, const Jobs& jobs, const QuantizeArguments& arguments,
                        const QuantisedOrigin& origin) {
  const numerics::FormatInfo& info = numerics::format(origin.format);
  const bool has_rule = info.block_scale == numerics::BlockScale::e8m0;
  Json json{{"schema", 1},
            {"version", version()},
            {"git", git_hash()},
            {"input", arguments.input},
            {"output", arguments.output},
            {"format", info.name},
            {"scale_rule", has_rule ? Json(name_of(origin.options.scale_rule)) : Json()},
            {"rounding", name_of(rounding_of(info, origin.options))},
            {"nvfp4_scale",
             info.block_scale == numerics::BlockScale::e4m3 ? Json(name_of(origin.options.nvfp4_scale)) : Json()},
            {"overflow", info.element_bits == 16 ? Json(name_of(origin.options.overflow)) : Json()},
            {"tensors", Json::array()}};
  for (const Quantised& result : results)
    json["tensors"].push_back({{"name", result.what},
                               {"rows", result.rows},
                               {"k", result.k},
                               {"bytes_before", result.before.count()},
                               {"bytes_after", result.after.count()},
                               {"bits_per_element", result.bits_per_element()},
                               {"sqnr_db", result.error.sqnr_db},
                               {"max_abs_error", result.error.max_abs_error},
                               {"mean_abs_error", result.error.mean_abs_error},
                               {"clipped", result.error.clipped},
                               {"zeroed", result.error.zeroed}});
  json["left_out"] = Json::array();
  for (const LeftOut& tensor : jobs.left_out)
    json["left_out"].push_back(
        {{"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"reason", tensor.reason}});
  return config::json_text(json, 2) + "\n";
}

int quantize_command(const QuantizeArguments& arguments) {
  if (arguments.input.empty()) input_error("no input: FILE.npy, FILE.safetensors or FILE.safetensors:TENSOR");
  if (arguments.format.empty()) input_error("--format is missing; allowed: {}", joined(names_of<numerics::FormatId>()));
  if (arguments.output.empty()) input_error("-o is missing: the .safetensors file to write");
  const numerics::FormatId format = format_argument("--format", arguments.format);
  const QuantisedOrigin origin{.format = format,
                               .options = cast_options(arguments.cast, std::span(&format, 1)),
                               .version = version(),
                               .source = arguments.input};
  const MatrixFileName input = matrix_file_name(arguments.input);
  if (arguments.output.ends_with(".npy"))
    input_error("-o {}: codes and scales are several tensors; allowed: FILE.safetensors", arguments.output);
  const config::OutputClaims claims = claim_outputs({{"-o", arguments.output}, {"--json", arguments.json}});

  const Jobs jobs = jobs_of(input, arguments.cast);
  QuantisedFileSpec spec(origin);
  for (const Job& job : jobs.jobs) {
    const NamedMatrix matrix = job.load();
    check_values(matrix, arguments.cast);
    spec.add(job.operand, matrix.tensor.view.rows(), matrix.tensor.view.cols());
  }
  std::vector<Quantised> results;
  write_safetensors(arguments.output, spec.tensors(), spec.metadata(), [&](SafetensorsBody& body) {
    for (const Job& job : jobs.jobs) results.push_back(quantise(job, origin, body));
  });
  if (!arguments.json.empty())
    config::write_file_atomically(arguments.json, report_json(results, jobs, arguments, origin));
  print(report(results, jobs, arguments, origin));
  return kDone;
}

}  // namespace

void add_quantize_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App& command = *app.add_subcommand("quantize", "Cast matrices to a format: codes, scales, values, error");
  command
      .add_option(
          "input", arguments->input,
          "matrix; a safetensors file, or the folder of a checkpoint, without :TENSOR: every matrix of BF16, F16 or "
          "F32 in it")
      ->type_name("FILE.npy|FILE.safetensors[:TENSOR]|FOLDER[:TENSOR]");
  command.add_option("--format", arguments->format, "as in: oscsim describe format")->type_name("NAME");
  add_cast_options(command, arguments->cast);
  command.add_option("-o,--output", arguments->output, "file to write")->type_name("FILE.safetensors");
  command.add_option("--json", arguments->json, "write the report as JSON")->type_name("FILE");
  command.footer(
      "The output holds codes, scales (formats with blocks), outer_scale (formats with an FP32 scale) and decoded; "
      "when\n"
      "several tensors are quantised, NAME.codes and so on. Its metadata describe the layout. Clipped: more than half "
      "a\n"
      "step beyond the largest code, or infinite only after the cast. Zeroed: zero only after the cast.\n"
      "Tensors that are left out are listed: those that are no matrices or quantised already, and scales, zero points "
      "and\n"
      "biases. An .npy file of one dimension is one row; leading dimensions of size 1 are dropped.\n\n"
      "Example:\n  oscsim quantize weights.safetensors --format mxfp4 -o weights_mxfp4.safetensors\n");
  command.callback([arguments, &action] { action = [arguments] { return quantize_command(*arguments); }; });
}

}  // namespace oscsim
