// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/event_log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

namespace fs = std::filesystem;

class EventLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "dblocks_events_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string text(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }

  static void log_steps(EventLog& log, int64_t from, int64_t to) {
    for (int64_t step = from; step <= to; ++step) {
      EventSummary summary;
      summary.add_scalar("loss", 1.0f / static_cast<float>(step));
      log.write(step, summary);
    }
  }

  /// Steps of the summaries in all files; fails unless files end with a record.
  std::vector<int64_t> steps() const {
    std::vector<int64_t> steps;
    for (const fs::path& path : event_files(folder_)) {
      const std::string all = text(path);
      std::string_view rest = all;
      while (const auto data = take_record(rest)) {
        const auto event = read_event(*data);
        if (event && event->has_summary) {
          steps.push_back(event->step);
        }
      }
      EXPECT_TRUE(rest.empty()) << path;
    }
    return steps;
  }

  fs::path folder_;
};

TEST_F(EventLogTest, AKilledAndResumedRunShowsEveryStepOnce) {
  {
    auto log = EventLog::resume(folder_, 0);
    log_steps(log, 1, 7);  // killed here; the checkpoint is of step 4
  }
  {
    auto log = EventLog::resume(folder_, 4);
    log_steps(log, 5, 6);  // killed again, before another checkpoint
  }
  auto log = EventLog::resume(folder_, 4);
  log_steps(log, 5, 8);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  // A session of which nothing is left leaves no file, and its name is not
  // used again.
  ASSERT_EQ(event_files(folder_).size(), 2u);
  EXPECT_EQ(event_files(folder_)[1].filename(),
            "events.out.tfevents.0000000002.dblocks");
}

TEST_F(EventLogTest, ResumingBeforeTheFirstCheckpointStartsAnew) {
  {
    auto log = EventLog::resume(folder_, 0);
    log_steps(log, 1, 3);
  }
  auto log = EventLog::resume(folder_, 0);
  EXPECT_TRUE(steps().empty());
  EXPECT_EQ(event_files(folder_).size(), 1u);
}

TEST_F(EventLogTest, HalfARecordAndDamageAreCutOff) {
  {
    auto log = EventLog::resume(folder_, 0);
    log_steps(log, 1, 3);
  }
  const fs::path path = event_files(folder_).front();
  const std::string good = text(path);
  EventSummary summary;
  summary.add_scalar("loss", 1);
  const std::string next = event_record(summary_event(0, 4, summary));
  std::string damaged = next;
  damaged[damaged.size() - 1] ^= 1;
  for (const std::string& tail :
       {next.substr(0, 5), next.substr(0, next.size() - 1), damaged,
        std::string(20, '\0'), event_record("no event")}) {
    std::ofstream(path, std::ios::binary) << good << tail;
    EventLog::resume(folder_, 10);
    EXPECT_EQ(text(path), good) << tail.size();
  }
}

TEST_F(EventLogTest, FilesOfOthersAreLeftAlone) {
  const fs::path other = folder_ / "events.out.tfevents.1700000000.host.1.0";
  std::ofstream(other) << "not ours";
  auto log = EventLog::resume(folder_, 0);
  EXPECT_EQ(text(other), "not ours");
  EXPECT_EQ(event_files(folder_).size(), 1u);
}

TEST_F(EventLogTest, FolderThatIsMissingIsACheckpointError) {
  EXPECT_THROW(EventLog::resume(folder_ / "no", 0), CheckpointError);
  EXPECT_TRUE(event_files(folder_ / "no").empty());
}

// A limit on the size of files cuts a write short just as a full disk does.
TEST_F(EventLogTest, FullDiskIsADeviceErrorAndLeavesNoHalfRecord) {
  auto log = EventLog::resume(folder_, 0);
  log_steps(log, 1, 1);
  const auto size = fs::file_size(event_files(folder_).front());
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit tight{.rlim_cur = size + 10, .rlim_max = old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_THROW(log_steps(log, 2, 2), DeviceError);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  log_steps(log, 2, 2);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2}));
}

}  // namespace
}  // namespace dblocks::report
