// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/progress.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

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

constexpr std::string_view kWipeLine = "\r\x1b[K";

}  // namespace

std::string format_progress(const Progress& progress) {
  std::vector<std::string> parts;
  if (progress.num_blocks > 1) {
    parts.push_back(
        fmt::format("block {} of {}", progress.block, progress.num_blocks));
  }
  parts.push_back(fmt::format("step {}/{}", progress.step, progress.steps));
  // A loss that is not a number is left out like any value that is not known:
  // the trainer stops with an error of its own.
  const auto add = [&](std::string_view format, double value) {
    if (std::isfinite(value)) {
      parts.push_back(fmt::format(fmt::runtime(format), value));
    }
  };
  add("loss {:.4f}", progress.loss);
  add("accuracy {:.1f} %", 100 * progress.accuracy);
  add("{:.0f} images/s", progress.images_per_second);
  if (progress.memory_bytes >= 0) {
    add("{:.2f} GiB", static_cast<double>(progress.memory_bytes) / (1 << 30));
  }
  add("data wait {:.1f} %", 100 * progress.data_wait_share);
  if (std::isfinite(progress.seconds_left)) {
    parts.push_back(format_duration(progress.seconds_left) + " left");
  }
  return fmt::format("{}", fmt::join(parts, " | "));
}

ProgressLine::ProgressLine(std::ostream& out, const ProgressOptions& options)
    : out_(out), options_(options) {}

void ProgressLine::update(const Progress& progress, Clock::time_point now) {
  const double interval =
      options_.is_terminal ? options_.redraw_seconds : options_.plain_seconds;
  const std::chrono::duration<double> elapsed = now - last_shown_;
  const bool is_last = progress.step == progress.steps;
  if (has_shown_ && !is_last && elapsed.count() < interval) {
    return;
  }
  has_shown_ = true;
  last_shown_ = now;
  std::string text = format_progress(progress);
  if (!options_.is_terminal) {
    out_ << text << '\n' << std::flush;
    return;
  }
  // The last column stays free: some terminals wrap as soon as it is filled.
  if (options_.columns > 0 &&
      text.size() >= static_cast<size_t>(options_.columns)) {
    text.resize(static_cast<size_t>(options_.columns) - 1);
  }
  out_ << kWipeLine << text << std::flush;
  is_drawn_ = true;
}

void ProgressLine::clear() {
  if (is_drawn_) {
    out_ << kWipeLine << std::flush;
    is_drawn_ = false;
  }
}

void ProgressLine::finish() {
  if (is_drawn_) {
    out_ << '\n' << std::flush;
    is_drawn_ = false;
  }
}

}  // namespace dblocks::report
