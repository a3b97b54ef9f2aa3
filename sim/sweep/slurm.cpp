// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/slurm.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdio>
#include <sstream>

#include "models/base/error.h"
#include "sim/config/atomic_file.h"
#include "sim/config/files.h"
#include "sim/config/json_output.h"
#include "sim/config/node.h"
#include "sim/sweep/folder_file.h"

namespace oscsim::sweep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char letter : text) result += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return result + "'";
}

struct Output {
  int status = 0;
  std::string text;
};

Output output_of(const std::string& command) {
  Output output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) input_error("the shell cannot be started");
  char buffer[4096];
  for (std::size_t got = 0; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) output.text.append(buffer, got);
  output.status = WEXITSTATUS(pclose(pipe));
  return output;
}

// `log` is the name of the log with Slurm's placeholders; those of the folder's name are none.
std::string header(const SlurmJob& job, const std::string& name, const std::string& log) {
  std::string folder;
  for (const char letter : job.folder.string()) folder += letter == '%' ? std::string("%%") : std::string(1, letter);
  std::string text = fmt::format(
      "#!/usr/bin/env bash\n#SBATCH --job-name=oscsim-{}\n#SBATCH --output=\"{}/slurm/{}\"\n", name, folder, log);
  text += "#SBATCH --ntasks=1\n#SBATCH --requeue\n#SBATCH --open-mode=append\n";
  return text;
}

void require_scriptable(const std::string& what, const std::string& name, std::string_view others) {
  for (const char letter : name) {
    const bool is_control = static_cast<unsigned char>(letter) < ' ' || letter == '\x7F';
    if (is_control)
      input_error("{} '{}': a batch script cannot hold a name with a control character", what, config::excerpt(name));
    if (others.find(letter) != std::string_view::npos)
      input_error("{} '{}': the line #SBATCH --output cannot hold a name with {}", what, config::excerpt(name), letter);
  }
}

std::string submit_one(const SlurmJob& job, const std::string& more, const fs::path& script) {
  std::string command = "sbatch --parsable";
  for (const std::string& option : job.options) command += " " + quoted(option);
  const Output output = output_of(fmt::format("{}{} {} 2>&1", command, more, quoted(script.string())));
  const std::string id = output.text.substr(0, output.text.find_first_of(";\n"));
  if (output.status != 0 || id.empty() || id.find_first_not_of("0123456789") != std::string::npos)
    input_error("sbatch: {}",
                output.text.empty() ? "no answer" : output.text.substr(0, output.text.find_last_not_of('\n') + 1));
  return id;
}

}  // namespace

void require_scriptable(const SlurmJob& job) {
  require_scriptable("the program", job.program, "");
  require_scriptable("the sweep file", job.file, "");
  require_scriptable("-o", job.folder.string(), "\"\\");
}

std::string ranges_text(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
    if (last > i) text += fmt::format("-{}", numbers[last]);
    i = last + 1;
  }
  return text;
}

// exec: the signal before the time limit goes to the batch step's first process, which then is oscsim itself.
std::string array_script(const SlurmJob& job) {
  require_scriptable(job);
  std::string text = header(job, "sweep", "%A_%a.log");
  text += fmt::format("#SBATCH --array={}\n#SBATCH --cpus-per-task={}\n#SBATCH --time={}\n", ranges_text(job.left),
                      job.jobs, job.minutes);
  text += "#SBATCH --signal=B:TERM@60\n";
  text += fmt::format("exec {} sweep {} -o {} --jobs {} --shard \"$SLURM_ARRAY_TASK_ID/{}\"{}{}\n", quoted(job.program),
                      quoted(job.file), quoted(job.folder.string()), job.jobs, job.shards,
                      job.retry_failed ? " --retry-failed" : "", job.limits);
  return text;
}

std::string merge_script(const SlurmJob& job) {
  require_scriptable(job);
  std::string text = header(job, "merge", "%j_merge.log");
  text += "#SBATCH --time=60\n";
  text += fmt::format("exec {} sweep merge {}\n", quoted(job.program), quoted(job.folder.string()));
  return text;
}

Submitted submit(const SlurmJob& job) {
  const fs::path folder = job.folder / "slurm";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) input_error("{}: cannot be made: {}", folder.string(), error.message());
  config::write_file_atomically(folder / "array.sh", array_script(job));
  config::write_file_atomically(folder / "merge.sh", merge_script(job));
  Submitted result;
  result.shards = job.shards;
  result.array_job = submit_one(job, "", folder / "array.sh");
  result.merge_job = submit_one(job, fmt::format(" --dependency=afterany:{}", result.array_job), folder / "merge.sh");
  const Json json{{"array_job", result.array_job}, {"merge_job", result.merge_job}, {"shards", result.shards}};
  config::write_file_atomically(folder / "submitted.json", config::json_text(json, 2) + "\n");
  return result;
}

std::optional<Submitted> submitted(const Folder& folder) {
  const fs::path file = folder.path() / "slurm" / "submitted.json";
  if (!is_there(file)) return std::nullopt;
  const Json json = read_json(file);
  const std::string array_job = text_in(json, "array_job", file), merge_job = text_in(json, "merge_job", file);
  const bool is_count = json.contains("shards") && json["shards"].is_number_integer();
  const auto count = is_count ? json["shards"].get<std::int64_t>() : 0;
  if (count < 1 || count > kMostTasks) damaged(file, 0, fmt::format("'shards' is not 1 to {}", kMostTasks));
  return Submitted{array_job, merge_job, count};
}

std::map<std::int64_t, std::string> queue_states(const Submitted& job) {
  std::map<std::int64_t, std::string> states;
  const Output output =
      output_of(fmt::format("squeue --noheader --array --jobs={} --format='%K %T' 2>/dev/null", quoted(job.array_job)));
  if (output.status != 0) return states;
  std::istringstream lines(output.text);
  std::int64_t task = 0;
  for (std::string state; lines >> task >> state;) states[task] = state;
  return states;
}

}  // namespace oscsim::sweep
