// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/training_log.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::json;

constexpr std::streamsize kMaxLineBytes = 64 << 10;
constexpr size_t kTrendPoints = 200;

double number_of(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_number() ? found->get<double>()
                                                    : NAN;
}

int64_t count_of(const Json& entry, const char* key) {
  const double value = number_of(entry, key);
  return value >= 0 && value < 9e15 ? static_cast<int64_t>(value) : 0;
}

double mean_of(std::span<const LogPoint> points, double LogPoint::*value) {
  double sum = 0;
  int64_t count = 0;
  for (const LogPoint& point : points) {
    if (!std::isnan(point.*value)) {
      sum += point.*value;
      ++count;
    }
  }
  return count > 0 ? sum / static_cast<double>(count) : NAN;
}

/// Takes one line in; false if it is damaged.
bool add_line(std::string_view line, TrainingLog& log) {
  const Json entry = Json::parse(line, nullptr, false);
  if (!entry.is_object()) {
    return false;
  }
  const int64_t step = count_of(entry, "step");
  if (step <= log.last_step) {
    return false;
  }
  log.last_step = step;
  log.steps = count_of(entry, "steps");
  log.peak_tensor_bytes =
      std::max(log.peak_tensor_bytes, count_of(entry, "peak_tensor_bytes"));
  const double rate = number_of(entry, "images_per_second");
  log.images_per_second = rate > 0 ? rate : 0;
  log.points.push_back(
      {step, number_of(entry, "loss"), number_of(entry, "accuracy")});
  ++log.num_rows;
  return true;
}

}  // namespace

std::vector<LogPoint> thinned(const std::vector<LogPoint>& points,
                              size_t max_points) {
  if (points.size() <= max_points) {
    return points;
  }
  const size_t stretches = (std::max<size_t>(max_points, 4) - 2) / 2;
  const size_t inner = points.size() - 2;
  const auto by_loss = [](const LogPoint& a, const LogPoint& b) {
    // NaN sorts as the greatest, so that a loss that broke stays visible.
    return !std::isnan(a.loss) && (std::isnan(b.loss) || a.loss < b.loss);
  };
  std::vector<LogPoint> kept{points.front()};
  for (size_t k = 0; k < stretches; ++k) {
    const auto begin =
        points.begin() + 1 + static_cast<std::ptrdiff_t>(k * inner / stretches);
    const auto end = points.begin() + 1 +
                     static_cast<std::ptrdiff_t>((k + 1) * inner / stretches);
    if (begin == end) {
      continue;
    }
    auto [low, high] = std::minmax_element(begin, end, by_loss);
    if (high < low) {
      std::swap(low, high);
    }
    kept.push_back(*low);
    if (high != low) {
      kept.push_back(*high);
    }
  }
  kept.push_back(points.back());
  return kept;
}

std::vector<LogPoint> averaged(const std::vector<LogPoint>& points,
                               size_t max_points) {
  const size_t stretches = std::min(points.size(), max_points);
  std::vector<LogPoint> means;
  for (size_t k = 0; k < stretches; ++k) {
    const size_t begin = k * points.size() / stretches;
    const size_t end = (k + 1) * points.size() / stretches;
    const std::span stretch(points.data() + begin, end - begin);
    means.push_back({stretch.back().step, mean_of(stretch, &LogPoint::loss),
                     mean_of(stretch, &LogPoint::accuracy)});
  }
  return means;
}

TrainingLog read_training_log(const std::filesystem::path& file,
                              size_t max_points) {
  TrainingLog log;
  if (!std::filesystem::exists(file)) {
    return log;
  }
  std::ifstream stream(file, std::ios::binary);
  DBLOCKS_CHECK(stream.good() && !std::filesystem::is_directory(file),
                CheckpointError,
                "[training_log] expected to read the log {}, found that it "
                "cannot be opened. Hint: check its permissions",
                file.string());
  std::string line(kMaxLineBytes, '\0');
  while (stream.getline(line.data(), kMaxLineBytes) || stream.gcount() > 0) {
    if (stream.eof()) {
      break;  // a line that is being written
    }
    if (stream.fail()) {  // longer than any entry of ours
      stream.clear();
      stream.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
      ++log.num_damaged;
      continue;
    }
    const auto length = static_cast<size_t>(stream.gcount()) - 1;
    log.num_damaged +=
        add_line(std::string_view(line).substr(0, length), log) ? 0 : 1;
  }
  log.trend = averaged(log.points, kTrendPoints);
  log.points = thinned(log.points, max_points);
  return log;
}

}  // namespace dblocks::report
