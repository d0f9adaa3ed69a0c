// SPDX-License-Identifier: Apache-2.0
#include "dblocks/blocks/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "dblocks/core/error.h"

namespace dblocks::blocks {
namespace {

using testing::ElementsAre;

TEST(SplitTest, EqualSharesTileTheStackInOrder) {
  EXPECT_THAT(
      layer_ranges({.num_blocks = 3}, 12),
      ElementsAre(LayerRange{0, 4}, LayerRange{4, 8}, LayerRange{8, 12}));
  EXPECT_THAT(layer_ranges({.num_blocks = 1}, 5),
              ElementsAre(LayerRange{0, 5}));
}

TEST(SplitTest, AListedSplitIsFollowed) {
  EXPECT_THAT(
      layer_ranges({.num_blocks = 3, .layers_per_block = {3, 6, 3}}, 12),
      ElementsAre(LayerRange{0, 3}, LayerRange{3, 9}, LayerRange{9, 12}));
}

TEST(SplitTest, AnImpossibleSplitIsRefused) {
  EXPECT_THROW(layer_ranges({.num_blocks = 0}, 6), ConfigError);
  EXPECT_THROW(layer_ranges({.num_blocks = 7}, 6), ConfigError);
  EXPECT_THROW(layer_ranges({.num_blocks = 4}, 6), ConfigError);
  EXPECT_THROW(layer_ranges({.num_blocks = 2, .layers_per_block = {6}}, 6),
               ConfigError);
  EXPECT_THROW(layer_ranges({.num_blocks = 2, .layers_per_block = {6, 0}}, 6),
               ConfigError);
  EXPECT_THROW(layer_ranges({.num_blocks = 2, .layers_per_block = {4, 3}}, 6),
               ConfigError);
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(
      layer_ranges({.num_blocks = 2, .layers_per_block = {kHuge, kHuge}}, 6),
      ConfigError);
}

TEST(SplitTest, OneSharedPartIsEnough) {
  EXPECT_FALSE(has_shared_parts({}));
  EXPECT_TRUE(has_shared_parts({.head = Ownership::kShared}));
}

}  // namespace
}  // namespace dblocks::blocks
