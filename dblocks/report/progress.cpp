// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace dblocks::report {
namespace {

// 65 -> "1:05", 3725 -> "1:02:05".
std::string format_duration(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(seconds));
  const int64_t hours = total / 3600;
  const int64_t minutes = total / 60 % 60;
  if (hours > 0) {
    return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  }
  return fmt::format("{}:{:02}", minutes, total % 60);
}

// Adds `value` to the parts of a line; one that is not a number is left out
// like any that is not known: the trainer stops with an error of its own.
void add_number(std::vector<std::string>& parts,
                std::string_view format,
                double value) {
  if (std::isfinite(value)) {
    parts.push_back(fmt::format(fmt::runtime(format), value));
  }
}

void add_rates(std::vector<std::string>& parts, const Progress& progress) {
  add_number(parts, "{:.0f} images/s", progress.images_per_second);
  if (progress.memory_bytes >= 0) {
    add_number(parts, "{:.2f} GiB",
               static_cast<double>(progress.memory_bytes) / (1 << 30));
  }
  add_number(parts, "data wait {:.1f} %", 100 * progress.data_wait_share);
  add_number(parts, "paging hidden {:.0f} %",
             100 * progress.paging_hidden_share);
  if (std::isfinite(progress.seconds_left)) {
    parts.push_back(format_duration(progress.seconds_left) + " left");
  }
}

constexpr int kLongestBar = 30;
constexpr int kShortestBar = 6;

std::string format_bar(const BlockProgress& block, int width) {
  const auto cells = block.steps > 0 ? block.step * width / block.steps : 0;
  return fmt::format("[{:#>{}}{:.>{}}]", "", cells, "", width - cells);
}

std::string_view state_of(const BlockProgress& block, bool is_current) {
  if (block.step >= block.steps) {
    return "done";
  }
  if (is_current) {
    return "training";
  }
  return block.step > 0 ? "paused" : "waiting";
}

/// The columns of a board's lines; a width of 0 leaves a column out.
struct Columns {
  size_t name = 0;
  size_t count = 0;
  int bar = 0;
  bool has_accuracy = true;
};

std::string name_of(const BlockProgress& block, const Progress& last) {
  return last.num_blocks > 1 ? fmt::format("block {}", block.block) : "model";
}

std::string format_block(const BlockProgress& block,
                         const Progress& last,
                         const Columns& columns) {
  std::string line =
      fmt::format("{:<{}}  {:<8}", name_of(block, last), columns.name,
                  state_of(block, block.block == last.block));
  if (columns.count > 0) {
    line +=
        fmt::format("  {:>{}}", fmt::format("{}/{}", block.step, block.steps),
                    columns.count);
  }
  if (columns.bar > 0) {
    line += "  " + format_bar(block, columns.bar);
  }
  if (std::isfinite(block.loss)) {
    line += fmt::format("  loss {:.4f}", block.loss);
  }
  if (columns.has_accuracy && std::isfinite(block.accuracy)) {
    line += fmt::format("  accuracy {:5.1f} %", 100 * block.accuracy);
  }
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

/// Fits the columns into `width`.
Columns columns_for(const std::vector<BlockProgress>& blocks,
                    const Progress& last,
                    int width) {
  Columns columns;
  for (const BlockProgress& b : blocks) {
    columns.name = std::max(columns.name, name_of(b, last).size());
    columns.count =
        std::max(columns.count, fmt::format("{}/{}", b.step, b.steps).size());
  }
  constexpr int kState = 10, kLoss = 15, kAccuracy = 18;
  int left = width - static_cast<int>(columns.name) - kState - kLoss;
  columns.has_accuracy = left >= kAccuracy;
  left -= columns.has_accuracy ? kAccuracy : 0;
  const int count = static_cast<int>(columns.count) + 2;
  if (left < count) {
    columns.count = 0;
    return columns;
  }
  const int bar = std::min(left - count - 4, kLongestBar);
  columns.bar = bar >= kShortestBar ? bar : 0;
  return columns;
}

std::string format_total(const std::vector<BlockProgress>& blocks,
                         const Progress& last) {
  int64_t done = 0, all = 0;
  for (const BlockProgress& b : blocks) {
    done += b.step;
    all += b.steps;
  }
  std::vector<std::string> parts = {fmt::format("{}/{} steps", done, all)};
  add_rates(parts, last);
  return fmt::format("{}", fmt::join(parts, " | "));
}

// Keeps the lines around the block in training where not all fit. The last
// line, for the whole run, always stays.
void keep_rows(std::vector<std::string>& lines, size_t current, size_t rows) {
  if (lines.size() <= rows) {
    return;
  }
  const size_t num_blocks = lines.size() - 1, kept = rows - 1;
  const size_t first =
      std::min(current - std::min(current, kept / 2), num_blocks - kept);
  lines.erase(lines.begin() + static_cast<ptrdiff_t>(first + kept),
              lines.end() - 1);
  lines.erase(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(first));
}

std::string joined(const std::vector<std::string>& lines) {
  // Each line is wiped behind its end: what was there may have been longer.
  return fmt::format("{}\x1b[K", fmt::join(lines, "\x1b[K\n"));
}

}  // namespace

