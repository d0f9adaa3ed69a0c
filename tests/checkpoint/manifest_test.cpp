// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "dblocks/core/error.h"
#include "tests/checkpoint/sample.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using testing::read_bytes;
using ::testing::SizeIs;
using testing::TemporaryFolder;
using testing::write_bytes;

TEST(ManifestTest, SurvivesItsText) {
  Manifest manifest = testing::sample_manifest();
  manifest.step = 12'000;
  manifest.sigma_low = 0.1 + 0.2;  // needs all 17 digits
  manifest.files = {{"weights.safetensors", uint64_t{1} << 62, hash_bytes("w")},
                    {"state.json", 0, hash_bytes("")}};
  for (const UnitKind unit :
       {UnitKind::kBlock, UnitKind::kShared, UnitKind::kModel}) {
    manifest.unit = unit;
    EXPECT_EQ(parse_manifest(manifest_text(manifest), "m"), manifest);
  }
}

TEST(ManifestTest, EveryFlippedBitOfTheTextIsFound) {
  const std::string text = manifest_text(testing::sample_manifest());
  for (size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_THAT(message_of<CheckpointError>(
                    [&] { parse_manifest(damaged, "here/manifest.json"); }),
                HasSubstr("here/manifest.json"))
        << damaged;
  }
}

TEST(ManifestTest, EveryTruncatedTextIsRefused) {
  const std::string text = manifest_text(testing::sample_manifest());
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_THROW(parse_manifest(text.substr(0, length), "m"), CheckpointError)
        << length;
  }
}

TEST(ManifestTest, DoesNotWriteWhatItWouldNotRead) {
  const auto refusal = [](auto change) {
    Manifest manifest = testing::sample_manifest();
    change(manifest);
    return message_of<CheckpointError>([&] { manifest_text(manifest); });
  };
  EXPECT_THAT(refusal([](Manifest& m) { m.block = 3; }),
              HasSubstr("\"block\""));
  EXPECT_THAT(refusal([](Manifest& m) { m.step = -1; }), HasSubstr("\"step\""));
  EXPECT_THAT(refusal([](Manifest& m) { m.sigma_high = 0.1; }),
              HasSubstr("\"sigma_high\""));
  EXPECT_THAT(refusal([](Manifest& m) {
                m.sigma_low = std::numeric_limits<double>::quiet_NaN();
              }),
              HasSubstr("\"sigma_low\""));
  EXPECT_THAT(refusal([](Manifest& m) {
                m.files = {{"../w", 1, {}}};
              }),
              HasSubstr("\"files[0].name\""));
  EXPECT_THAT(refusal([](Manifest& m) { m.recipe_fingerprint = "\xff"; }),
              HasSubstr("\"recipe_fingerprint\""));
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest()
      : store_(real_file_system(), root_.path()),
        folder_(testing::commit_sample(store_, 7).folder) {}

  std::string problem() {
    return message_of<CheckpointError>(
        [&] { verify_checkpoint(real_file_system(), folder_); });
  }

  TemporaryFolder root_;
  CheckpointStore store_;
  std::filesystem::path folder_;
};

TEST_F(VerifyTest, EveryDamagedByteOfEveryFileIsFoundAndTheFileNamed) {
  ASSERT_EQ(problem(), "");
  for (const std::string& name : real_file_system().list(folder_)) {
    const auto path = folder_ / name;
    const std::string whole = read_bytes(path);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
      write_bytes(path, damaged);
      EXPECT_THAT(problem(), HasSubstr(path.string())) << "byte " << i;
    }
    write_bytes(path, whole);
  }
  EXPECT_EQ(problem(), "");
}

TEST_F(VerifyTest, EveryTruncationOfEveryFileIsFoundAndTheFileNamed) {
  for (const std::string& name : real_file_system().list(folder_)) {
    const auto path = folder_ / name;
    const std::string whole = read_bytes(path);
    for (size_t length = 0; length < whole.size(); ++length) {
      write_bytes(path, whole.substr(0, length));
      EXPECT_THAT(problem(), HasSubstr(path.string())) << length;
    }
    write_bytes(path, whole);
  }
}

TEST_F(VerifyTest, NamesEveryFileThatIsWrong) {
  std::filesystem::remove(folder_ / kStateName);
  write_bytes(folder_ / kWeightsName, "short");
  EXPECT_THAT(problem(),
              AllOf(HasSubstr("missing file"), HasSubstr("state.json"),
                    HasSubstr("weights.safetensors"), HasSubstr("found 5")));
  const Manifest manifest = read_manifest(real_file_system(), folder_);
  EXPECT_THAT(find_damage(real_file_system(), folder_, manifest), SizeIs(2));
}

TEST_F(VerifyTest, AFolderInPlaceOfAFileIsDamage) {
  std::filesystem::remove(folder_ / kStateName);
  std::filesystem::create_directory(folder_ / kStateName);
  EXPECT_THAT(problem(), HasSubstr("state.json"));
}

}  // namespace
}  // namespace dblocks::checkpoint
