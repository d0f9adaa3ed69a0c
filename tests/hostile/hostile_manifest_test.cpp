// SPDX-License-Identifier: Apache-2.0
// Each case replaces one piece of a valid manifest and seals it again, so that
// the checksum is not what refuses it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dblocks/checkpoint/manifest.h"
#include "dblocks/core/error.h"
#include "tests/checkpoint/sample.h"
#include "tests/checkpoint/temporary_folder.h"
#include "tests/hostile/limits.h"

namespace dblocks::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TemporaryFolder;
using testing::write_bytes;

// The text with the checksum that docs/formats/checkpoint.md asks for.
std::string sealed(const std::string& body) {
  return body + "  \"checksum\": \"" + hash_bytes(body).hex() + "\"\n}\n";
}

std::string valid_body() {
  Manifest manifest = testing::sample_manifest();
  manifest.step = 12'000;
  manifest.files = {{"weights.safetensors", 8, hash_bytes("w")},
                    {"state.json", 2, hash_bytes("{}")}};
  const std::string text = manifest_text(manifest);
  return text.substr(0, text.find("  \"checksum\""));
}

struct Case {
  std::string name;
  std::string from;  // this piece of the valid text ...
  std::string to;    // ... becomes this
  std::string reason;
};

void PrintTo(const Case& value, std::ostream* out) {
  *out << value.name;
}

std::vector<Case> version_cases() {
  return {
      {"NewerVersion", "\"version\": 1", "\"version\": 2",
       "found version 2, this program reads version 1"},
      {"VersionZero", "\"version\": 1", "\"version\": 0", "found version 0"},
      {"VersionIsAString", "\"version\": 1", "\"version\": \"1\"",
       "\"version\""},
      {"NoVersion", "  \"version\": 1,\n", "", "\"version\""},
      {"OtherFormat", "\"dblocks-checkpoint\"", "\"other\"", "\"format\""},
  };
}

