// SPDX-License-Identifier: Apache-2.0
// Damage by chance rather than malice: flipped bits and files cut short. Every
// one is found when the file is read, and the file named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "dblocks/checkpoint/store.h"
#include "dblocks/core/error.h"
#include "dblocks/data/cifar.h"
#include "dblocks/data/idx.h"
#include "tests/checkpoint/sample.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks {
namespace {

using checkpoint::CheckpointStore;
using ::testing::HasSubstr;
using testing::message_of;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

#if defined(__SANITIZE_ADDRESS__)
constexpr int kRandomBits = 2'000;
#else
constexpr int kRandomBits = 100'000;
#endif

const std::vector<std::string> kFiles = {
    checkpoint::kWeightsName, checkpoint::kOptimizerName,
    checkpoint::kStateName, std::string(checkpoint::kManifestName)};

class DamagedCheckpointTest : public ::testing::TestWithParam<std::string> {
 protected:
  DamagedCheckpointTest() {
    CheckpointStore store(scratch_file_system(), root_ / "checkpoints");
    folder_ = testing::commit_sample(store, 1).folder;
    file_ = folder_ / GetParam();
    content_ = read_bytes(file_);
  }

  // What loading says when the file holds `content`; "" if it is content.
  std::string message_for(const std::string& content) {
    write_bytes(file_, content);
    return message_of<CheckpointError>(
        [&] { checkpoint::verify_checkpoint(scratch_file_system(), folder_); });
  }

  TemporaryFolder root_;
  std::filesystem::path folder_;
  std::filesystem::path file_;
  std::string content_;
};

TEST_P(DamagedCheckpointTest, IsWholeToBeginWith) {
  EXPECT_EQ(message_for(content_), "");
}

TEST_P(DamagedCheckpointTest, EveryFlippedBitIsFoundAndTheFileNamed) {
  for (size_t bit = 0; bit < 8 * content_.size(); ++bit) {
    std::string damaged = content_;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    ASSERT_THAT(message_for(damaged), HasSubstr(GetParam())) << "bit " << bit;
  }
}

TEST_P(DamagedCheckpointTest, EveryLengthIsFoundAndTheFileNamed) {
  for (size_t length = 0; length < content_.size(); ++length) {
    ASSERT_THAT(message_for(content_.substr(0, length)), HasSubstr(GetParam()))
        << "length " << length;
  }
  EXPECT_THAT(message_for(content_ + "x"), HasSubstr(GetParam()));
}

TEST_P(DamagedCheckpointTest, AMissingFileIsNamed) {
  std::filesystem::remove(file_);
  EXPECT_THAT(message_of<CheckpointError>([&] {
                checkpoint::verify_checkpoint(scratch_file_system(), folder_);
              }),
              HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(File,
                         DamagedCheckpointTest,
                         ::testing::ValuesIn(kFiles),
                         [](const auto& test) {
                           return test.param.substr(0, test.param.find('.'));
                         });

TEST(DamagedLargeFileTest, RandomFlippedBitsAreFoundAndTheFileNamed) {
  const TemporaryFolder root;
  CheckpointStore store(scratch_file_system(), root / "checkpoints");
  const testing::SampleCheckpoint sample(1, size_t{1} << 14);
  const auto found =
      store.commit(1, sample.files(), testing::sample_manifest());
  const auto path = found.folder / checkpoint::kWeightsName;
  const size_t size = read_bytes(path).size();
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::mt19937_64 random(1);
  // Flips a bit of the file where it lies; the second time puts it right.
  const auto flip = [&](size_t bit) {
    file.seekg(static_cast<std::streamoff>(bit / 8));
    const int byte = file.get() ^ (1 << bit % 8);
    file.seekp(static_cast<std::streamoff>(bit / 8));
    file.put(static_cast<char>(byte)).flush();
  };
  for (int i = 0; i < kRandomBits; ++i) {
    const size_t bit = random() % (8 * size);
    flip(bit);
    const auto damage = checkpoint::find_damage(scratch_file_system(),
                                                found.folder, found.manifest);
    ASSERT_EQ(damage.size(), 1u) << "bit " << bit;
    ASSERT_THAT(damage[0], HasSubstr(checkpoint::kWeightsName));
    flip(bit);
  }
  EXPECT_TRUE(checkpoint::find_damage(scratch_file_system(), found.folder,
                                      found.manifest)
                  .empty());
}

TEST(DamagedSafetensorsTest, EveryLengthIsRefusedAndTheFileNamed) {
  const TemporaryFolder root;
  CheckpointStore store(scratch_file_system(), root / "checkpoints");
  const auto found = testing::commit_sample(store, 1);
  const std::string content =
      read_bytes(found.folder / checkpoint::kWeightsName);
  const auto path = root / "cut.safetensors";
  for (size_t length = 0; length < content.size(); ++length) {
    write_bytes(path, content.substr(0, length));
    ASSERT_THAT(
        message_of<CheckpointError>([&] { checkpoint::SafetensorsFile{path}; }),
        HasSubstr(path.string()))
        << "length " << length;
  }
}

TEST(DamagedDataTest, EveryLengthOfAnIdxFileIsRefusedAndTheFileNamed) {
  const TemporaryFolder root;
  const auto path = root / "images";
  std::string content("\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x04", 16);
  content += std::string(32, 'p');
  for (size_t length = 0; length < content.size(); ++length) {
    write_bytes(path, content.substr(0, length));
    ASSERT_THAT(message_of<DataError>([&] {
                  data::read_idx(path, {4, 4});
                }),
                HasSubstr(path.string()))
        << "length " << length;
  }
  write_bytes(path, content);
  EXPECT_EQ(data::read_idx(path, {4, 4}).size(), 32u);
}

TEST(DamagedDataTest, EveryLengthOfACifarFileIsRefusedAndTheFileNamed) {
  const TemporaryFolder root;
  const auto path = root / "batch.bin";
  const std::string content(3073, '\1');
  for (size_t length = 0; length < content.size(); ++length) {
    write_bytes(path, content.substr(0, length));
    ASSERT_THAT(message_of<DataError>([&] {
                  data::read_cifar({&path, 1}, 1, 10);
                }),
                HasSubstr(path.string()))
        << "length " << length;
  }
  write_bytes(path, content);
  EXPECT_EQ(data::read_cifar({&path, 1}, 1, 10).labels.size(), 1u);
}

}  // namespace
}  // namespace dblocks
