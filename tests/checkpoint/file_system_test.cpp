// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/file_system.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "dblocks/core/error.h"
#include "dblocks/core/mapped_file.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

TEST(FileSystemTest, WritesListsRenamesReadsAndRemoves) {
  const TemporaryFolder root;
  FileSystem& disk = real_file_system();
  const auto folder = root.path() / "a" / "b";
  disk.make_folders(folder);
  disk.make_folders(folder);
  disk.write_file(folder / "two", "22");
  disk.write_file(folder / "one", "a longer text");
  disk.write_file(folder / "one", "1");
  disk.rename(folder / "two", folder / "second");
  disk.sync_folder(folder);
  EXPECT_THAT(disk.list(folder), ElementsAre("one", "second"));
  EXPECT_EQ(disk.read_file(folder / "one", 1), "1");
  EXPECT_EQ(disk.file_size(folder / "second"), 2u);
  disk.remove_all(root.path() / "a");
  disk.remove_all(root.path() / "a");
  EXPECT_FALSE(disk.exists(folder));
}

TEST(FileSystemTest, ErrorsNameThePathAndTheReason) {
  const TemporaryFolder root;
  FileSystem& disk = real_file_system();
  const auto missing = root / "missing";
  const auto names_it = AllOf(HasSubstr(missing.string()),
                              HasSubstr("No such file or directory"));
  EXPECT_THAT(message_of<CheckpointError>([&] { disk.read_file(missing, 10); }),
              names_it);
  EXPECT_THAT(message_of<CheckpointError>([&] { disk.list(missing); }),
              names_it);
  EXPECT_THAT(
      message_of<CheckpointError>([&] { disk.rename(missing, root / "x"); }),
      names_it);
  EXPECT_THAT(message_of<CheckpointError>([&] { disk.sync_folder(missing); }),
              names_it);
  EXPECT_THAT(
      message_of<CheckpointError>([&] { disk.create(missing / "file"); }),
      HasSubstr((missing / "file").string()));
  write_bytes(root / "file", "12345");
  EXPECT_THAT(message_of<CheckpointError>(
                  [&] { disk.make_folders(root.path() / "file" / "below"); }),
              AllOf(HasSubstr("file"), HasSubstr("cannot create folder")));
  EXPECT_THAT(
      message_of<CheckpointError>([&] { disk.read_file(root / "file", 4); }),
      AllOf(HasSubstr("at most 4 bytes"), HasSubstr("found 5")));
}

TEST(FileSystemTest, AFullDeviceIsADeviceError) {
  const auto file = real_file_system().create("/dev/full");
  const std::byte byte{1};
  EXPECT_THAT(message_of<DeviceError>([&] {
                file->append({&byte, 1});
              }),
              AllOf(HasSubstr("[file_system]"), HasSubstr("no space"),
                    HasSubstr("/dev/full")));
}

TEST(FileSystemTest, AReadOnlyFolderIsACheckpointError) {
  const TemporaryFolder root;
  const auto file = root / "file";
  ASSERT_EQ(::chmod(root.path().c_str(), 0555), 0);
  const bool is_root = ::geteuid() == 0;
  const std::string message = message_of<CheckpointError>(
      [&] { real_file_system().create(is_root ? "/proc/version/x" : file); });
  ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
  EXPECT_THAT(message, HasSubstr("cannot create"));
}

TEST(FileSystemTest, NeitherFoldersNorPipesAreReadAsFiles) {
  const TemporaryFolder root;
  const auto pipe = root / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(message_of<CheckpointError>([&] { MappedFile{pipe}; }),
              AllOf(HasSubstr("regular file"), HasSubstr(pipe.string())));
  EXPECT_THAT(message_of<CheckpointError>([&] { MappedFile{root.path()}; }),
              HasSubstr("regular file"));
}

TEST(FileSystemTest, MapsFilesEmptyOnesToo) {
  const TemporaryFolder root;
  write_bytes(root / "file", "abc");
  write_bytes(root / "empty", "");
  MappedFile moved = [&] { return MappedFile(root / "file"); }();
  EXPECT_EQ(std::to_integer<char>(moved.bytes()[2]), 'c');
  EXPECT_TRUE(MappedFile(root / "empty").bytes().empty());
}

// Reads a named pipe slowly, so that writes into it block and get interrupted.
std::string drain(const std::filesystem::path& pipe) {
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
  const int descriptor = ::open(pipe.c_str(), O_RDONLY);
  std::string text;
  char piece[3001];
  ssize_t count = 0;
  while ((count = ::read(descriptor, piece, sizeof(piece))) > 0) {
    text.append(piece, static_cast<size_t>(count));
    ::usleep(100);
  }
  ::close(descriptor);
  return text;
}

TEST(FileSystemTest, InterruptedAndShortWritesAreCompleted) {
  const TemporaryFolder root;
  const auto pipe = root / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string text(2'000'003, '\0');
  for (size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>(i * 31 % 251);
  }
  std::string received;
  std::thread reader([&] { received = drain(pipe); });
  auto file = real_file_system().create(pipe);

  static volatile sig_atomic_t interruptions;
  interruptions = 0;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { interruptions = interruptions + 1; };
  ::sigaction(SIGALRM, &action, &before);  // without SA_RESTART
  const itimerval every{{0, 500}, {0, 500}};
  ::setitimer(ITIMER_REAL, &every, nullptr);
  file->append(std::as_bytes(std::span(text)));
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);

  file.reset();
  reader.join();
  EXPECT_GT(interruptions, 5);
  EXPECT_TRUE(received == text);
}

}  // namespace
}  // namespace dblocks
