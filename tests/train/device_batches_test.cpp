// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/device_batches.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "dblocks/core/error.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

data::LoaderOptions loader_options() {
  return testing::toy_setup().loader;
}

/// The next batch of each is the same.
void expect_same(DeviceBatches& batches, data::Loader& loader) {
  const auto [host, tensors] = batches.next();
  const data::Batch& expected = loader.next();
  EXPECT_EQ(host->step, expected.step);
  EXPECT_EQ(host->sample_ids, expected.sample_ids);
  const tasks::LabelledBatch plain =
      to_device(expected, testing::toy_images().info(), at::kCPU);
  EXPECT_TRUE(tensors.images.equal(plain.images));
  EXPECT_TRUE(tensors.labels.equal(plain.labels));
}

TEST(DeviceBatchesTest, CopiesMadeAheadAreTheLoadersBatches) {
  const data::Dataset images = testing::toy_images();
  for (const bool copies_ahead : {false, true}) {
    data::Loader loader(images, loader_options(), 3);
    DeviceBatches batches(images, loader_options(), 3, at::kCPU, copies_ahead);
    for (int i = 0; i < 20; ++i) {
      expect_same(batches, loader);
    }
  }
}

TEST(DeviceBatchesTest, RestLosesNoBatch) {
  const data::Dataset images = testing::toy_images();
  data::Loader loader(images, loader_options());
  DeviceBatches batches(images, loader_options(), 0, at::kCPU, true);
  batches.rest();
  for (int i = 0; i < 6; ++i) {
    expect_same(batches, loader);
    batches.rest();
    batches.rest();
  }
}

TEST(DeviceBatchesTest, AnErrorOfTheDataArrivesWithTheBatch) {
  data::LoaderOptions options = loader_options();
  options.batch_size = 1000;
  EXPECT_THROW(DeviceBatches(testing::toy_images(), options, 0, at::kCPU, true),
               ConfigError);
}

}  // namespace
}  // namespace dblocks::train
