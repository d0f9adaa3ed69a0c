// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/batch_maker.h"

#include <algorithm>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"

namespace dblocks::data {
namespace {

const std::vector<double>& given_or(const std::vector<double>& given,
                                    const std::vector<double>& published) {
  return given.empty() ? published : given;
}

bool changes_images(const AugmentOptions& options) {
  return options.random_resized_crop || options.crop_padding > 0 ||
         options.flip || options.rand_augment_ops > 0;
}

void resize_batch(const DatasetInfo& info, size_t num_samples, Batch& batch) {
  batch.num_samples = static_cast<int64_t>(num_samples);
  batch.images.resize(num_samples * static_cast<size_t>(info.pixel_bytes()));
  batch.labels.resize(num_samples);
  batch.sample_ids.resize(num_samples);
}

std::span<float> image_of(Batch& batch, size_t i) {
  const size_t size = batch.images.size() / batch.labels.size();
  return std::span(batch.images).subspan(i * size, size);
}

}  // namespace

BatchMaker::BatchMaker(const Dataset& dataset, const LoaderOptions& options)
    : dataset_(dataset),
      options_(options),
      order_(dataset.size(),
             {.batch_size = options.batch_size,
              .seed = options.seed,
              .shuffle = options.train}),
      augmenter_(options.augment),
      normalizer_(given_or(options.mean, dataset.info().mean),
                  given_or(options.std, dataset.info().std)) {
  DBLOCKS_CHECK(normalizer_.channels() == dataset.info().channels, ConfigError,
                "[data] expected {} values, one per channel, found {}: "
                "data.mean, data.std",
                dataset.info().channels, normalizer_.channels());
}

std::span<const uint8_t> BatchMaker::augmented(int64_t sample, int64_t epoch) {
  const DatasetInfo& info = dataset_.info();
  const std::span<const uint8_t> pixels = dataset_.pixels(sample, buffer_);
  if (!options_.train || !changes_images(options_.augment)) {
    return pixels;
  }
  image_.resize(info.channels, info.rows, info.columns);
  std::copy(pixels.begin(), pixels.end(), image_.pixels.begin());
  RandomStream stream(options_.seed, RandomPurpose::kAugmentation,
                      static_cast<uint64_t>(epoch),
                      static_cast<uint64_t>(sample));
  augmenter_.apply(image_, stream);
  return image_.pixels;
}

void BatchMaker::make(int64_t step, Batch& batch) {
  const std::span<const uint32_t> samples = order_.batch_samples(step);
  batch.step = step;
  batch.epoch = order_.epoch(step);
  resize_batch(dataset_.info(), samples.size(), batch);
  for (size_t i = 0; i < samples.size(); ++i) {
    batch.sample_ids[i] = samples[i];
    batch.labels[i] = dataset_.label(samples[i]);
    normalizer_.apply(augmented(samples[i], batch.epoch), image_of(batch, i));
  }
}

Batch evaluation_batch(const Dataset& dataset, int64_t first, int64_t count) {
  DBLOCKS_ASSERT(first >= 0 && first < dataset.size() && count >= 1,
                 "samples {} + {} of {}", first, count, dataset.size());
  const Normalizer normalizer(dataset.info().mean, dataset.info().std);
  Batch batch;
  resize_batch(dataset.info(),
               static_cast<size_t>(std::min(count, dataset.size() - first)),
               batch);
  std::vector<uint8_t> buffer;
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    const int64_t sample = first + static_cast<int64_t>(i);
    batch.sample_ids[i] = sample;
    batch.labels[i] = dataset.label(sample);
    normalizer.apply(dataset.pixels(sample, buffer), image_of(batch, i));
  }
  return batch;
}

}  // namespace dblocks::data
