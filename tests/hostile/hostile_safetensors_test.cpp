// SPDX-License-Identifier: Apache-2.0
// Each case is a file that must be refused and, where there is one, a file that
// differs in the point in question alone and must be read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "tests/checkpoint/temporary_folder.h"
#include "tests/hostile/limits.h"

namespace dblocks::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TemporaryFolder;
using testing::write_bytes;

std::string with_length(uint64_t length,
                        const std::string& header,
                        size_t data_bytes = 0) {
  std::string file;
  for (int i = 0; i < 8; ++i) {
    file.push_back(static_cast<char>(length >> 8 * i & 0xff));
  }
  return file + header + std::string(data_bytes, 'd');
}

std::string file_of(const std::string& header, size_t data_bytes = 0) {
  return with_length(header.size(), header, data_bytes);
}

// A header entry.
std::string entry(const std::string& name,
                  const std::string& dtype,
                  const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
         "],\"data_offsets\":[" + offsets + "]}";
}

std::string f32(const std::string& name,
                const std::string& shape,
                const std::string& offsets) {
  return entry(name, "F32", shape, offsets);
}

std::string repeated(const std::string& text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) {
    all += text;
  }
  return all;
}

std::string metadata_of(size_t count, const std::string& value) {
  std::string json = "{\"__metadata__\":{";
  for (size_t i = 0; i < count; ++i) {
    json += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":" + value;
  }
  return json + "}}";
}

std::string many_tensors(size_t count, const std::string& last) {
  std::string json = "{";
  for (size_t i = 0; i + 1 < count; ++i) {
    json += entry(std::to_string(i), "U8", "1",
                  std::to_string(i) + "," + std::to_string(i + 1)) +
            ",";
  }
  return json + last + "}";
}

struct Case {
  std::string name;
  std::string hostile;
  std::string reason;  // part of the message
  std::string valid;   // "" where no single change makes the file valid
};

void PrintTo(const Case& value, std::ostream* out) {
  *out << value.name;
}

const std::string kValid = "{" + f32("a", "2", "0,8") + "}";

std::vector<Case> length_cases() {
  const std::string valid = file_of(kValid, 8);
  return {
      {"EmptyFile", "", "more than 8 bytes", valid},
      {"LengthAlone", with_length(0, ""), "more than 8 bytes", file_of("{}")},
      {"NoHeader", with_length(0, "", 8), "expected '{'", valid},
      {"LengthBeyondTheFile", with_length(kValid.size() + 9, kValid, 8),
       "end of the file", valid},
      {"LengthOneTooShort", with_length(kValid.size() - 1, kValid, 8),
       "not JSON at byte", valid},
      {"LengthOneTooLong", with_length(kValid.size() + 1, kValid, 8),
       "not JSON at byte", valid},
      {"LengthOf100Megabytes", with_length(100'000'000, kValid, 8),
       "found a length of 100000000", valid},
      {"LengthOf2To63", with_length(uint64_t{1} << 63, kValid, 8),
       "found a length of 9223372036854775808", valid},
      {"LengthOf2To64Less1", with_length(~uint64_t{0}, kValid, 8),
       "found a length of 18446744073709551615", valid},
  };
}