std::vector<Case> key_cases() {
  return {
      {"UnknownKey", "\"step\"", "\"extra\": 1, \"step\"",
       "unknown key \"extra\""},
      {"DuplicateKey", "\"step\"", "\"step\": 1, \"step\"",
       "duplicate key \"step\""},
      {"MissingKey", "  \"step\": 12000,\n", "", "\"step\""},
      {"UnknownFileKey", "\"size_bytes\"", "\"extra\": 1, \"size_bytes\"",
       "unknown key \"files[0].extra\""},
      {"DuplicateFileKey", "\"size_bytes\"",
       "\"size_bytes\": 1, \"size_bytes\"", "duplicate key \"size_bytes\""},
      {"DuplicateFile", "\"state.json\"", "\"weights.safetensors\"",
       "\"files[1].name\""},
      {"FileIsAString", "\"files\": [", "\"files\": [\"x\", ", "files[0]"},
      {"FilesIsAnObject", "\"files\": [", "\"files\": {}, \"x\": [", ""},
      {"Deep", "\"files\": [", "\"files\": [[[[[", "deeper than 3 levels"},
      {"VeryDeep", "\"files\": [", "\"files\": " + std::string(900'000, '['),
       "deeper than 3 levels"},
  };
}

std::string quoted(size_t count, char letter) {
  std::string text(count + 2, letter);
  text.front() = text.back() = '"';
  return text;
}

std::vector<Case> value_cases() {
  const std::string size = "\"size_bytes\": 8";
  const std::string name = "\"weights.safetensors\"";
  return {
      {"NegativeSize", size, "\"size_bytes\": -8", "\"files[0].size_bytes\""},
      {"FractionalSize", size, "\"size_bytes\": 8.5",
       "\"files[0].size_bytes\""},
      {"SizeOf2To63", size, "\"size_bytes\": 9223372036854775808",
       "\"files[0].size_bytes\""},
      {"SizeOf2To64", size, "\"size_bytes\": 18446744073709551616",
       "\"files[0].size_bytes\""},
      {"NumberBeyondDouble",
       "\"sigma_high\": ", "\"sigma_high\": 1e999, \"x\": ", "out of range"},
      {"SigmaNegative", "\"sigma_low\": ", "\"sigma_low\": -", "\"sigma_low\""},
      {"SigmaNull", "\"sigma_low\": 0.183", "\"sigma_low\": null",
       "\"sigma_low\""},
      {"IntervalReversed", "\"sigma_low\": 0.183", "\"sigma_low\": 183",
       "\"sigma_high\""},
      {"BlockBeyondTheLast", "\"block\": 1", "\"block\": 3", "\"block\""},
      {"NoBlocks", "\"num_blocks\": 3", "\"num_blocks\": 0", "\"num_blocks\""},
      {"LayersReversed", "\"end_layer\": 8", "\"end_layer\": 3",
       "\"end_layer\""},
      {"StepOf2To63", "\"step\": 12000", "\"step\": 9223372036854775808",
       "\"step\""},
      {"UnknownUnit", "\"unit\": \"block\"", "\"unit\": \"cube\"", "\"unit\""},
      {"UpperCaseHash", "\"hash\": \"", "\"hash\": \"A", "\"files[0].hash\""},
      {"ParentFolder", name, "\"../weights.safetensors\"", "\"files[0].name\""},
      {"AbsolutePath", name, "\"/etc/passwd\"", "\"files[0].name\""},
      {"SubFolder", name, "\"a/b\"", "\"files[0].name\""},
      {"HiddenFile", name, "\".hidden\"", "\"files[0].name\""},
      {"NoName", name, "\"\"", "\"files[0].name\""},
      {"ZeroInName", name, "\"a\\u0000b\"", "\"files[0].name\""},
      {"ManifestItself", name, "\"manifest.json\"", "\"files[0].name\""},
      {"LongName", name, quoted(300, 'n'), "\"files[0].name\""},
      {"LongFingerprint", "\"00ff\"", quoted(900'000, 'f'),
       "\"recipe_fingerprint\""},
  };
}

class HostileManifestTest : public ::testing::TestWithParam<Case> {};

TEST_P(HostileManifestTest, IsRefusedQuicklyAndTheKeyNamed) {
  std::string body = valid_body();
  const size_t at = body.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  body.replace(at, GetParam().from.size(), GetParam().to);
  const TemporaryFolder folder;
  write_bytes(folder / "manifest.json", sealed(body));

  testing::start_counting();
  const std::string message = message_of<CheckpointError>(
      [&] { read_manifest(real_file_system(), folder.path()); });
  const testing::Cost cost = testing::cost_so_far();
  EXPECT_THAT(message, AllOf(HasSubstr("[manifest]"),
                             HasSubstr((folder / "manifest.json").string()),
                             HasSubstr(GetParam().reason)));
  EXPECT_LT(message.size(), 1000u);
  EXPECT_LE(cost.seconds, testing::kMaxSeconds);
  EXPECT_LE(cost.peak_bytes, testing::kMaxGrowthBytes);
}

std::string name_of(const ::testing::TestParamInfo<Case>& test) {
  return test.param.name;
}

INSTANTIATE_TEST_SUITE_P(Version,
                         HostileManifestTest,
                         ::testing::ValuesIn(version_cases()),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Keys,
                         HostileManifestTest,
                         ::testing::ValuesIn(key_cases()),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Values,
                         HostileManifestTest,
                         ::testing::ValuesIn(value_cases()),
                         name_of);

TEST(HostileManifestFileTest, TheUnchangedOneIsRead) {
  EXPECT_EQ(parse_manifest(sealed(valid_body()), "m").step, 12'000);
}

TEST(HostileManifestFileTest, OneThatIsTooLongIsNotLoaded) {
  const TemporaryFolder folder;
  const auto path = folder / "manifest.json";
  write_bytes(path, "{}");
  std::filesystem::resize_file(path, uint64_t{1} << 40);
  testing::start_counting();
  EXPECT_THAT(
      message_of<CheckpointError>(
          [&] { read_manifest(real_file_system(), folder.path()); }),
      AllOf(HasSubstr("at most 1000000 bytes"), HasSubstr(path.string())));
  EXPECT_LE(testing::cost_so_far().peak_bytes, testing::kMaxGrowthBytes);
}

TEST(HostileManifestFileTest, AWrongChecksumIsNamed) {
  const std::string text =
      valid_body() + "  \"checksum\": \"" + std::string(32, '0') + "\"\n}\n";
  EXPECT_THAT(message_of<CheckpointError>([&] { parse_manifest(text, "m"); }),
              HasSubstr("checksum"));
}

}  // namespace
}  // namespace dblocks::checkpoint
