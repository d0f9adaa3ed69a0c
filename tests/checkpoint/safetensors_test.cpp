// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "dblocks/core/error.h"
#include "tests/checkpoint/faulty_file_system.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks::checkpoint {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

constexpr const char* kReference = "tests/checkpoint/reference.safetensors";

// Tensors with bytes of their own, made as make_reference_file.py makes them.
class Tensors {
 public:
  void add(const std::string& name, DType dtype, std::vector<int64_t> shape) {
    size_t size = dtype_bytes(dtype);
    for (const int64_t dimension : shape) {
      size *= static_cast<size_t>(dimension);
    }
    auto& bytes = storage_.emplace_back(size);
    for (size_t i = 0; i < size; ++i) {
      bytes[i] = std::byte(
          dtype == DType::kBool ? i % 2 : (7 * i + shape.size()) % 251);
    }
    list_.push_back({name, dtype, std::move(shape), bytes});
  }

  std::vector<TensorBytes>& list() { return list_; }

 private:
  std::vector<std::vector<std::byte>> storage_;
  std::vector<TensorBytes> list_;
};

Tensors reference_tensors() {
  Tensors tensors;
  tensors.add("flag", DType::kBool, {3});
  tensors.add("byte", DType::kU8, {5});
  tensors.add("signed_byte", DType::kI8, {2, 2});
  tensors.add("short", DType::kI16, {3});
  tensors.add("word", DType::kI32, {2, 3});
  tensors.add("long", DType::kI64, {2});
  tensors.add("half", DType::kF16, {4});
  tensors.add("brain", DType::kBF16, {2, 1, 3});
  tensors.add("single", DType::kF32, {2, 3});
  tensors.add("double", DType::kF64, {3});
  tensors.add("scalar", DType::kF32, {});
  tensors.add("empty", DType::kF32, {0, 4});
  tensors.add("blocks.0.\xcf\x83 \"quoted\"", DType::kF32, {1});
  return tensors;
}

TEST(SafetensorsTest, ReadsEveryTypeOfAFileByTheReferenceImplementation) {
  const SafetensorsFile file(kReference);
  Tensors expected = reference_tensors();
  ASSERT_EQ(file.tensors().size(), expected.list().size());
  for (const TensorBytes& tensor : expected.list()) {
    SCOPED_TRACE(tensor.name);
    const TensorBytes& found = file.at(tensor.name);
    EXPECT_EQ(found.dtype, tensor.dtype);
    EXPECT_EQ(found.shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(found.bytes, tensor.bytes));
  }
  EXPECT_EQ(file.metadata().size(), 1u);
  EXPECT_EQ(file.metadata().at("note").find_first_not_of('x'),
            std::string::npos);
}

TEST(SafetensorsTest, WritesTheBytesOfTheReferenceImplementation) {
  const TemporaryFolder folder;
  const auto path = folder / "ours.safetensors";
  write_safetensors(real_file_system(), path, reference_tensors().list(),
                    SafetensorsFile(kReference).metadata());
  EXPECT_EQ(read_bytes(path), read_bytes(kReference));
}

TEST(SafetensorsTest, ListsTensorsByName) {
  const SafetensorsFile file(kReference);
  EXPECT_TRUE(std::ranges::is_sorted(file.tensors(), {}, &TensorBytes::name));
  EXPECT_EQ(file.tensors().front().name, "blocks.0.\xcf\x83 \"quoted\"");
}

TEST(SafetensorsTest, TheOrderGivenDoesNotChangeTheBytes) {
  const TemporaryFolder folder;
  Tensors tensors = reference_tensors();
  const auto write = [&](const char* name) {
    return write_safetensors(real_file_system(), folder / name, tensors.list(),
                             {{"b", "2"}, {"a", "1"}});
  };
  const WrittenFile first = write("first");
  std::reverse(tensors.list().begin(), tensors.list().end());
  const WrittenFile second = write("second");
  EXPECT_EQ(read_bytes(folder / "first"), read_bytes(folder / "second"));
  EXPECT_EQ(first.hash, second.hash);
}

TEST(SafetensorsTest, DataStartAtAMultipleOf64AndTensorsAtTheirElements) {
  const TemporaryFolder folder;
  for (size_t length = 1; length <= 64; ++length) {
    Tensors tensors;
    tensors.add(std::string(length, 'n'), DType::kU8, {3});
    tensors.add("wide", DType::kF64, {1});
    const auto path = folder / "file";
    write_safetensors(real_file_system(), path, tensors.list());
    const SafetensorsFile file(path);
    const std::string bytes = read_bytes(path);
    EXPECT_EQ((bytes.size() - 11) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(file.at("wide").bytes.data()) % 8,
              0u);
  }
}

TEST(SafetensorsTest, HashAndSizeAreThoseOfTheFile) {
  const TemporaryFolder folder;
  const auto path = folder / "file";
  const WrittenFile written =
      write_safetensors(real_file_system(), path, reference_tensors().list());
  std::string bytes = read_bytes(path);
  EXPECT_EQ(written.size_bytes, bytes.size());
  EXPECT_EQ(written.hash, hash_bytes(bytes));
  for (char& byte : bytes) {
    byte = static_cast<char>(byte ^ 1);
    EXPECT_NE(hash_bytes(bytes), written.hash);
    byte = static_cast<char>(byte ^ 1);
  }
}

