// SPDX-License-Identifier: Apache-2.0
#include "cli/train_progress.h"

#include <spdlog/sinks/sink.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "dblocks/core/log.h"

namespace dblocks::cli {
namespace {

report::TerminalSize terminal_size() {
  winsize size{};
  const bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
  return {.columns = is_known && size.ws_col > 0 ? size.ws_col : 80,
          .rows = is_known && size.ws_row > 0 ? size.ws_row : 24};
}

report::ProgressOptions progress_options() {
  const char* kind = std::getenv("TERM");
  const bool can_redraw = kind == nullptr || std::string_view(kind) != "dumb";
  return {.is_terminal = isatty(STDERR_FILENO) != 0 && can_redraw,
          .size = terminal_size};
}

/// The newest whole line of a log that is not after `step`.
nlohmann::json newest_line(const std::filesystem::path& log, int64_t step) {
  std::ifstream file(log);
  nlohmann::json newest;
  for (std::string text; std::getline(file, text);) {
    nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    if (line.is_object() && line.value("step", step + 1) <= step) {
      newest = std::move(line);
    }
  }
  return newest;
}

double number_of(const nlohmann::json& line, const char* key) {
  return line.is_object() && line.contains(key) && line[key].is_number()
             ? line[key].get<double>()
             : NAN;
}

}  // namespace

/// Hands messages to the sinks that were there, while the board is away.
class TrainProgress::LogSink : public spdlog::sinks::sink {
 public:
  explicit LogSink(report::ProgressBoard& board)
      : board_(board), inner_(dblocks::log().sinks()) {}

  const std::vector<spdlog::sink_ptr>& inner() const { return inner_; }

  void log(const spdlog::details::log_msg& message) override {
    board_.write_between([&] {
      for (const spdlog::sink_ptr& other : inner_) {
        if (other->should_log(message.level)) {
          other->log(message);
        }
      }
      flush();
    });
  }
  void flush() override {
    for (const spdlog::sink_ptr& other : inner_) {
      other->flush();
    }
  }
  // The sinks that were there keep the pattern they have.
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  report::ProgressBoard& board_;
  std::vector<spdlog::sink_ptr> inner_;
};

TrainProgress::TrainProgress()
    : board_(std::cerr, progress_options()),
      sink_(std::make_shared<LogSink>(board_)) {
  log().sinks() = {sink_};
}

TrainProgress::~TrainProgress() {
  log().sinks() = sink_->inner();
}

void TrainProgress::set_blocks(const train::RunSetup& setup,
                               const train::RunFolder& folder,
                               const std::vector<int64_t>& steps,
                               std::optional<int64_t> only_block) {
  std::vector<report::BlockProgress> blocks;
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto block = static_cast<int64_t>(i);
    if (only_block && *only_block != block) {
      continue;
    }
    const nlohmann::json line = newest_line(folder.log(block), steps[i]);
    blocks.push_back({.block = block,
                      .step = steps[i],
                      .steps = setup.train.steps,
                      .loss = number_of(line, "loss"),
                      .accuracy = number_of(line, "accuracy")});
  }
  board_.set_blocks(std::move(blocks));
}

}  // namespace dblocks::cli
