// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/pager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "dblocks/core/log.h"

namespace dblocks::memory {
namespace {

using ::testing::HasSubstr;
using Use = Pager::Use;

constexpr size_t kState = 3 * PageFile::kAlignment;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "dblocks_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("no temporary folder");
    }
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Aligned bytes.
class Memory {
 public:
  explicit Memory(size_t size)
      : data_(static_cast<std::byte*>(
            std::aligned_alloc(PageFile::kAlignment, size))),
        size_(size) {}
  std::span<std::byte> bytes() { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_;
};

void fill_randomly(std::span<std::byte> bytes, uint32_t seed) {
  std::mt19937 random(seed);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(random());
  }
}

void flip_byte(const std::filesystem::path& path, std::streamoff offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset);
  const auto byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(offset);
  file.put(byte);
  ASSERT_TRUE(file.good());
}

std::string damage_of(PageFile& page, std::span<std::byte> bytes) {
  try {
    page.read(bytes);
  } catch (const PageError& error) {
    return error.what();
  }
  return "";
}

TEST(PageFileTest, GivesBackWhatWasWrittenLast) {
  const TemporaryFolder folder;
  PageFile page(folder.path() / "page");
  Memory written(2 * PageFile::kPageBytes + PageFile::kAlignment);
  Memory read(written.bytes().size());
  EXPECT_FALSE(page.has_content());
  for (const uint32_t seed : {1, 2}) {
    fill_randomly(written.bytes(), seed);
    page.write(written.bytes());
    EXPECT_TRUE(page.has_content());
    page.read(read.bytes());
    EXPECT_TRUE(std::ranges::equal(read.bytes(), written.bytes()));
  }
}

TEST(PageFileTest, NamesFileAndOffsetOfADamagedPage) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "page";
  PageFile page(path);
  Memory memory(3 * PageFile::kPageBytes);
  fill_randomly(memory.bytes(), 1);
  page.write(memory.bytes());
  flip_byte(path, PageFile::kPageBytes + 12345);
  const std::string message = damage_of(page, memory.bytes());
  EXPECT_THAT(message, HasSubstr(path.string()));
  EXPECT_THAT(message, HasSubstr(fmt::format("offset {} ", 8 << 20)));
}

TEST(PageFileTest, FindsAFileThatIsShorterOrGone) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "page";
  PageFile page(path);
  Memory memory(2 * PageFile::kPageBytes);
  fill_randomly(memory.bytes(), 1);
  page.write(memory.bytes());
  std::filesystem::resize_file(path, PageFile::kPageBytes + 4096);
  EXPECT_THAT(damage_of(page, memory.bytes()),
              HasSubstr(fmt::format("offset {} ", 8 << 20)));
  std::filesystem::remove(path);
  EXPECT_THAT(damage_of(page, memory.bytes()), HasSubstr("offset 0 "));
}

TEST(PageFileTest, AFileThatCannotBeWrittenIsAnError) {
  const TemporaryFolder folder;
  PageFile page(folder.path() / "missing" / "page");
  Memory memory(PageFile::kAlignment);
  EXPECT_THROW(page.write(memory.bytes()), CheckpointError);
  EXPECT_FALSE(page.has_content());
}

/// Two states of one place in memory, of other sizes: the second is on disk.
class PageExchangeTest : public ::testing::TestWithParam<std::pair<int, int>> {
 protected:
  PageExchangeTest() {
    fill_randomly(out_bytes(), 1);
    fill_randomly(expected_.bytes(), 2);
    in_.write(expected_.bytes());
  }
  std::span<std::byte> out_bytes() { return memory_.bytes().first(out_size_); }
  std::span<std::byte> in_bytes() { return memory_.bytes().first(in_size_); }
  void exchange(PageFile& out) {
    PageFile::exchange(out, out_bytes(), in_, in_bytes());
  }
  /// Whether `out_` holds the first state.
  bool was_written() {
    Memory before(out_size_), found(out_size_);
    fill_randomly(before.bytes(), 1);
    out_.read(found.bytes());
    return std::ranges::equal(found.bytes(), before.bytes());
  }

  static size_t size_of(int quarters) {
    return static_cast<size_t>(quarters) * PageFile::kPageBytes / 4;
  }

  const size_t out_size_ = size_of(GetParam().first);
  const size_t in_size_ = size_of(GetParam().second);
  TemporaryFolder folder_;
  PageFile out_{folder_.path() / "out"}, in_{folder_.path() / "in"};
  Memory memory_{std::max(out_size_, in_size_)}, expected_{in_size_};
};

TEST_P(PageExchangeTest, OneGoesOutAndTheOtherComesIn) {
  exchange(out_);
  EXPECT_TRUE(std::ranges::equal(in_bytes(), expected_.bytes()));
  EXPECT_TRUE(was_written());
}

