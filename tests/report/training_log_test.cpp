// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/training_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace dblocks::report {
namespace {

class TrainingLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ = std::filesystem::temp_directory_path() /
            ("dblocks_log_" + std::to_string(::getpid()) + ".jsonl");
  }
  void TearDown() override { std::filesystem::remove(file_); }

  TrainingLog read(const std::string& text, size_t max_points = 100) {
    std::ofstream(file_, std::ios::binary) << text;
    return read_training_log(file_, max_points);
  }

  std::filesystem::path file_;
};

std::string entry(int64_t step, double loss) {
  return "{\"step\":" + std::to_string(step) +
         ",\"steps\":9,\"loss\":" + std::to_string(loss) +
         ",\"accuracy\":0.5,\"images_per_second\":10.5,"
         "\"peak_tensor_bytes\":" +
         std::to_string(1000 - step) + "}\n";
}

TEST_F(TrainingLogTest, ReadsWhatTrainingWrites) {
  const TrainingLog log = read(entry(1, 2) + entry(3, 1));
  EXPECT_EQ(log.num_rows, 2);
  EXPECT_EQ(log.num_damaged, 0);
  EXPECT_EQ(log.last_step, 3);
  EXPECT_EQ(log.steps, 9);
  EXPECT_EQ(log.peak_tensor_bytes, 999);
  EXPECT_DOUBLE_EQ(log.images_per_second, 10.5);
  ASSERT_EQ(log.points.size(), 2);
  EXPECT_EQ(log.points[1].step, 3);
  EXPECT_DOUBLE_EQ(log.points[1].loss, 1);
}

TEST_F(TrainingLogTest, DamagedLinesAreCountedAndTheRestIsRead) {
  const TrainingLog log =
      read(entry(1, 2) + "rubbish\n" + std::string("\0\xff\n", 3) + "[1]\n" +
           std::string(200'000, 'x') + "\n" + entry(2, 1) + entry(1, 1) +
           "{\"step\":\"three\"}\n" + entry(4, 1) + "{\"step\":5,\"lo");
  EXPECT_EQ(log.num_rows, 3);
  EXPECT_EQ(log.num_damaged, 6);
  EXPECT_EQ(log.last_step, 4);
}

TEST_F(TrainingLogTest, AMissingLogIsEmpty) {
  const TrainingLog log = read_training_log("/nonexistent/log.jsonl", 10);
  EXPECT_EQ(log.num_rows, 0);
  EXPECT_TRUE(log.points.empty());
}

TEST_F(TrainingLogTest, ALossThatIsNullIsNoNumber) {
  const TrainingLog log = read("{\"step\":1,\"loss\":null}\n");
  ASSERT_EQ(log.points.size(), 1);
  EXPECT_TRUE(std::isnan(log.points[0].loss));
}

std::vector<LogPoint> flat(int64_t count) {
  std::vector<LogPoint> points;
  for (int64_t step = 1; step <= count; ++step) {
    points.push_back({step, 1.0, 0.5});
  }
  return points;
}

TEST(ThinnedTest, KeepsTheEndsAndEveryExtreme) {
  std::vector<LogPoint> points = flat(100'000);
  points[12'345].loss = 50;
  points[54'321].loss = -3;
  points[77'777].loss = NAN;
  const auto kept = thinned(points, 500);
  EXPECT_LE(kept.size(), 500);
  EXPECT_EQ(kept.front().step, 1);
  EXPECT_EQ(kept.back().step, 100'000);
  const auto has = [&](int64_t step) {
    return std::ranges::any_of(
        kept, [&](const LogPoint& p) { return p.step == step; });
  };
  EXPECT_TRUE(has(12'346));
  EXPECT_TRUE(has(54'322));
  EXPECT_TRUE(has(77'778));
  EXPECT_TRUE(std::ranges::is_sorted(kept, {}, &LogPoint::step));
}

TEST(ThinnedTest, LeavesShortLogsAlone) {
  EXPECT_EQ(thinned(flat(100), 100).size(), 100);
  EXPECT_EQ(thinned(flat(101), 4).size(), 4);
}

TEST(AveragedTest, GivesTheMeanOfEachStretch) {
  std::vector<LogPoint> points = flat(4);
  points[0].loss = 3;
  points[3].loss = NAN;
  const auto means = averaged(points, 2);
  ASSERT_EQ(means.size(), 2);
  EXPECT_EQ(means[0].step, 2);
  EXPECT_DOUBLE_EQ(means[0].loss, 2);
  EXPECT_DOUBLE_EQ(means[1].loss, 1);
}

}  // namespace
}  // namespace dblocks::report
