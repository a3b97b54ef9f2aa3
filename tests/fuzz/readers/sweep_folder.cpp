// SPDX-License-Identifier: Apache-2.0
// The files of a sweep's folder that are read back. Their readers take a folder: one of the three files is the input,
// the others are sound.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "models/base/error.h"
#include "sim/report/version.h"
#include "sim/sweep/folder.h"
#include "sim/workload/sha256.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr const char *kDescription = "sweep.json", *kPoints = "points.jsonl", *kRows = "rows/1_of_1.0.jsonl";

// Keys have 20 hexadecimal digits.
const std::string kKey = "0123456789abcdef0123", kOther = "0123456789abcdef0124";

std::string description() {
  return fmt::format(R"({{"schema":1,"version":"{}","git":"{}","points":1,"points_sha256":"{}","axes":[]}})", version(),
                     git_hash(), sha256(kKey));
}
std::string point(const std::string& key, int index = 0) {
  return fmt::format(R"({{"key":"{}","index":{},"machine.cores":1,"machine.cores.text":"1"}})", key, index) + "\n";
}
std::string row(const std::string& key, const std::string& status) {
  return fmt::format(R"({{"key":"{}","status":"{}","error":null,"speedup":1.5}})", key, status) + "\n";
}

// In memory, for the life of the process.
class ScratchFolder {
 public:
  ScratchFolder() {
    const fs::path memory = "/dev/shm";
    path_ = ((fs::is_directory(memory) ? memory : fs::temp_directory_path()) / "oscsim_fuzz_XXXXXX").string();
    ensure(mkdtemp(path_.data()) != nullptr, "no scratch folder at {}", path_);
    fs::create_directory(fs::path(path_) / "rows");
    write(kDescription, description());
    write(kPoints, point(kKey));
    write(kRows, row(kKey, "ok"));
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }

  void write(const char* file, std::string_view content) const {
    std::ofstream(fs::path(path_) / file, std::ios::binary) << content;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const ScratchFolder& scratch() {
  static const ScratchFolder kFolder;
  return kFolder;
}

void read_folder(const char* file, std::string_view input, const std::string& sound) {
  const ScratchFolder& folder = scratch();
  folder.write(file, input);
  try {
    const sweep::Folder reader(folder.path());
    reader.require_ours();
    reader.points();
    reader.statuses();
  } catch (...) {
    folder.write(file, sound);
    throw;
  }
  folder.write(file, sound);
}

}  // namespace

Reader sweep_json_reader() {
  return {.name = "sweep_json",
          .read = [](std::string_view input) { read_folder(kDescription, input, description()); },
          .seeds =
              [] {
                return std::vector<Seed>{{"sound", description()},
                                         {"numbers", R"({"schema":1,"version":1,"git":2})"},
                                         {"other_version", R"({"schema":1,"version":"0","git":"0"})"},
                                         {"list", "[]"},
                                         {"no_git", R"({"version":"0"})"},
                                         {"cut", description().substr(0, 20)},
                                         {"latin1", "{\"version\":\"\xE9\"}"},
                                         {"deep", std::string(5000, '[')},
                                         {"empty", ""}};
              },
          .origin = scratch().path(),
          .longest = 512,
          .words = {"\"version\"", "\"git\"", "null", "{}", "[]"}};
}

Reader sweep_points_reader() {
  return {.name = "sweep_points",
          .read = [](std::string_view input) { read_folder(kPoints, input, point(kKey)); },
          .seeds =
              [] {
                return std::vector<Seed>{{"one", point(kKey)},
                                         {"two", point(kKey) + point(kOther, 1)},
                                         {"number", "{\"key\":1}\n"},
                                         {"no_key", "{\"index\":0}\n"},
                                         {"list", "[]\n"},
                                         {"cut", point(kKey) + point(kOther, 1).substr(0, 9)},
                                         {"latin1", "{\"key\":\"\xE9\"}\n"},
                                         {"no_object", "text\n"},
                                         {"blank", "\n\n"}};
              },
          .origin = scratch().path(),
          .longest = 512,
          .words = {"{\"key\":\"", "\"index\":", "}\n", "null"}};
}

Reader sweep_rows_reader() {
  return {.name = "sweep_rows",
          .read = [](std::string_view input) { read_folder(kRows, input, row(kKey, "ok")); },
          .seeds =
              [] {
                return std::vector<Seed>{{"ok", row(kKey, "ok")},
                                         {"failed_then_ok", row(kKey, "failed") + row(kKey, "ok")},
                                         {"others", row(kOther, "died") + row(kKey, "missing")},
                                         {"unknown_status", row(kKey, "good")},
                                         {"cut", row(kKey, "ok").substr(0, 20)},
                                         {"number", "{\"key\":1,\"status\":2}\n"},
                                         {"latin1", row("\xE9", "ok")},
                                         {"no_object", "text\n"},
                                         {"brace", R"({"key":"0123456789abcdef0123","status":"ok"})"}};
              },
          .origin = scratch().path(),
          .longest = 512,
          .words = {R"({"key":"0123456789abcdef0123","status":"ok")", "\"failed\"", "}\n", R"(,"status":")"}};
}

}  // namespace oscsim::fuzz
