// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>
#include <thread>

#include "dblocks/core/error.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

using testing::error_of;
using testing::noise_dataset;

const AugmentOptions kAllAugmentations{.crop_padding = 2,
                                       .flip = true,
                                       .random_resized_crop = true,
                                       .rand_augment_ops = 2};

uint64_t hash(const Batch& batch) {
  uint64_t state = 14695981039346656037u;
  const auto add = [&](const void* data, size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) {
      state = (state ^ bytes[i]) * 1099511628211u;
    }
  };
  add(batch.images.data(), batch.images.size() * sizeof(float));
  add(batch.labels.data(), batch.labels.size() * sizeof(int64_t));
  add(batch.sample_ids.data(), batch.sample_ids.size() * sizeof(int64_t));
  add(&batch.epoch, sizeof(batch.epoch));
  add(&batch.step, sizeof(batch.step));
  return state;
}

std::vector<uint64_t> hashes(const Dataset& dataset,
                             const LoaderOptions& options,
                             int64_t first_step,
                             int num_steps) {
  Loader loader(dataset, options, first_step);
  std::vector<uint64_t> result;
  for (int i = 0; i < num_steps; ++i) {
    const Batch& batch = loader.next();
    EXPECT_EQ(batch.step, first_step + i);
    result.push_back(hash(batch));
  }
  return result;
}

TEST(LoaderTest, WorkersAndPrefetchDoNotChangeABit) {
  const Dataset dataset = noise_dataset(70, 3, 16, 16);
  LoaderOptions options{
      .batch_size = 16, .workers = 0, .seed = 9, .augment = kAllAugmentations};
  const auto expected = hashes(dataset, options, 0, 13);
  EXPECT_EQ(std::set(expected.begin(), expected.end()).size(), 13u);
  for (const int64_t workers : {0, 1, 2, 8}) {
    for (const int64_t prefetch : {1, 2, 3, 8}) {
      options.workers = workers;
      options.prefetch = prefetch;
      EXPECT_EQ(hashes(dataset, options, 0, 13), expected)
          << workers << " workers, prefetch " << prefetch;
    }
  }
}

TEST(LoaderTest, StartingAtAStepContinuesTheRun) {
  const Dataset dataset = noise_dataset(70, 1, 12, 12);
  const LoaderOptions options{
      .batch_size = 16, .seed = 9, .augment = kAllAugmentations};
  const auto whole = hashes(dataset, options, 0, 12);
  for (const int first : {1, 3, 4, 11}) {
    const std::vector<uint64_t> rest(whole.begin() + first, whole.end());
    EXPECT_EQ(hashes(dataset, options, first, 12 - first), rest) << first;
  }
}

TEST(LoaderTest, EpochsArePermutationsWhereverARunIsInterrupted) {
  constexpr int64_t kSamples = 48;
  constexpr int64_t kSteps = 18;  // 3 epochs of 6
  const Dataset dataset = noise_dataset(kSamples, 1, 2, 2);
  std::vector<int64_t> all(kSamples);
  std::iota(all.begin(), all.end(), 0);
  for (int64_t first = 0; first <= kSteps; ++first) {
    for (int64_t second = first; second <= kSteps; ++second) {
      std::vector<std::vector<int64_t>> visited(3);
      // A stopped run has made batches ahead that nobody took.
      const std::vector<int64_t> ends = {first, second, kSteps};
      int64_t step = 0;
      for (const int64_t end : ends) {
        Loader loader(dataset, {.batch_size = 8, .workers = end % 3, .seed = 9},
                      step);
        for (; step < end; ++step) {
          const Batch& batch = loader.next();
          auto& epoch = visited.at(static_cast<size_t>(batch.epoch));
          epoch.insert(epoch.end(), batch.sample_ids.begin(),
                       batch.sample_ids.end());
        }
      }
      for (auto& epoch : visited) {
        std::sort(epoch.begin(), epoch.end());
        EXPECT_EQ(epoch, all)
            << "interrupted at " << first << " and " << second;
      }
    }
  }
}

TEST(LoaderTest, TheSeedDecidesOrderAndAugmentation) {
  const Dataset dataset = noise_dataset(64, 1, 12, 12);
  EXPECT_NE(hashes(dataset, {.batch_size = 64, .seed = 1}, 0, 1),
            hashes(dataset, {.batch_size = 64, .seed = 2}, 0, 1));
}

TEST(LoaderTest, ASampleIsAugmentedAnewInEachEpoch) {
  const Dataset dataset = noise_dataset(1, 1, 12, 12);
  Loader loader(dataset, {.batch_size = 1, .augment = {.crop_padding = 4}});
  std::set<std::vector<float>> images;
  for (int epoch = 0; epoch < 20; ++epoch) {
    const Batch& batch = loader.next();
    EXPECT_EQ(batch.epoch, epoch);
    images.insert(batch.images);
  }
  EXPECT_GT(images.size(), 10u);  // of 81 offsets
}

TEST(LoaderTest, WithoutAugmentationImagesAreTheNormalisedPixels) {
  const Dataset dataset = noise_dataset(20, 3, 5, 4);
  Loader loader(dataset,
                {.batch_size = 6, .mean = {0, 0, 0}, .std = {1, 1, 1}});
  const Batch& batch = loader.next();
  ASSERT_EQ(batch.num_samples, 6);
  for (size_t i = 0; i < 6; ++i) {
    const auto pixels = dataset.pixels(batch.sample_ids[i]);
    EXPECT_EQ(batch.labels[i], dataset.label(batch.sample_ids[i]));
    for (size_t k = 0; k < pixels.size(); ++k) {
      ASSERT_FLOAT_EQ(batch.images[i * 60 + k], float(pixels[k]) / 255.0f);
    }
  }
}