TEST_P(PageExchangeTest, ADamagedPageDoesNotKeepTheOtherFromLeaving) {
  flip_byte(folder_.path() / "in", 77);
  EXPECT_THROW(exchange(out_), PageError);
  EXPECT_TRUE(was_written());
}

TEST_P(PageExchangeTest, AFileThatCannotBeWrittenIsAnErrorAndTheOtherIsKept) {
  PageFile nowhere(folder_.path() / "missing" / "page");
  try {
    exchange(nowhere);
    FAIL();
  } catch (const PageError&) {
    FAIL() << "named the wrong file";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing"));
  }
  EXPECT_FALSE(nowhere.has_content());
  in_.read(in_bytes());
  EXPECT_TRUE(std::ranges::equal(in_bytes(), expected_.bytes()));
}

INSTANTIATE_TEST_SUITE_P(QuartersOfAPage,
                         PageExchangeTest,
                         ::testing::Values(std::pair{1, 1},
                                           std::pair{13, 13},
                                           std::pair{3, 22},
                                           std::pair{22, 3}));

/// Some units whose states are numbers that tests count up.
class Units {
 public:
  Units(int64_t num_units,
        int64_t num_arenas,
        std::chrono::milliseconds patience = std::chrono::seconds(30))
      : made(num_units) {
    PagerOptions options{.patience = patience};
    for (int64_t unit = 0; unit < num_units; ++unit) {
      options.files.push_back(file(unit));
      options.state_bytes.push_back(kState);
    }
    for (int64_t i = 0; i < num_arenas; ++i) {
      arenas.emplace_back(kState);
      options.arenas.push_back(arenas.back().bytes());
    }
    pager = std::make_unique<Pager>(std::move(options));
  }

  std::filesystem::path file(int64_t unit) const {
    return folder_.path() / std::to_string(unit);
  }

  Pager::Fill fill(int64_t unit) {
    return [this, unit](std::span<std::byte> bytes) {
      ++made[unit];
      std::memset(bytes.data(), 0, bytes.size());
      number(bytes) = unit * 1000;
    };
  }

  int64_t& enter(int64_t unit) {
    return number(arenas[pager->enter(unit, fill(unit))].bytes());
  }

  static int64_t& number(std::span<std::byte> bytes) {
    return *reinterpret_cast<int64_t*>(bytes.data());
  }

  std::vector<Memory> arenas;
  std::vector<int> made;  // how often each was filled

 private:
  TemporaryFolder folder_;

 public:
  std::unique_ptr<Pager> pager;
};

TEST(PagerTest, StatesSurviveWithAnyNumberOfArenasAndAnyOrder) {
  constexpr int64_t kUnits = 5;
  for (const int64_t num_arenas : {1, 2, 3, 5}) {
    Units units(kUnits, num_arenas);
    std::mt19937 random(7);
    std::vector<int64_t> expected;
    for (int64_t unit = 0; unit < kUnits; ++unit) {
      expected.push_back(unit * 1000);
    }
    for (int i = 0; i < 300; ++i) {
      const auto unit = static_cast<int64_t>(random() % kUnits);
      int64_t& number = units.enter(unit);
      ASSERT_EQ(number, expected[unit]) << num_arenas << " arenas, visit " << i;
      // What is announced need not come.
      const auto next = static_cast<int64_t>(random() % kUnits);
      if (next != unit) {
        units.pager->prefetch(next, units.fill(next));
      }
      const bool is_changed = random() % 4 != 0;
      if (is_changed) {
        ++number;
        ++expected[unit];
      }
      units.pager->leave(unit, is_changed ? Use::kChanged : Use::kRead);
    }
    units.pager->drain();
    const PagerStats stats = units.pager->stats();
    EXPECT_EQ(stats.num_in == 0, num_arenas == kUnits);
    EXPECT_EQ(stats.bytes_in, stats.num_in * kState);
    EXPECT_EQ(stats.bytes_out, stats.num_out * kState);
  }
}

TEST(PagerTest, WithTwoArenasTheNextStateIsThereWhenItIsEntered) {
  Units units(3, 2);
  for (int round = 0; round < 3; ++round) {
    for (int64_t unit = 0; unit < 3; ++unit) {
      units.enter(unit);
      const int64_t next = (unit + 1) % 3;
      units.pager->prefetch(next, units.fill(next));
      units.pager->drain();
      const double waited = units.pager->stats().wait_seconds;
      units.pager->leave(unit, Use::kChanged);
      units.enter(next);
      EXPECT_LT(units.pager->stats().wait_seconds - waited, 0.001);
      units.pager->leave(next, Use::kRead);
    }
  }
}

