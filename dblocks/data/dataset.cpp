// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/dataset.h"

#include <algorithm>
#include <numeric>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"

namespace dblocks::data {
namespace {

class PixelsInMemory : public PixelSource {
 public:
  PixelsInMemory(int64_t sample_bytes, std::vector<uint8_t> pixels)
      : sample_bytes_(static_cast<size_t>(sample_bytes)),
        pixels_(std::move(pixels)) {}

  std::span<const uint8_t> pixels(int64_t i,
                                  std::vector<uint8_t>&) const override {
    return std::span(pixels_).subspan(static_cast<size_t>(i) * sample_bytes_,
                                      sample_bytes_);
  }

 private:
  size_t sample_bytes_;
  std::vector<uint8_t> pixels_;
};

}  // namespace

void PixelSource::view(int64_t, const ChooseView&, Image&) const {
  DBLOCKS_ASSERT(has_views() && false, "a source without views");
}

void PixelSource::values(int64_t, std::span<float>) const {
  DBLOCKS_ASSERT(has_values() && false, "a source without values");
}

void BadSamples::add(int64_t sample, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  const auto place = std::lower_bound(
      samples_.begin(), samples_.end(), sample,
      [](const BadSample& a, int64_t b) { return a.sample < b; });
  if (place == samples_.end() || place->sample != sample) {
    samples_.insert(place, {sample, reason});
    log().warn("[data] sample {} is passed over: {}", sample, reason);
  }
}

std::vector<BadSample> BadSamples::list() const {
  const std::lock_guard lock(mutex_);
  return samples_;
}

Dataset::Dataset(DatasetInfo info,
                 std::vector<int64_t> labels,
                 std::shared_ptr<const PixelSource> source)
    : info_(std::move(info)),
      labels_(std::move(labels)),
      source_(std::move(source)) {
  for (const int64_t label : labels_) {
    DBLOCKS_ASSERT(label >= 0 && label < info_.num_classes(),
                   "label {} among {} classes", label, info_.num_classes());
  }
}

// Not moved on: which argument is made first is not said.
Dataset::Dataset(
    DatasetInfo info,  // NOLINT(performance-unnecessary-value-param)
    std::vector<int64_t> labels,
    std::vector<uint8_t> pixels)
    : Dataset(info,
              std::move(labels),
              std::make_shared<PixelsInMemory>(info.pixel_bytes(),
                                               std::move(pixels))) {}

int64_t Dataset::label(int64_t i) const {
  DBLOCKS_ASSERT(i >= 0 && i < size(), "sample {} of {}", i, size());
  return labels_[static_cast<size_t>(i)];
}

std::span<const uint8_t> Dataset::pixels(int64_t i,
                                         std::vector<uint8_t>& buffer) const {
  DBLOCKS_ASSERT(i >= 0 && i < size(), "sample {} of {}", i, size());
  return source_->pixels(i, buffer);
}

std::vector<uint8_t> Dataset::pixels(int64_t i) const {
  std::vector<uint8_t> buffer;
  const std::span<const uint8_t> found = pixels(i, buffer);
  return {found.begin(), found.end()};
}

std::vector<int64_t> Dataset::readable_samples() const {
  std::vector<int64_t> samples(labels_.size());
  std::iota(samples.begin(), samples.end(), int64_t{0});
  if (bad_samples_ == nullptr) {
    return samples;
  }
  std::vector<uint8_t> buffer;
  std::erase_if(samples, [&](int64_t i) {
    try {
      pixels(i, buffer);
      return false;
    } catch (const DataError& error) {
      bad_samples_->add(i, error.what());
      return true;
    }
  });
  DBLOCKS_CHECK(!samples.empty(), DataError,
                "[data] expected a readable sample of {}, found {} damaged "
                "ones. The first: {}",
                info_.name, size(), bad_samples_->list().front().reason);
  return samples;
}

Dataset Dataset::first(int64_t count) const {
  DBLOCKS_CHECK(count >= 1 && count <= size(), ConfigError,
                "[data] expected 1 to {} samples of {}, found {}", size(),
                info_.name, count);
  Dataset prefix = *this;
  prefix.labels_.resize(static_cast<size_t>(count));
  return prefix;
}

}  // namespace dblocks::data
