// SPDX-License-Identifier: Apache-2.0
#include "sim/config/ending.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace oscsim::config {
namespace {

enum class SlotState : int { free, filling, ready };

// Outputs that are written at the same time: two of a run.
struct NameSlot {
  std::atomic<SlotState> state{SlotState::free};
  std::atomic<pid_t> owner{0};
  char name[PATH_MAX];
};
constinit std::array<NameSlot, 16> removed_names{};

// Files that are mapped at the same time: the largest published checkpoints have some hundred shards.
struct RangeSlot {
  static constexpr std::size_t kLongestPath = 511;  // of a longer one the end

  std::atomic<SlotState> state{SlotState::free};
  std::uintptr_t begin, end;
  char path[kLongestPath + 1];   // for stat
  char shown[kLongestPath + 1];  // for the terminal
};
constinit std::array<RangeSlot, 1024> mapped_ranges{};

struct Signal {
  int number;
  std::string_view name;
};
constexpr std::array<Signal, 5> kEndingSignals{
    {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}, {SIGQUIT, "SIGQUIT"}, {SIGXCPU, "SIGXCPU"}}};

constinit std::atomic<int> lost_input_status{1};
constinit std::atomic<char*> last_words{nullptr};
constinit std::atomic<std::size_t> last_words_size{0};
static_assert(std::atomic<char*>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free);

// The index of a free slot, which is now being filled; -1: none.
template <class Slots>
int take_slot(Slots& slots) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    SlotState expected = SlotState::free;
    if (slots[i].state.compare_exchange_strong(expected, SlotState::filling)) return static_cast<int>(i);
  }
  return -1;
}

void copy(std::string_view text, char* to) {
  std::memcpy(to, text.data(), text.size());
  to[text.size()] = '\0';
}

// ------ what handlers call; nothing here allocates, locks or formats

// A line that grows in a buffer.
class Line {
 public:
  Line& add(std::string_view text) {
    const std::size_t count = std::min(text.size(), sizeof(text_) - size_);
    std::memcpy(text_ + size_, text.data(), count);
    size_ += count;
    return *this;
  }
  Line& add(std::uint64_t number) {
    char digits[20];
    std::size_t at = sizeof(digits);
    do digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) > 0);
    return add(std::string_view(digits + at, sizeof(digits) - at));
  }
  std::string_view text() const { return {text_, size_}; }
  void print() const { static_cast<void>(write(STDERR_FILENO, text_, size_) < 0); }

 private:
  char text_[2 * RangeSlot::kLongestPath];
  std::size_t size_ = 0;
};

void end_by(int number) {
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  sigaction(number, &usual, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, number);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  raise(number);
}

extern "C" void on_ending_signal(int number) {
  remove_unfinished_files();
  Line line;
  if (isatty(STDERR_FILENO)) line.add("\n");  // behind the progress
  line.add("oscsim: stopped by ");
  for (const Signal& signal : kEndingSignals)
    if (signal.number == number) line.add(signal.name);
  line.add("; unfinished files are discarded\n").print();
  end_by(number);
}

void end_without(const RangeSlot& range, std::uintptr_t address) {
  static std::atomic_flag is_ending = ATOMIC_FLAG_INIT;
  while (is_ending.test_and_set()) pause();  // another thread lost a page too
  remove_unfinished_files();
  const std::uint64_t byte = address - range.begin;
  struct stat now {};
  const bool is_shorter = stat(range.path, &now) != 0 || static_cast<std::uint64_t>(now.st_size) <= byte;
  Line line;
  line.add(range.shown).add(": byte ").add(byte);
  line.add(is_shorter ? " is gone: the file became shorter while it was read" : " cannot be read: Input/output error");
  if (char* text = last_words.load()) {
    const std::size_t size = std::min(line.text().size(), last_words_size.load() - 1);
    std::memcpy(text, line.text().data(), size);
    text[size] = '\0';
  } else {
    Line whole;
    whole.add("oscsim: ").add(line.text()).add("\n").print();
  }
  _exit(lost_input_status);
}

extern "C" void on_lost_page(int number, siginfo_t* info, void* /*context*/) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const RangeSlot& slot : mapped_ranges)
    if (slot.state == SlotState::ready && slot.begin <= address && address < slot.end) end_without(slot, address);
  end_by(number);
}

}  // namespace

void remove_unfinished_files() {
  const pid_t process = getpid();
  for (const NameSlot& slot : removed_names)
    if (slot.state == SlotState::ready && slot.owner == process) unlink(slot.name);
}

void prepare_for_the_end(int status_of_lost_input) {
  lost_input_status = status_of_lost_input;
  struct sigaction action {
  }, before{};
  sigfillset(&action.sa_mask);
  action.sa_handler = on_ending_signal;
  for (const Signal& signal : kEndingSignals)
    if (sigaction(signal.number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      sigaction(signal.number, &action, nullptr);
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = on_lost_page;
  sigaction(SIGBUS, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
}

RemovedAtEnd::RemovedAtEnd(const std::string& name) {
  if (name.size() >= sizeof(NameSlot::name)) return;
  slot_ = take_slot(removed_names);
  if (slot_ < 0) return;
  NameSlot& slot = removed_names[static_cast<std::size_t>(slot_)];
  copy(name, slot.name);
  slot.owner = getpid();
  slot.state = SlotState::ready;
}

RemovedAtEnd::~RemovedAtEnd() {
  if (slot_ >= 0) removed_names[static_cast<std::size_t>(slot_)].state = SlotState::free;
}

MappedRange::MappedRange(std::span<const std::byte> bytes, const std::string& path) {
  slot_ = take_slot(mapped_ranges);
  if (slot_ < 0) return;
  RangeSlot& slot = mapped_ranges[static_cast<std::size_t>(slot_)];
  slot.begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  slot.end = slot.begin + bytes.size();
  std::string shown = path;
  if (shown.size() > RangeSlot::kLongestPath) shown = "..." + shown.substr(shown.size() - RangeSlot::kLongestPath + 3);
  copy(path.size() <= RangeSlot::kLongestPath ? path : "", slot.path);
  std::ranges::replace_if(
      shown, [](char letter) { return (letter >= 0 && letter < ' ') || letter == '\x7F'; }, '?');
  copy(shown, slot.shown);
  slot.state = SlotState::ready;
}

MappedRange::~MappedRange() {
  if (slot_ >= 0) mapped_ranges[static_cast<std::size_t>(slot_)].state = SlotState::free;
}

MappedRange::MappedRange(MappedRange&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

MappedRange& MappedRange::operator=(MappedRange&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

void leave_last_words_in(std::span<char> text) {
  last_words_size = text.size();
  last_words = text.data();
}

}  // namespace oscsim::config