TEST(PagerTest, ATaskSeesTheStateAsItWasLeft) {
  Units units(3, 1);
  int64_t seen = 0;
  std::span<std::byte> arena = units.arenas[0].bytes();
  units.enter(0) = 42;
  units.pager->leave(
      0, Use::kChanged,
      {.copy = [arena] { Units::number(arena) += 1; },
       .task =
           [&seen, arena] {
             std::this_thread::sleep_for(std::chrono::milliseconds(50));
             seen = Units::number(arena);
           }});
  EXPECT_EQ(units.enter(1), 1000);  // in the same memory
  EXPECT_EQ(seen, 43);
}

TEST(PagerTest, StatesMoveWhileATaskTakesItsTime) {
  Units units(3, 3);
  for (const int64_t unit : {0, 1, 2}) {
    units.enter(unit);
    units.pager->leave(unit, Use::kChanged);
  }
  std::promise<void> may_end;
  std::atomic<int> num_done = 0;
  units.enter(0);
  units.pager->leave(0, Use::kChanged, {.task = [&] {
                       may_end.get_future().wait();
                       ++num_done;
                     }});
  units.pager->run("a task of no arena", [&] { ++num_done; });
  EXPECT_EQ(units.enter(1), 1000);
  units.pager->leave(1, Use::kChanged, {.copy = [] {}});
  EXPECT_EQ(units.enter(2), 2000);
  units.pager->leave(2, Use::kRead);
  EXPECT_EQ(num_done, 0);
  may_end.set_value();
  units.pager->drain_tasks();
  EXPECT_EQ(num_done, 2);
  EXPECT_EQ(units.enter(0), 0);
  units.pager->leave(0, Use::kRead);
}

TEST(PagerTest, AFailedTaskIsReportedByTheNextThatWaits) {
  Units units(1, 1);
  units.enter(0);
  units.pager->run("a task", [] { throw DeviceError("no space"); });
  EXPECT_THROW(units.pager->drain_tasks(), DeviceError);
}

TEST(PagerTest, AFinishedStateIsNotWritten) {
  Units units(2, 1);
  units.enter(0) = 5;
  units.pager->leave(0, Use::kFinished);
  units.enter(1);
  EXPECT_FALSE(std::filesystem::exists(units.file(0)));
}

TEST(PagerTest, ADamagedPageIsReportedAndThenMadeAnew) {
  Units units(2, 1);
  units.enter(0) = 5;
  units.pager->leave(0, Use::kChanged);
  units.enter(1);
  units.pager->leave(1, Use::kChanged);
  flip_byte(units.file(0), 100);
  EXPECT_THROW(units.enter(0), PageError);
  EXPECT_EQ(units.enter(0), 0);
  EXPECT_EQ(units.made[0], 2);
  units.pager->leave(0, Use::kChanged);
  EXPECT_EQ(units.enter(1), 1000);
}

TEST(PagerTest, AStateThatIsSpoiledIsMadeAnew) {
  for (const int64_t num_arenas : {1, 2}) {
    Units units(2, num_arenas);
    units.enter(0) = 5;
    units.pager->leave(0, Use::kChanged);
    units.enter(1);
    units.pager->leave(1, Use::kRead);
    EXPECT_EQ(units.enter(0), 5);
    units.pager->leave(0, Use::kSpoiled);
    EXPECT_EQ(units.enter(0), 0);
    EXPECT_EQ(units.made[0], 2);
    units.pager->leave(0, Use::kRead);
  }
}

TEST(PagerTest, StorageThatHangsIsWaitedForAndNamed) {
  const auto said = std::make_shared<std::ostringstream>();
  log().sinks().push_back(
      std::make_shared<spdlog::sinks::ostream_sink_mt>(*said));
  {
    Units units(2, 2, std::chrono::milliseconds(20));
    units.enter(0) = 5;
    units.pager->prefetch(1, [&](std::span<std::byte> bytes) {
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      Units::number(bytes) = 77;
    });
    // Training goes on meanwhile.
    units.pager->leave(0, Use::kChanged);
    EXPECT_EQ(units.enter(1), 77);
    EXPECT_THAT(said->str(), HasSubstr("waited 0 s for"));
    EXPECT_THAT(said->str(), HasSubstr(units.file(1).string()));
    units.pager->leave(1, Use::kRead);
  }
  log().sinks().pop_back();
}

TEST(PagerTest, WhatGoesWrongOnItsThreadIsReported) {
  Units units(3, 2);
  units.enter(0);
  units.pager->prefetch(
      1, [](std::span<std::byte>) { throw DeviceError("no room"); });
  units.pager->leave(0, Use::kChanged);
  EXPECT_THROW(units.enter(1), DeviceError);
  EXPECT_THROW(units.pager->drain(), DeviceError);
}

TEST(PagerTest, AStateThatCannotBeWrittenIsReported) {
  Units units(2, 1);
  std::filesystem::create_directory(units.file(0));
  units.enter(0) = 5;
  units.pager->leave(0, Use::kChanged);
  EXPECT_THROW(units.enter(1), CheckpointError);
}

}  // namespace
}  // namespace dblocks::memory