TEST(SafetensorsTest, AFileWithoutTensorsIsAFile) {
  const TemporaryFolder folder;
  const auto path = folder / "file";
  write_safetensors(real_file_system(), path, {}, {{"key", "a\nb\x01"}});
  const SafetensorsFile file(path);
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_EQ(file.metadata().at("key"), "a\nb\x01");
  EXPECT_EQ(file.find("x"), nullptr);
  EXPECT_THAT(message_of<CheckpointError>([&] { file.at("x"); }),
              HasSubstr("\"x\""));
}

TEST(SafetensorsTest, ManyMegabytesSurvive) {
  const TemporaryFolder folder;
  const auto path = folder / "file";
  Tensors tensors;
  tensors.add("large", DType::kF32, {3, 1'000'001});
  tensors.add("small", DType::kF32, {1});
  const auto written =
      write_safetensors(real_file_system(), path, tensors.list());
  const SafetensorsFile file(path);
  EXPECT_TRUE(
      std::ranges::equal(file.at("large").bytes, tensors.list()[0].bytes));
  EXPECT_EQ(written.hash, hash_bytes(read_bytes(path)));
}

TEST(SafetensorsTest, RefusesToWriteWhatItWouldNotRead) {
  const TemporaryFolder folder;
  const auto path = folder / "refused";
  const auto refusal = [&](auto change) {
    Tensors tensors = reference_tensors();
    Metadata metadata;
    change(tensors.list(), metadata);
    std::string message = message_of<CheckpointError>([&] {
      write_safetensors(real_file_system(), path, tensors.list(), metadata);
    });
    EXPECT_THAT(message, HasSubstr(path.string()));
    EXPECT_FALSE(std::filesystem::exists(path));
    return message;
  };
  EXPECT_THAT(refusal([](auto& t, auto&) { t[1].name = "flag"; }),
              HasSubstr("two tensors are named \"flag\""));
  EXPECT_THAT(refusal([](auto& t, auto&) { t[1].name = ""; }),
              HasSubstr("cannot name"));
  EXPECT_THAT(refusal([](auto& t, auto&) { t[1].name = "__metadata__"; }),
              HasSubstr("cannot name"));
  EXPECT_THAT(refusal([](auto& t, auto&) { t[1].name = "\xff"; }),
              HasSubstr("not UTF-8"));
  EXPECT_THAT(refusal([](auto& t, auto&) { t[1].shape = {6}; }),
              HasSubstr("do not fit the shape of tensor \"byte\""));
  EXPECT_THAT(refusal([](auto& t, auto&) { t[1].shape = {-5}; }),
              HasSubstr("do not fit"));
  EXPECT_THAT(refusal([](auto&, auto& m) { m["key"] = "\xff"; }),
              HasSubstr("not UTF-8"));
  EXPECT_THAT(refusal([](auto&, auto& m) {
                m["key"] = std::string(kMaxHeaderBytes, 'x');
              }),
              HasSubstr("header of at most"));
}

TEST(SafetensorsTest, EveryTruncatedOrExtendedFileIsRefused) {
  const TemporaryFolder folder;
  const auto path = folder / "short";
  const std::string whole = read_bytes(kReference);
  for (size_t length = 0; length <= whole.size() + 1; ++length) {
    std::string bytes = whole + "x";
    bytes.resize(length);
    write_bytes(path, bytes);
    if (length == whole.size()) {
      EXPECT_NO_THROW(SafetensorsFile{path});
    } else {
      EXPECT_THAT(message_of<CheckpointError>([&] { SafetensorsFile{path}; }),
                  HasSubstr(path.string()))
          << length;
    }
  }
}

TEST(SafetensorsTest, AFullDiskIsADeviceErrorThatNamesTheFile) {
  const TemporaryFolder folder;
  testing::FaultyFileSystem disk(folder / "graveyard");
  const auto path = folder / "file";
  disk.arm(testing::Fault::kDiskFull, 3);
  EXPECT_THAT(
      message_of<DeviceError>(
          [&] { write_safetensors(disk, path, reference_tensors().list()); }),
      ::testing::AllOf(HasSubstr("no space"), HasSubstr(path.string())));
}

TEST(HashTest, IsXxh3With128Bits) {
  // Values of the xxHash project for seed 0.
  EXPECT_EQ(hash_bytes("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Hash128::from_hex("99aa06d3014798d86001c324468d497f"),
            hash_bytes(""));
  EXPECT_FALSE(Hash128::from_hex("99AA06D3014798D86001C324468D497F"));
  EXPECT_FALSE(Hash128::from_hex("99aa"));
}

TEST(HashTest, DoesNotDependOnThePieces) {
  const std::string text(5000, 'q');
  for (const size_t piece : {1, 7, 256, 4096}) {
    Hasher hasher;
    for (size_t begin = 0; begin < text.size(); begin += piece) {
      hasher.update(std::string_view(text).substr(begin, piece));
    }
    EXPECT_EQ(hasher.digest(), hash_bytes(text));
  }
}

}  // namespace
}  // namespace dblocks::checkpoint