std::string format_progress(const Progress& progress) {
  std::vector<std::string> parts;
  if (progress.num_blocks > 1) {
    parts.push_back(
        fmt::format("block {} of {}", progress.block, progress.num_blocks));
  }
  parts.push_back(fmt::format("step {}/{}", progress.step, progress.steps));
  add_number(parts, "loss {:.4f}", progress.loss);
  add_number(parts, "accuracy {:.1f} %", 100 * progress.accuracy);
  add_rates(parts, progress);
  return fmt::format("{}", fmt::join(parts, " | "));
}

std::vector<std::string> format_board(const std::vector<BlockProgress>& blocks,
                                      const Progress& last,
                                      int columns) {
  // The last column stays free: some terminals wrap as soon as it is filled.
  const int width = std::max(columns - 1, 1);
  const Columns layout = columns_for(blocks, last, width);
  std::vector<std::string> lines;
  lines.reserve(blocks.size() + 1);
  for (const BlockProgress& b : blocks) {
    lines.push_back(format_block(b, last, layout));
  }
  lines.push_back(format_total(blocks, last));
  for (std::string& line : lines) {
    line.resize(std::min(line.size(), static_cast<size_t>(width)));
  }
  return lines;
}

ProgressBoard::ProgressBoard(std::ostream& out, const ProgressOptions& options)
    : out_(out), options_(options) {}

ProgressBoard::~ProgressBoard() {
  finish();
}

void ProgressBoard::set_blocks(std::vector<BlockProgress> blocks) {
  const std::lock_guard lock(mutex_);
  blocks_ = std::move(blocks);
}

BlockProgress& ProgressBoard::block_of(const Progress& progress) {
  const auto found =
      std::ranges::find(blocks_, progress.block, &BlockProgress::block);
  return found != blocks_.end()
             ? *found
             : blocks_.emplace_back(BlockProgress{.block = progress.block});
}

void ProgressBoard::update(const Progress& progress, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  BlockProgress& block = block_of(progress);
  block.step = progress.step;
  block.steps = progress.steps;
  const bool is_logged = std::isfinite(progress.logged_loss);
  block.loss = is_logged ? progress.logged_loss : progress.loss;
  block.accuracy = is_logged ? progress.logged_accuracy : progress.accuracy;
  last_ = progress;

  const double interval =
      options_.is_terminal ? options_.redraw_seconds : options_.plain_seconds;
  const std::chrono::duration<double> elapsed = now - last_shown_;
  const bool is_last = progress.step == progress.steps;
  if (has_shown_ && !is_last && elapsed.count() < interval) {
    return;
  }
  has_shown_ = true;
  last_shown_ = now;
  if (options_.is_terminal) {
    draw();
  } else {
    out_ << format_progress(progress) << '\n' << std::flush;
  }
}

void ProgressBoard::draw() {
  const TerminalSize size = options_.size ? options_.size() : TerminalSize{};
  std::vector<std::string> lines = format_board(blocks_, last_, size.columns);
  const auto current =
      std::ranges::find(blocks_, last_.block, &BlockProgress::block);
  // A line that has left the screen at the top cannot be redrawn.
  keep_rows(lines, static_cast<size_t>(current - blocks_.begin()),
            static_cast<size_t>(std::max(size.rows - 1, 2)));
  out_ << wipe(size.columns) + joined(lines) << std::flush;
  drawn_ = std::move(lines);
}

std::string ProgressBoard::wipe(int columns) const {
  // A terminal that has become narrower since has broken longer lines.
  const auto width = static_cast<size_t>(std::max(columns, 1));
  size_t rows = 0;
  for (const std::string& line : drawn_) {
    rows += std::max<size_t>(1, (line.size() + width - 1) / width);
  }
  const std::string up = rows > 1 ? fmt::format("\x1b[{}A", rows - 1) : "";
  return drawn_.empty() ? "" : "\r" + up + "\x1b[J";
}

void ProgressBoard::write_between(const std::function<void()>& write) {
  const std::lock_guard lock(mutex_);
  const bool was_drawn = !drawn_.empty();
  if (was_drawn) {
    out_ << wipe(options_.size ? options_.size().columns : 80) << std::flush;
    drawn_.clear();
  }
  write();
  if (was_drawn) {
    draw();
  }
}

void ProgressBoard::finish() {
  const std::lock_guard lock(mutex_);
  if (drawn_.empty()) {
    return;
  }
  const int columns = options_.size ? options_.size().columns : 80;
  // Every block's line, though not all may have fitted before.
  out_ << wipe(columns) + joined(format_board(blocks_, last_, columns)) + "\n"
       << std::flush;
  drawn_.clear();
}

}  // namespace dblocks::report
