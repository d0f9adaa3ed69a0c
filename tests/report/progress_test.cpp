// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace dblocks::report {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ProgressBoard::Clock::time_point kStart{seconds(1000)};

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

TEST(ProgressBoardTest, PlainLinesComeAtMostOncePerInterval) {
  std::ostringstream out;
  ProgressBoard line(out, {.is_terminal = false, .plain_seconds = 10});
  line.update({.step = 1, .steps = 9}, kStart);
  line.update({.step = 2, .steps = 9}, kStart + seconds(9));
  line.update({.step = 3, .steps = 9}, kStart + seconds(10));
  line.finish();
  EXPECT_EQ(out.str(), "step 1/9\nstep 3/9\n");
}

TEST(ProgressBoardTest, LastStepIsAlwaysShown) {
  std::ostringstream out;
  ProgressBoard line(out, {.is_terminal = false, .plain_seconds = 10});
  line.update({.step = 8, .steps = 9}, kStart);
  line.update({.step = 9, .steps = 9}, kStart + milliseconds(1));
  EXPECT_EQ(out.str(), "step 8/9\nstep 9/9\n");
}

TEST(FormatBoardTest, ShowsEveryBlockAndTheWhole) {
  const std::vector<BlockProgress> blocks = {
      {.block = 0,
       .step = 600,
       .steps = 600,
       .loss = 0.4312,
       .accuracy = 0.851},
      {.block = 1, .step = 270, .steps = 600, .loss = 0.512, .accuracy = 0.81},
      {.block = 2, .step = 0, .steps = 600}};
  const Progress last{.block = 1,
                      .num_blocks = 3,
                      .images_per_second = 1234,
                      .seconds_left = 65};
  EXPECT_EQ(format_board(blocks, last, 80),
            (std::vector<std::string>{
                "block 0  done      600/600  [################]  loss 0.4312  "
                "accuracy  85.1 %",
                "block 1  training  270/600  [#######.........]  loss 0.5120  "
                "accuracy  81.0 %",
                "block 2  waiting     0/600  [................]",
                "870/1800 steps | 1234 images/s | 1:05 left"}));
}

TEST(FormatBoardTest, NoLineFillsTheTerminalHoweverNarrow) {
  const std::vector<BlockProgress> blocks = {{.block = 0,
                                              .step = 1234,
                                              .steps = 195000,
                                              .loss = 0.4312,
                                              .accuracy = 0.85},
                                             {.block = 11, .steps = 195000}};
  const Progress last{.num_blocks = 12, .images_per_second = 1234};
  for (int columns = 1; columns < 200; ++columns) {
    for (const std::string& line : format_board(blocks, last, columns)) {
      EXPECT_TRUE(line.size() < static_cast<size_t>(columns) || columns == 1)
          << columns << ": " << line;
    }
  }
  EXPECT_EQ(format_board(blocks, last, 40)[0],
            "block 0   training  loss 0.4312");
}

const Progress kFirst{.block = 0, .num_blocks = 2, .step = 1, .steps = 9};

TEST(ProgressBoardTest, BoardIsRedrawnInPlaceAndEndsOnce) {
  std::ostringstream out;
  ProgressBoard board(out, {.is_terminal = true, .redraw_seconds = 0.1});
  board.set_blocks({{.block = 0, .steps = 9}, {.block = 1, .steps = 9}});
  board.update(kFirst, kStart);
  const std::string first = out.str();
  EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 2);
  board.update({.block = 0, .num_blocks = 2, .step = 2, .steps = 9},
               kStart + milliseconds(50));
  EXPECT_EQ(out.str(), first);
  board.update({.block = 0, .num_blocks = 2, .step = 3, .steps = 9},
               kStart + milliseconds(150));
  const std::string second = out.str().substr(first.size());
  EXPECT_TRUE(second.starts_with("\r\x1b[2A\x1b[Jblock 0  training  3/9"))
      << second;
  board.finish();
  const std::string all = out.str();
  EXPECT_TRUE(all.ends_with("3/18 steps\x1b[K\n"));
  board.finish();
  EXPECT_EQ(out.str(), all);
}

TEST(ProgressBoardTest, OtherLinesAreWrittenAboveTheBoard) {
  std::ostringstream out;
  ProgressBoard board(out, {.is_terminal = true});
  board.write_between([&] { out << "early\n"; });
  EXPECT_EQ(out.str(), "early\n");
  board.update(kFirst, kStart);
  out.str("");
  board.write_between([&] { out << "warning\n"; });
  EXPECT_TRUE(out.str().starts_with("\r\x1b[1A\x1b[Jwarning\nblock 0"))
      << out.str();
}

TEST(ProgressBoardTest, PlainLinesAreNotWipedByOthers) {
  std::ostringstream out;
  ProgressBoard board(out, {.is_terminal = false});
  board.update(kFirst, kStart);
  board.write_between([&] { out << "warning\n"; });
  board.finish();
  EXPECT_EQ(out.str(), "block 0 of 2 | step 1/9\nwarning\n");
}

TEST(ProgressBoardTest, LinesThatANarrowedWindowBrokeAreWipedToo) {
  std::ostringstream out;
  TerminalSize size{.columns = 80, .rows = 24};
  ProgressBoard board(out, {.is_terminal = true, .size = [&] { return size; }});
  board.update(kFirst, kStart);  // 59 columns, and 9 for the whole
  out.str("");
  size.columns = 20;
  board.update({.block = 0, .num_blocks = 2, .step = 9, .steps = 9}, kStart);
  EXPECT_TRUE(out.str().starts_with("\r\x1b[3A\x1b[J")) << out.str();
}

TEST(ProgressBoardTest, AMissingRowMovesTheViewToTheBlockInTraining) {
  std::ostringstream out;
  ProgressBoard board(out, {.is_terminal = true, .size = [] {
                              return TerminalSize{.columns = 80, .rows = 6};
                            }});
  std::vector<BlockProgress> blocks;
  for (int64_t b = 0; b < 20; ++b) {
    blocks.push_back({.block = b, .steps = 9});
  }
  board.set_blocks(blocks);
  board.update({.block = 10, .num_blocks = 20, .step = 1, .steps = 9}, kStart);
  const std::string drawn = out.str();
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), '\n'), 4);
  EXPECT_NE(drawn.find("block 10  training"), std::string::npos) << drawn;
  EXPECT_NE(drawn.find("1/180 steps"), std::string::npos) << drawn;
  board.finish();
  for (const std::string name : {"block 0 ", "block 19 "}) {
    EXPECT_NE(out.str().find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace dblocks::report
