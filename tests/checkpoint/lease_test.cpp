// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "dblocks/core/error.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TemporaryFolder;
using testing::write_bytes;

// What a child process is told when it tries to take the lease; "" if it got
// it.
std::string refusal_in_child(const std::filesystem::path& folder) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string message =
        message_of<CheckpointError>([&] { Lease{folder}; });
    const ssize_t ignored = ::write(ends[1], message.data(), message.size());
    ::_exit(ignored < 0);
  }
  ::close(ends[1]);
  std::string message;
  char piece[256];
  ssize_t count = 0;
  while ((count = ::read(ends[0], piece, sizeof(piece))) > 0) {
    message.append(piece, static_cast<size_t>(count));
  }
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return message;
}

TEST(LeaseTest, ASecondProcessIsRefusedAndToldWhoHoldsIt) {
  const TemporaryFolder folder;
  auto lease = std::make_unique<Lease>(folder.path());
  char host[256] = {};
  ::gethostname(host, sizeof(host) - 1);
  EXPECT_THAT(refusal_in_child(folder.path()),
              AllOf(HasSubstr("[lease]"), HasSubstr(folder.path().string()),
                    HasSubstr("process " + std::to_string(::getpid())),
                    HasSubstr(host)));
  lease.reset();
  EXPECT_EQ(refusal_in_child(folder.path()), "");
}

TEST(LeaseTest, TheSameProcessIsRefusedToo) {
  const TemporaryFolder folder;
  const Lease lease(folder.path());
  EXPECT_THROW(Lease{folder.path()}, CheckpointError);
}

TEST(LeaseTest, AKilledHolderLeavesTheLeaseFree) {
  const TemporaryFolder folder;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Lease lease(folder.path());
    const ssize_t ignored = ::write(ends[1], "x", 1);
    ::pause();
    ::_exit(ignored < 0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_THAT(message_of<CheckpointError>([&] { Lease{folder.path()}; }),
              HasSubstr("process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(Lease(folder.path()).token(), 2u);
}

TEST(LeaseTest, EachHolderGetsALargerToken) {
  const TemporaryFolder folder;
  for (uint64_t expected = 1; expected <= 12; ++expected) {
    EXPECT_EQ(Lease(folder.path()).token(), expected);
  }
}

TEST(LeaseTest, ADamagedFileDoesNotSetTheTokenBack) {
  const TemporaryFolder folder;
  const uint64_t before = Lease(folder.path()).token();
  for (const char* damage : {"garbage", "{\"token\":-1}", "[", "{\"token\":{}",
                             "{\"token\":18446744073709551615}"}) {
    write_bytes(folder / kLeaseName, damage);
    EXPECT_GT(Lease(folder.path()).token(), before);
  }
}

TEST(LeaseTest, CreatesAMissingFolderAndMovesWithItsObject) {
  const TemporaryFolder root;
  const auto folder = root.path() / "blocks" / "0";
  Lease first(folder);
  Lease second = std::move(first);
  EXPECT_THROW(Lease{folder}, CheckpointError);
}

TEST(LeaseTest, AFolderThatCannotExistIsNamed) {
  const TemporaryFolder root;
  write_bytes(root / "file", "");
  EXPECT_THAT(
      message_of<CheckpointError>([&] { Lease{root.path() / "file" / "0"}; }),
      HasSubstr("file"));
}

}  // namespace
}  // namespace dblocks::checkpoint
