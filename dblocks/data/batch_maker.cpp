// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/batch_maker.h"

#include <algorithm>
#include <numeric>

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
  DBLOCKS_CHECK(!dataset.source().has_values() || !options.train ||
                    !changes_images(options.augment),
                ConfigError,
                "[data] expected no augmentation of images that are float32, "
                "found some: data.augment. Hint: store them as uint8");
}

std::span<const uint8_t> BatchMaker::augmented(int64_t sample,
                                               RandomStream& stream) {
  const DatasetInfo& info = dataset_.info();
  if (options_.augment.random_resized_crop && dataset_.source().has_views()) {
    // The crop is taken from the image as it was, not from its centre.
    dataset_.source().view(
        sample,
        [&](int64_t rows, int64_t columns) {
          return View{random_resized_box(rows, columns, stream), info.rows,
                      info.columns};
        },
        image_);
    augmenter_.apply_after_crop(image_, stream);
    return image_.pixels;
  }
  const std::span<const uint8_t> pixels = dataset_.pixels(sample, buffer_);
  image_.resize(info.channels, info.rows, info.columns);
  std::copy(pixels.begin(), pixels.end(), image_.pixels.begin());
  augmenter_.apply(image_, stream);
  return image_.pixels;
}

void BatchMaker::fill(int64_t sample,
                      RandomStream stream,
                      std::span<float> out) {
  if (dataset_.source().has_values()) {
    dataset_.source().values(sample, out);
    normalizer_.apply(out);
  } else if (options_.train && changes_images(options_.augment)) {
    normalizer_.apply(augmented(sample, stream), out);
  } else {
    normalizer_.apply(dataset_.pixels(sample, buffer_), out);
  }
}

int64_t BatchMaker::fill_or_replace(int64_t sample,
                                    int64_t epoch,
                                    std::span<float> out) {
  const RandomStream stream(options_.seed, RandomPurpose::kAugmentation,
                            static_cast<uint64_t>(epoch),
                            static_cast<uint64_t>(sample));
  BadSamples* bad = dataset_.bad_samples();
  if (bad == nullptr) {
    fill(sample, stream, out);
    return sample;
  }
  for (int64_t tries = 0; tries < dataset_.size(); ++tries) {
    const int64_t candidate = (sample + tries) % dataset_.size();
    try {
      fill(candidate, stream, out);
      return candidate;
    } catch (const DataError& error) {
      bad->add(candidate, error.what());
    }
  }
  throw DataError(fmt::format(
      "[data] expected a readable sample of {}, found {} damaged ones. The "
      "first: {}",
      dataset_.info().name, dataset_.size(), bad->list().front().reason));
}

void BatchMaker::make(int64_t step, Batch& batch) {
  const std::span<const uint32_t> samples = order_.batch_samples(step);
  batch.step = step;
  batch.epoch = order_.epoch(step);
  resize_batch(dataset_.info(), samples.size(), batch);
  for (size_t i = 0; i < samples.size(); ++i) {
    const int64_t sample =
        fill_or_replace(samples[i], batch.epoch, image_of(batch, i));
    batch.sample_ids[i] = sample;
    batch.labels[i] = dataset_.label(sample);
  }
}

Batch evaluation_batch(const Dataset& dataset, int64_t first, int64_t count) {
  DBLOCKS_ASSERT(first >= 0 && first < dataset.size() && count >= 1,
                 "samples {} + {} of {}", first, count, dataset.size());
  std::vector<int64_t> samples(
      static_cast<size_t>(std::min(count, dataset.size() - first)));
  std::iota(samples.begin(), samples.end(), first);
  return evaluation_batch(dataset, samples);
}

Batch evaluation_batch(const Dataset& dataset,
                       std::span<const int64_t> samples) {
  const Normalizer normalizer(dataset.info().mean, dataset.info().std);
  Batch batch;
  resize_batch(dataset.info(), samples.size(), batch);
  std::vector<uint8_t> buffer;
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    batch.sample_ids[i] = samples[i];
    batch.labels[i] = dataset.label(samples[i]);
    if (dataset.source().has_values()) {
      dataset.source().values(samples[i], image_of(batch, i));
      normalizer.apply(image_of(batch, i));
    } else {
      normalizer.apply(dataset.pixels(samples[i], buffer), image_of(batch, i));
    }
  }
  return batch;
}

}  // namespace dblocks::data
