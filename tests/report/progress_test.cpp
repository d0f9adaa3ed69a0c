// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace dblocks::report {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ProgressLine::Clock::time_point kStart{seconds(1000)};

TEST(FormatProgressTest, TellsEverythingThatIsKnown) {
  const Progress progress{.block = 1,
                          .num_blocks = 3,
                          .step = 120,
                          .steps = 600,
                          .loss = 0.43124,
                          .accuracy = 0.8513,
                          .images_per_second = 1234.4,
                          .memory_bytes = 880468296,
                          .data_wait_share = 0.003,
                          .seconds_left = 65};
  EXPECT_EQ(format_progress(progress),
            "block 1 of 3 | step 120/600 | loss 0.4312 | accuracy 85.1 % | "
            "1234 images/s | 0.82 GiB | data wait 0.3 % | 1:05 left");
}

TEST(FormatProgressTest, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(format_progress({.num_blocks = 1, .step = 2, .steps = 9}),
            "step 2/9");
}

TEST(FormatProgressTest, LongDurationsShowHours) {
  EXPECT_EQ(format_progress({.step = 1, .steps = 2, .seconds_left = 3725.4}),
            "step 1/2 | 1:02:05 left");
  EXPECT_EQ(format_progress({.step = 1, .steps = 2, .seconds_left = 59.6}),
            "step 1/2 | 1:00 left");
}

TEST(ProgressLineTest, PlainLinesComeAtMostOncePerInterval) {
  std::ostringstream out;
  ProgressLine line(out, {.is_terminal = false, .plain_seconds = 10});
  line.update({.step = 1, .steps = 9}, kStart);
  line.update({.step = 2, .steps = 9}, kStart + seconds(9));
  line.update({.step = 3, .steps = 9}, kStart + seconds(10));
  line.clear();
  line.finish();
  EXPECT_EQ(out.str(), "step 1/9\nstep 3/9\n");
}

TEST(ProgressLineTest, LastStepIsAlwaysShown) {
  std::ostringstream out;
  ProgressLine line(out, {.is_terminal = false, .plain_seconds = 10});
  line.update({.step = 8, .steps = 9}, kStart);
  line.update({.step = 9, .steps = 9}, kStart + milliseconds(1));
  EXPECT_EQ(out.str(), "step 8/9\nstep 9/9\n");
}

TEST(ProgressLineTest, TerminalLineIsRedrawnInPlaceAndEndsOnce) {
  std::ostringstream out;
  ProgressLine line(out, {.is_terminal = true, .redraw_seconds = 0.1});
  line.update({.step = 1, .steps = 9}, kStart);
  line.update({.step = 2, .steps = 9}, kStart + milliseconds(50));
  line.update({.step = 3, .steps = 9}, kStart + milliseconds(150));
  line.finish();
  line.finish();
  EXPECT_EQ(out.str(), "\r\x1b[Kstep 1/9\r\x1b[Kstep 3/9\n");
}

TEST(ProgressLineTest, ClearedLineLeavesTheScreenToOthers) {
  std::ostringstream out;
  ProgressLine line(out, {.is_terminal = true});
  line.clear();
  EXPECT_EQ(out.str(), "");
  line.update({.step = 1, .steps = 9}, kStart);
  line.clear();
  line.finish();
  EXPECT_EQ(out.str(), "\r\x1b[Kstep 1/9\r\x1b[K");
}

TEST(ProgressLineTest, TerminalLineIsCutBeforeItWraps) {
  std::ostringstream out;
  ProgressLine line(out, {.is_terminal = true, .columns = 9});
  line.update({.step = 100, .steps = 900}, kStart);
  EXPECT_EQ(out.str(), "\r\x1b[Kstep 100");
}

}  // namespace
}  // namespace dblocks::report
