// SPDX-License-Identifier: Apache-2.0
#include "cli/samples.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "dblocks/report/png.h"

namespace dblocks::cli {
namespace {

constexpr int64_t kNumFirst = 8, kNumMistakes = 4;
constexpr int64_t kThumbnailSide = 64;  // pixels of a thumbnail

/// A row of log-probabilities, [K].
std::span<const float> row_of(const at::Tensor& table, int64_t image) {
  const auto classes = static_cast<size_t>(table.size(1));
  return {table.const_data_ptr<float>() + image * table.size(1), classes};
}

int64_t likeliest(std::span<const float> row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

double probability(float log_probability) {
  return std::clamp(std::exp(double{log_probability}), 0.0, 1.0);
}

/// The rows of `answer` beyond the first ones that are wrong, most confident
/// first. `samples`: the sample of each row.
std::vector<int64_t> confident_mistakes(const data::Dataset& test,
                                        const std::vector<int64_t>& samples,
                                        const at::Tensor& answer) {
  std::vector<std::pair<float, int64_t>> found;
  for (int64_t image = kNumFirst; image < std::ssize(samples); ++image) {
    const auto row = row_of(answer, image);
    const int64_t predicted = likeliest(row);
    if (predicted != test.label(samples[static_cast<size_t>(image)])) {
      found.emplace_back(-row[static_cast<size_t>(predicted)], image);
    }
  }
  std::sort(found.begin(), found.end());
  found.resize(std::min<size_t>(found.size(), kNumMistakes));
  std::vector<int64_t> images;
  images.reserve(found.size());
  for (const auto& [score, image] : found) {
    images.push_back(image);
  }
  return images;
}

report::SamplePrediction prediction_at(const data::DatasetInfo& info,
                                       std::span<const float> row,
                                       int64_t label) {
  const int64_t predicted = likeliest(row);
  return {.predicted = info.class_names[static_cast<size_t>(predicted)],
          .probability = probability(row[static_cast<size_t>(predicted)]),
          .true_probability = probability(row[static_cast<size_t>(label)])};
}

}  // namespace

std::vector<report::Sample> pick_samples(const data::Dataset& test,
                                         const tasks::ReadoutResult& readout) {
  const at::Tensor answer = readout.answers_pooled
                                ? readout.pooled_log_probabilities
                                : readout.log_probabilities.back();
  // Damaged samples have no row.
  const std::vector<int64_t> readable = test.readable_samples();
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < std::min<int64_t>(kNumFirst, std::ssize(readable));
       ++i) {
    rows.push_back(i);
  }
  for (const int64_t row : confident_mistakes(test, readable, answer)) {
    rows.push_back(row);
  }
  const data::DatasetInfo& info = test.info();
  std::vector<report::Sample> samples;
  for (const int64_t row : rows) {
    const int64_t image = readable[static_cast<size_t>(row)];
    const int64_t label = test.label(image);
    const std::vector<uint8_t> pixels = test.pixels(image);
    report::Sample sample{
        .index = image,
        .is_mistake = row >= kNumFirst,
        .label = info.class_names[static_cast<size_t>(label)],
        .png_base64 = report::png_base64(
            {info.channels, info.rows, info.columns, pixels}, kThumbnailSide),
        .answer = prediction_at(info, row_of(answer, row), label)};
    for (const at::Tensor& table : readout.log_probabilities) {
      sample.after_block.push_back(
          prediction_at(info, row_of(table, row), label));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace dblocks::cli
