// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/json_lines.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

class JsonLinesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "dblocks_log_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ / "log.jsonl";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string text() const {
    std::ostringstream out;
    out << std::ifstream(path_).rdbuf();
    return out.str();
  }
  void set_text(const std::string& text) const { std::ofstream(path_) << text; }

  fs::path folder_;
  fs::path path_;
};

TEST_F(JsonLinesTest, EntriesAreLinesInTheirOwnKeyOrder) {
  auto log = JsonLinesLog::create(path_);
  log.write({{"step", 1}, {"loss", 0.5}});
  log.write({{"step", 2}, {"a", "x\ny"}});
  EXPECT_EQ(text(),
            "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"a\":\"x\\ny\"}\n");
}

TEST_F(JsonLinesTest, CreatingEmptiesAnOlderLog) {
  set_text("{\"step\":1}\n");
  JsonLinesLog::create(path_);
  EXPECT_EQ(text(), "");
}

TEST_F(JsonLinesTest, ResumedLogEqualsAnUninterruptedOne) {
  const auto run = [](JsonLinesLog& log, int from, int to) {
    for (int step = from; step <= to; ++step) {
      log.write({{"step", step}, {"loss", 1.0 / step}});
    }
  };
  {
    auto log = JsonLinesLog::create(path_);
    run(log, 1, 10);
  }
  const std::string whole = text();
  {
    auto log = JsonLinesLog::create(path_);
    run(log, 1, 7);  // killed here; the checkpoint is of step 4
  }
  auto log = JsonLinesLog::resume(path_, 4);
  run(log, 5, 10);
  EXPECT_EQ(text(), whole);
}

TEST_F(JsonLinesTest, HalfALineAndRubbishAreCutOff) {
  const std::string good = "{\"step\":1}\n{\"step\":2}\n";
  for (const std::string tail :
       {"{\"step\":3", "{\"step\":2}", "rubbish\n", "[]\n", "{\"loss\":1}\n",
        "{\"step\":\"2\"}\n", "\n\n"}) {
    set_text(good + tail);
    JsonLinesLog::resume(path_, 5);
    EXPECT_EQ(text(), good) << "tail: " << tail;
  }
}

TEST_F(JsonLinesTest, LinesBeforeTheLastGoodOneStay) {
  const std::string kept = "{\"event\":\"start\"}\n{\"step\":1}\n";
  set_text(kept + "{\"step\":9}\n");
  JsonLinesLog::resume(path_, 3);
  EXPECT_EQ(text(), kept);
}

TEST_F(JsonLinesTest, MissingLogIsStartedOnResume) {
  auto log = JsonLinesLog::resume(path_, 100);
  log.write({{"step", 101}});
  EXPECT_EQ(text(), "{\"step\":101}\n");
}

TEST_F(JsonLinesTest, OddValuesStillGiveValidJson) {
  auto log = JsonLinesLog::create(path_);
  log.write({{"loss", NAN}, {"name", "\xff"}});
  const auto entry = nlohmann::json::parse(text());
  EXPECT_TRUE(entry["loss"].is_null());
  EXPECT_EQ(entry["name"], "\xef\xbf\xbd");
}

TEST_F(JsonLinesTest, FolderThatIsMissingIsACheckpointError) {
  EXPECT_THROW(JsonLinesLog::create(folder_ / "no" / "log.jsonl"),
               CheckpointError);
}

// A limit on the size of files cuts a write short just as a full disk does.
TEST_F(JsonLinesTest, FullDiskIsADeviceErrorAndLeavesNoHalfLine) {
  auto log = JsonLinesLog::create(path_);
  log.write({{"step", 1}});
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit tight{.rlim_cur = 30, .rlim_max = old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_THROW(log.write({{"step", 2}, {"text", std::string(100, 'x')}}),
               DeviceError);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(text(), "{\"step\":1}\n");
  log.write({{"step", 2}});
  EXPECT_EQ(text(), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(JsonLinesTest, MovedLogKeepsWriting) {
  auto first = JsonLinesLog::create(path_);
  JsonLinesLog second = std::move(first);
  second.write({{"step", 1}});
  second.sync();
  EXPECT_EQ(text(), "{\"step\":1}\n");
}

}  // namespace
}  // namespace dblocks::report