std::vector<Case> json_cases() {
  const std::string valid = file_of(kValid, 8);
  const std::string half = kValid.substr(0, kValid.size() / 2);
  return {
      {"NotAnObject", file_of("[]"), "expected '{'", file_of("{}")},
      {"LeadingSpace", file_of(" {}"), "expected '{'", file_of("{} ")},
      {"ByteOrderMark", file_of("\xef\xbb\xbf{}"), "expected '{'",
       file_of("{}")},
      {"HalfAHeader", file_of(half, 8), "not JSON at byte", valid},
      {"SomethingAfterTheHeader", file_of(kValid + "x", 8), "not JSON at byte",
       file_of(kValid + " ", 8)},
      {"TwoHeaders", file_of("{}{}"), "not JSON at byte", file_of("{}")},
      {"Comment", file_of("{/**/}"), "not JSON at byte", file_of("{    }")},
      {"TrailingComma", file_of("{" + f32("a", "2", "0,8") + ",}", 8),
       "not JSON at byte", valid},
      {"ZeroByte", file_of(std::string("{\0}", 3)), "not JSON at byte",
       file_of("{ }")},
      {"NameNotUtf8", file_of("{" + f32("\xff", "2", "0,8") + "}", 8),
       "not JSON at byte", file_of("{" + f32("\xc3\xbf", "2", "0,8") + "}", 8)},
      {"TensorIsAList", file_of("{\"a\":[]}"), "found a list", file_of("{}")},
      {"TensorIsNull", file_of("{\"a\":null}"), "found null", file_of("{}")},
      {"TensorIsANumber", file_of("{\"a\":1}"), "found a number",
       file_of("{}")},
      {"TensorIsAString", file_of("{\"a\":\"b\"}"), "found a string",
       file_of("{\"__metadata__\":{\"a\":\"b\"}}")},
      {"NoName", file_of("{" + f32("", "2", "0,8") + "}", 8), "has no name",
       valid},
      {"DeepLists", file_of("{\"a\":" + std::string(3'900'000, '[')),
       "found a list", file_of("{}")},
      {"DeepShape", file_of("{\"a\":{\"shape\":" + std::string(3'900'000, '[')),
       "found a list", valid},
      {"DeepObjects", file_of(repeated("{\"a\":", 700'000)),
       "unknown key \"a\", tensor \"a\"", file_of("{}")},
      {"DeepMetadata",
       file_of("{\"__metadata__\":" + repeated("{\"a\":", 700'000)),
       "found an object", file_of("{\"__metadata__\":{\"a\":\"\"}}")},
  };
}

std::vector<Case> key_cases() {
  const std::string valid = file_of(kValid, 8);
  const std::string dtype = "\"dtype\":\"F32\"";
  const std::string shape = "\"shape\":[2]";
  const std::string offsets = "\"data_offsets\":[0,8]";
  const auto tensor = [](const std::string& fields) {
    return file_of("{\"a\":{" + fields + "}}", 8);
  };
  const std::string all = dtype + "," + shape + "," + offsets;
  return {
      {"NoDtype", tensor(shape + "," + offsets), "missing key \"dtype\"",
       tensor(all)},
      {"NoShape", tensor(dtype + "," + offsets), "missing key \"shape\"",
       tensor(all)},
      {"NoOffsets", tensor(dtype + "," + shape), "missing key \"data_offsets\"",
       tensor(all)},
      {"DuplicateDtype", tensor(all + "," + dtype), "duplicate key \"dtype\"",
       tensor(all)},
      {"DuplicateShape", tensor(all + "," + shape), "duplicate key \"shape\"",
       tensor(all)},
      {"DuplicateOffsets", tensor(all + "," + offsets),
       "duplicate key \"data_offsets\"", tensor(all)},
      {"UnknownKey", tensor(all + ",\"more\":1"), "unknown key \"more\"",
       tensor(all)},
      {"DuplicateTensor",
       file_of("{" + f32("a", "1", "0,4") + "," + f32("a", "1", "4,8") + "}",
               8),
       "duplicate tensor \"a\"",
       file_of("{" + f32("a", "1", "0,4") + "," + f32("b", "1", "4,8") + "}",
               8)},
      {"DuplicateEmptyTensor",
       file_of("{" + f32("a", "0", "0,0") + "," + f32("a", "0", "0,0") + "}"),
       "duplicate tensor \"a\"",
       file_of("{" + f32("a", "0", "0,0") + "," + f32("b", "0", "0,0") + "}")},
      {"DuplicateByEscape",
       file_of(
           "{" + f32("a", "1", "0,4") + "," + f32("\\u0061", "1", "4,8") + "}",
           8),
       "duplicate tensor \"a\"",
       file_of(
           "{" + f32("a", "1", "0,4") + "," + f32("\\u0062", "1", "4,8") + "}",
           8)},
      {"TwoMetadata", file_of("{\"__metadata__\":{},\"__metadata__\":{}}"),
       "duplicate key __metadata__", file_of("{\"__metadata__\":{}}")},
      {"DuplicateMetadata",
       file_of("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"),
       "duplicate metadata key \"k\"",
       file_of("{\"__metadata__\":{\"k\":\"1\",\"l\":\"2\"}}")},
      {"MetadataNumber", file_of("{\"__metadata__\":{\"k\":1}}"),
       "found a number, metadata \"k\"",
       file_of("{\"__metadata__\":{\"k\":\"1\"}}")},
      {"MetadataList", file_of("{\"__metadata__\":[]}"), "found a list",
       file_of("{\"__metadata__\":{}}")},
      {"NameForgesALine",
       file_of("{" + f32("a\\n\\u001b[2J", "3", "0,8") + "}", 8),
       "tensor \"a\\n\\u001b[2J\"",
       file_of("{" + f32("a\\n\\u001b[2J", "2", "0,8") + "}", 8)},
  };
}

std::vector<Case> value_cases() {
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets, size_t data_bytes) {
    return file_of("{" + entry("a", dtype, shape, offsets) + "}", data_bytes);
  };
  const std::string valid = one("F32", "2", "0,8", 8);
  const std::string max = "9223372036854775807";
  return {
      {"UnknownDtype", one("F33", "2", "0,8", 8), "unknown dtype \"F33\"",
       valid},
      {"LowerCaseDtype", one("f32", "2", "0,8", 8), "unknown dtype", valid},
      {"NegativeSize", one("F32", "-2", "0,8", 8), "negative number", valid},
      {"NegativeOffset", one("F32", "2", "-8,0", 8), "negative number", valid},
      {"FractionalSize", one("F32", "2.0", "0,8", 8), "a fraction", valid},
      {"ExponentSize", one("F32", "2e0", "0,8", 8), "a fraction", valid},
      {"SizeIsAString", one("F32", "\"2\"", "0,8", 8), "found a string", valid},
      {"SizeIsTrue", one("F32", "true", "0,8", 8), "found a boolean", valid},
      {"SizeOf2To63", one("F32", "9223372036854775808", "0,8", 8), "too large",
       valid},
      {"SizeOf2To64", one("F32", "18446744073709551616", "0,8", 8),
       "beyond 64 bits", valid},
      {"ProductOverflows", one("U8", "4294967296,4294967296", "0,0", 0),
       "shape is too large", one("U8", "4294967296,0", "0,0", 0)},
      {"ProductWrapsToTheDataSize",
       one("U8", "4294967296,4294967296,2,2,2", "0,0", 0), "shape is too large",
       one("U8", "0", "0,0", 0)},
      {"ElementSizeOverflows", one("F64", "2305843009213693952", "0,0", 0),
       "shape is too large", one("F64", "0", "0,0", 0)},
      {"ZeroHidesAnOverflow", one("F32", "0," + max + "," + max, "0,0", 0),
       "shape is too large", one("F32", "0,7", "0,0", 0)},
      {"TooManyDimensions", one("U8", repeated("1,", 32) + "1", "0,1", 1),
       "at most 32", one("U8", repeated("1,", 31) + "1", "0,1", 1)},
      {"ReversedOffsets", one("F32", "2", "8,0", 8), "reversed", valid},
      {"OneOffset", one("F32", "2", "8", 8), "found 1", valid},
      {"ThreeOffsets", one("F32", "2", "0,8,8", 8), "found 3", valid},
      {"EndBeyondTheData", one("F32", "3", "0,12", 8), "end at 12", valid},
      {"EndOf2To63Less1", one("F32", "2", "0," + max, 8), "end at " + max,
       valid},
      {"OffsetOf2To64Less1", one("F32", "2", "0,18446744073709551615", 8),
       "too large", valid},
      {"SizeBelowTheShape", one("F32", "3", "0,8", 8), "ask for 12 bytes",
       valid},
      {"SizeAboveTheShape", one("F32", "1", "0,8", 8), "ask for 4 bytes",
       valid},
      {"EmptyShapeIsAScalar", one("F32", "", "0,8", 8), "ask for 4 bytes",
       one("F32", "", "0,4", 4)},
  };
}

std::vector<Case> cover_cases() {
  const auto two = [](const std::string& a, const std::string& b,
                      size_t data_bytes) {
    return file_of("{" + f32("a", "2", a) + "," + f32("b", "2", b) + "}",
                   data_bytes);
  };
  const std::string valid = two("0,8", "8,16", 16);
  return {
      {"Overlap", two("0,8", "4,12", 12), "overlap", valid},
      {"SameBytesTwice", two("0,8", "0,8", 8), "overlap", valid},
      {"Hole", two("0,8", "12,20", 20), "bytes 8 to 12 belong to no tensor",
       two("8,16", "0,8", 16)},
      {"HoleAtTheStart", two("4,12", "12,20", 20), "bytes 0 to 4", valid},
      {"BytesAfterTheLast", two("0,8", "8,16", 17), "bytes 16 to 17", valid},
      {"EmptyTensorInside",
       file_of("{" + f32("a", "2", "0,8") + "," + f32("b", "0", "4,4") + "}",
               8),
       "overlap",
       file_of("{" + f32("a", "2", "0,8") + "," + f32("b", "0", "8,8") + "}",
               8)},
      {"DataWithoutTensors", file_of("{}", 8), "bytes 0 to 8", file_of("{}")},
  };
}

// Files that are valid until their end, as long as the limits allow.
std::vector<Case> size_cases() {
  const size_t long_name = 3'900'000;
  const std::string last = std::to_string(kMaxTensors - 1);
  const std::string next = std::to_string(kMaxTensors);
  const std::string valid =
      many_tensors(kMaxTensors, entry("last", "U8", "1", last + "," + next));
  return {
      {"HeaderAboveTheLimit", file_of("{" + std::string(4'000'000, ' ') + "}"),
       "header of at most 4000000", file_of("{" + std::string(9, ' ') + "}")},
      {"LongName",
       file_of("{" + f32(std::string(long_name, 'n'), "3", "0,8") + "}", 8),
       "ask for 12 bytes",
       file_of("{" + f32(std::string(long_name, 'n'), "2", "0,8") + "}", 8)},
      {"LongNumber",
       file_of("{" + f32("a", std::string(long_name, '9'), "0,8") + "}", 8), "",
       file_of(kValid, 8)},
      {"LongSpaces", file_of("{" + std::string(long_name, ' ') + "x}"),
       "not JSON at byte", file_of("{" + std::string(long_name, ' ') + "}")},
      {"LongShape",
       file_of("{" + f32("a", repeated("1,", long_name / 2) + "1", "0,8") + "}",
               8),
       "at most 32", file_of(kValid, 8)},
      {"TooManyMetadata", file_of(metadata_of(kMaxMetadataEntries + 1, "\"\"")),
       "more than 4096 metadata",
       file_of(metadata_of(kMaxMetadataEntries, "\"\""))},
      {"TooManyTensors",
       file_of(many_tensors(kMaxTensors + 1,
                            entry("last", "U8", "1", next + "," + next)),
               kMaxTensors),
       "more than 32768 tensors", file_of(valid, kMaxTensors)},
      {"ManyTensorsTheLastOneWrong",
       file_of(many_tensors(kMaxTensors,
                            entry("last", "U8", "2", last + "," + next)),
               kMaxTensors),
       "tensor \"last\"", file_of(valid, kMaxTensors)},
  };
}

class HostileSafetensorsTest : public ::testing::TestWithParam<Case> {};

TEST_P(HostileSafetensorsTest, IsRefusedQuicklyAndTheReasonNamed) {
  const TemporaryFolder folder;
  const auto path = folder / "hostile.safetensors";
  write_bytes(path, GetParam().hostile);
  // The quickest of three: other work on the machine slows a thread down, and
  // even its own clock counts what the caches then cost.
  std::string message;
  testing::Cost cost{.seconds = HUGE_VAL};
  for (int attempt = 0; attempt < 3; ++attempt) {
    testing::start_counting();
    message = message_of<CheckpointError>([&] { SafetensorsFile{path}; });
    const testing::Cost now = testing::cost_so_far();
    cost = {std::min(cost.seconds, now.seconds),
            std::max(cost.peak_bytes, now.peak_bytes)};
  }
  EXPECT_THAT(message,
              AllOf(HasSubstr("[safetensors]"), HasSubstr(path.string()),
                    HasSubstr(GetParam().reason)));
  EXPECT_LT(message.size(), 1000u);
  EXPECT_LE(cost.seconds, testing::kMaxSeconds);
  EXPECT_LE(cost.peak_bytes, testing::kMaxGrowthBytes);
}

TEST_P(HostileSafetensorsTest, ItsValidCounterpartIsRead) {
  const TemporaryFolder folder;
  const auto path = folder / "valid.safetensors";
  write_bytes(path, GetParam().valid);
  testing::start_counting();
  EXPECT_NO_THROW(SafetensorsFile{path});
  EXPECT_LE(testing::cost_so_far().peak_bytes, testing::kMaxGrowthBytes);
}

std::string name_of(const ::testing::TestParamInfo<Case>& test) {
  return test.param.name;
}

#define DBLOCKS_CASES(Group, function)                    \
  INSTANTIATE_TEST_SUITE_P(Group, HostileSafetensorsTest, \
                           ::testing::ValuesIn(function), name_of)
DBLOCKS_CASES(Length, length_cases());
DBLOCKS_CASES(Json, json_cases());
DBLOCKS_CASES(Keys, key_cases());
DBLOCKS_CASES(Values, value_cases());
DBLOCKS_CASES(Cover, cover_cases());
DBLOCKS_CASES(Size, size_cases());
#undef DBLOCKS_CASES

TEST(HostileSafetensorsFileTest, NeitherPipesNorFoldersAreOpened) {
  const TemporaryFolder folder;
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const auto& path : {pipe, folder.path(), folder / "missing"}) {
    EXPECT_THAT(message_of<CheckpointError>([&] { SafetensorsFile{path}; }),
                HasSubstr(path.string()));
  }
}

}  // namespace
}  // namespace dblocks::checkpoint