TEST(LoaderTest, OutsideTrainingKeepsFileOrderAndImages) {
  const Dataset dataset = noise_dataset(10, 1, 6, 6);
  Loader loader(
      dataset, {.batch_size = 4, .augment = kAllAugmentations, .train = false});
  const Batch expected = evaluation_batch(dataset, 0, 4);
  const Batch& batch = loader.next();
  EXPECT_EQ(batch.sample_ids, expected.sample_ids);
  EXPECT_EQ(batch.images, expected.images);
}

TEST(LoaderTest, KeepsTheMemoryOfItsBatches) {
  const Dataset dataset = noise_dataset(40, 1, 6, 6);
  Loader loader(dataset, {.batch_size = 4, .workers = 2, .prefetch = 2});
  std::set<const float*> seen;
  for (int i = 0; i < 30; ++i) {
    seen.insert(loader.next().images.data());
  }
  EXPECT_EQ(seen.size(), 3u);  // prefetch + 1
}

TEST(LoaderTest, CanBeDestroyedAtAnyMoment) {
  const Dataset dataset = noise_dataset(70, 3, 16, 16);
  for (int i = 0; i < 20; ++i) {
    Loader loader(dataset, {.batch_size = 8,
                            .workers = 1 + i % 3,
                            .prefetch = 1 + i % 4,
                            .augment = kAllAugmentations});
    for (int k = 0; k < i % 5; ++k) {
      loader.next();
    }
    if (i % 2 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

// Fails for one sample, or is slow.
class FaultySource : public PixelSource {
 public:
  FaultySource(int64_t bad, std::chrono::milliseconds delay)
      : bad_(bad), delay_(delay), pixels_(16, 1) {}
  std::span<const uint8_t> pixels(int64_t i,
                                  std::vector<uint8_t>&) const override {
    std::this_thread::sleep_for(delay_);
    DBLOCKS_CHECK(i != bad_, DataError, "[test] sample {} is damaged", i);
    return pixels_;
  }

 private:
  int64_t bad_;
  std::chrono::milliseconds delay_;
  std::vector<uint8_t> pixels_;
};

Dataset faulty_dataset(int64_t bad, int delay_ms) {
  return Dataset(
      noise_dataset(1, 1, 4, 4).info(), std::vector<int64_t>(12, 0),
      std::make_shared<FaultySource>(bad, std::chrono::milliseconds(delay_ms)));
}

TEST(LoaderTest, AnErrorSurfacesAtItsOwnStepAndStays) {
  const Dataset dataset = faulty_dataset(7, 0);
  for (const int64_t workers : {0, 1, 3}) {
    Loader loader(
        dataset,
        {.batch_size = 3, .workers = workers, .prefetch = 4, .train = false});
    EXPECT_EQ(loader.next().step, 0);
    EXPECT_EQ(loader.next().step, 1);
    for (int attempt = 0; attempt < 2; ++attempt) {
      EXPECT_THAT(error_of<DataError>([&] { loader.next(); }),
                  ::testing::HasSubstr("sample 7 is damaged"));
    }
  }
}

TEST(LoaderTest, CountsTheSecondsSpentWaiting) {
  const Dataset dataset = faulty_dataset(-1, 10);
  Loader loader(dataset, {.batch_size = 4, .workers = 1, .prefetch = 1});
  EXPECT_EQ(loader.wait_seconds(), 0);
  loader.next();
  const double first = loader.wait_seconds();
  EXPECT_GT(first, 0.02);  // four samples of 10 ms, less what ran before
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  loader.next();
  EXPECT_LT(loader.wait_seconds() - first, 0.02);  // it was ready
}

TEST(LoaderTest, RejectsOptionsOutOfRange) {
  const Dataset dataset = noise_dataset(10, 1, 4, 4);
  const auto error_with = [&](const LoaderOptions& options) {
    return error_of<ConfigError>([&] { Loader(dataset, options, 0); });
  };
  EXPECT_THAT(error_with({.batch_size = 11}),
              ::testing::HasSubstr("data.batch_size"));
  EXPECT_THAT(error_with({.batch_size = 2, .workers = -1}),
              ::testing::HasSubstr("data.workers"));
  EXPECT_THAT(error_with({.batch_size = 2, .prefetch = 0}),
              ::testing::HasSubstr("data.prefetch"));
  EXPECT_THAT(error_with({.batch_size = 2, .mean = {1, 2}, .std = {1, 2}}),
              ::testing::HasSubstr("data.mean"));
}

TEST(EvaluationBatchTest, TheLastBatchMayBeShort) {
  const Dataset dataset = noise_dataset(10, 1, 4, 4);
  const Batch batch = evaluation_batch(dataset, 8, 5);
  EXPECT_EQ(batch.num_samples, 2);
  EXPECT_THAT(batch.sample_ids, ::testing::ElementsAre(8, 9));
  EXPECT_THAT(batch.labels, ::testing::ElementsAre(8, 9));
  ASSERT_EQ(batch.images.size(), 32u);
  EXPECT_FLOAT_EQ(batch.images[16],
                  (float(dataset.pixels(9)[0]) / 255.0f - 0.5f) / 0.25f);
}

}  // namespace
}  // namespace dblocks::data
