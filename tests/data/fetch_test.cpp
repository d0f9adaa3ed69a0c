// SPDX-License-Identifier: Apache-2.0
// Data sets from a server that behaves badly, and archives that do.
#include "dblocks/data/fetch.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "dblocks/core/error.h"
#include "dblocks/data/archive.h"
#include "dblocks/data/digest.h"
#include "dblocks/data/download.h"
#include "tests/data/http_server.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::TemporaryFolder;
using testing::write_text;

std::string sha256_of(const std::string& text) {
  Sha256 digest;
  digest.add(text.data(), text.size());
  return digest.hex();
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string noise(size_t size) {
  std::string text;
  uint32_t state = 7;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525u + 1013904223u;
    text.push_back(static_cast<char>(state >> 24));
  }
  return text;
}

TEST(Sha256Test, GivesThePublishedDigests) {
  EXPECT_EQ(sha256_of("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() {
    server_.with([&](auto& b) { b.files["/file"] = content_; });
  }

  Download request() {
    return {.url = server_.url() + "/file",
            .target = target_,
            .max_bytes = content_.size(),
            .sha256 = sha256_of(content_)};
  }
  fs::path part() const { return target_.string() + ".part"; }
  std::string error() {
    return error_of<DataError>([&] { download(request()); });
  }

  std::string content_ = noise(300'000);
  HttpServer server_;
  TemporaryFolder folder_;
  fs::path target_ = folder_.path() / "file";
};

TEST_F(DownloadTest, ABrokenConnectionIsTakenUpWhereItEnded) {
  server_.with([](auto& b) { b.break_after = 100'000; });
  download(request());
  EXPECT_EQ(text_of(target_), content_);
  EXPECT_FALSE(fs::exists(part()));
  const auto requests = server_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[1].range, "bytes=100000-");
  EXPECT_EQ(requests[2].range, "bytes=200000-");
  EXPECT_EQ(requests[2].if_range, "\"one\"");
}

TEST_F(DownloadTest, ALaterCallGoesOnWithWhatIsThere) {
  write_text(part(), content_.substr(0, 250'000));
  download(request());
  EXPECT_EQ(text_of(target_), content_);
  EXPECT_EQ(server_.requests().at(0).range, "bytes=250000-");
}

TEST_F(DownloadTest, AFileThatChangedOnTheServerStartsAnew) {
  write_text(part(), std::string(100'000, 'x'));
  write_text(part().string() + ".tag", "\"zero\"\n");
  download(request());
  EXPECT_EQ(text_of(target_), content_);
}

TEST_F(DownloadTest, WrongBytesInThePartAreFoundAndFetchedAgain) {
  // No tag: the server cannot tell that these are not its bytes.
  write_text(part(), std::string(100'000, 'x'));
  download(request());
  EXPECT_EQ(text_of(target_), content_);
  EXPECT_EQ(server_.requests().size(), 2u);
}

TEST_F(DownloadTest, AServerWithoutRangesSendsTheWholeFileAgain) {
  server_.with([](auto& b) { b.knows_ranges = false; });
  write_text(part(), content_.substr(0, 1000));
  download(request());
  EXPECT_EQ(text_of(target_), content_);
}

TEST_F(DownloadTest, AWrongHashLeavesNothing) {
  server_.with([](auto& b) { b.files["/file"][5] ^= 1; });
  EXPECT_THAT(error(), HasSubstr("SHA-256"));
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(DownloadTest, TooManyBytesAreRefused) {
  server_.with([](auto& b) { b.files["/file"] += "x"; });
  EXPECT_THAT(error(), HasSubstr("at most 300000 bytes"));
  EXPECT_FALSE(fs::exists(target_));
}

TEST_F(DownloadTest, NamesTheAddressThatGivesNothing) {
  server_.with([](auto& b) { b.files.clear(); });
  EXPECT_THAT(error(), ::testing::AllOf(HasSubstr("404"),
                                        HasSubstr(server_.url() + "/file")));
  Download nobody = request();
  nobody.url = "http://127.0.0.1:1/file";
  EXPECT_THAT(error_of<DataError>([&] { download(nobody); }),
              HasSubstr(nobody.url));
}

TEST_F(DownloadTest, AServerThatAlwaysBreaksIsGivenUpButKeptFor) {
  write_text(part(), content_.substr(0, 1000));
  server_.with([](auto& b) { b.files["/file"].resize(1200); });
  EXPECT_FALSE(error().empty());
  EXPECT_FALSE(fs::exists(target_));
}

struct Entry {
  std::string name;
  std::string content = {};
  mode_t type = AE_IFREG;
  std::string link = {};
};

void write_archive(const fs::path& path, const std::vector<Entry>& entries) {
  archive* out = archive_write_new();
  archive_write_add_filter_gzip(out);
  archive_write_set_format_pax_restricted(out);
  archive_write_open_filename(out, path.c_str());
  for (const Entry& e : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, e.name.c_str());
    archive_entry_set_filetype(entry, e.type);
    archive_entry_set_perm(entry, 0777);
    archive_entry_set_size(entry, static_cast<int64_t>(e.content.size()));
    if (!e.link.empty() && e.type == AE_IFLNK) {
      archive_entry_set_symlink(entry, e.link.c_str());
    } else if (!e.link.empty()) {
      archive_entry_set_hardlink(entry, e.link.c_str());
    }
    archive_write_header(out, entry);
    archive_write_data(out, e.content.data(), e.content.size());
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
}

class ArchiveTest : public ::testing::Test {
 protected:
  std::string error_for(const std::vector<Entry>& entries) {
    write_archive(archive_, entries);
    return error();
  }
  std::string error() {
    const fs::path into = folder_.path() / "deep/into";
    fs::remove_all(into);
    fs::create_directories(into);
    std::string message = error_of<DataError>([&] {
      unpack_archive(archive_, into, {.max_bytes = 100'000, .max_files = 10});
    });
    EXPECT_FALSE(fs::exists(folder_.path() / "evil"));
    EXPECT_FALSE(fs::exists(folder_.path() / "deep/evil"));
    EXPECT_THAT(message, HasSubstr(archive_.string()));
    return message;
  }

  TemporaryFolder folder_;
  fs::path archive_ = folder_.path() / "a.tar.gz";
};

TEST_F(ArchiveTest, UnpacksPlainFilesAndFolders) {
  write_archive(archive_, {{"set/", "", AE_IFDIR},
                           {"set/one", "first"},
                           {"./set/sub/two", "second"}});
  const fs::path into = folder_.path() / "into";
  fs::create_directories(into);
  EXPECT_THAT(unpack_archive(archive_, into),
              ::testing::ElementsAre("set/one", "set/sub/two"));
  EXPECT_EQ(text_of(into / "set/sub/two"), "second");
  EXPECT_EQ(fs::status(into / "set/one").permissions() & fs::perms::owner_exec,
            fs::perms::none);
}

TEST_F(ArchiveTest, NothingIsWrittenOutsideTheFolder) {
  const std::string evil = (folder_.path() / "evil").string();
  EXPECT_THAT(error_for({{"../evil", "x"}}), HasSubstr("../evil"));
  EXPECT_THAT(error_for({{"a/../../evil", "x"}}), HasSubstr("a/../../evil"));
  EXPECT_THAT(error_for({{"a/..", "x"}}), HasSubstr("a/.."));
  EXPECT_THAT(error_for({{evil, "x"}}), HasSubstr(evil));
  EXPECT_THAT(error_for({{"l", "", AE_IFLNK, ".."}, {"l/evil", "x"}}),
              HasSubstr("link"));
  EXPECT_THAT(error_for({{"l", "", AE_IFREG, "/etc/passwd"}}),
              HasSubstr("link"));
  EXPECT_THAT(error_for({{"pipe", "", AE_IFIFO}}), HasSubstr("pipe"));
  EXPECT_THAT(error_for({{"tty", "", AE_IFCHR}}), HasSubstr("tty"));
  EXPECT_THAT(error_for({{"one", "x"}, {"one", "y"}}), HasSubstr("one"));
}

TEST_F(ArchiveTest, BombsEndAtTheLimits) {
  EXPECT_THAT(error_for({{"zeros", std::string(size_t{32} << 20, '\0')}}),
              HasSubstr("100000 bytes"));
  std::vector<Entry> many;
  many.reserve(11);
  for (int i = 0; i < 11; ++i) {
    many.push_back({fmt::format("file{}", i), "x"});
  }
  EXPECT_THAT(error_for(many), HasSubstr("10 files"));
}

TEST_F(ArchiveTest, EveryTruncationIsDamage) {
  write_archive(archive_, {{"set/one", noise(600)}, {"set/two", noise(700)}});
  const std::string whole = text_of(archive_);
  // The gzip trailer and padding at the end may be missed by the tar reader.
  for (size_t size = 0; size + 64 < whole.size(); size += 13) {
    write_text(archive_, whole.substr(0, size));
    error();
  }
}

class FetchTest : public ::testing::Test {
 protected:
  FetchTest() {
    const fs::path archive = home_.path() / "set.tar.gz";
    write_archive(archive, {{"set/train.bin", noise(50'000)},
                            {"set/names.txt", "cat\ndog\n"}});
    packed_ = text_of(archive);
    set_ = {.name = "cifar100",
            .home = server_.url(),
            .folder = "set",
            .is_archive = true,
            .files = {{"set.tar.gz", packed_.size(), sha256_of(packed_), ""}}};
    server_.with([&](auto& b) { b.files["/set.tar.gz"] = packed_; });
  }

  bool fetch_here(const std::string& from = "") {
    return fetch(set_, {.to = to_.path(), .from = from});
  }
  std::vector<std::string> entries() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(to_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  HttpServer server_;
  TemporaryFolder home_;
  TemporaryFolder to_;
  std::string packed_;
  RemoteSet set_;
};

TEST_F(FetchTest, InstallsOnceAndVerifies) {
  EXPECT_TRUE(fetch_here());
  EXPECT_EQ(text_of(to_.path() / "set/names.txt"), "cat\ndog\n");
  EXPECT_THAT(entries(), ::testing::ElementsAre("set"));
  EXPECT_FALSE(fetch_here());
  EXPECT_EQ(server_.requests().size(), 1u);
  for (const FileVerdict& verdict : verify(set_, to_.path() / "set")) {
    EXPECT_TRUE(verdict.is_good) << verdict.name;
  }
}

TEST_F(FetchTest, DamageIsNamedAndMendedByFetchingAgain) {
  fetch_here();
  write_text(to_.path() / "set/names.txt", "cat\ncow\n");
  fs::remove(to_.path() / "set/train.bin");
  std::vector<std::string> bad;
  for (const FileVerdict& verdict : verify(set_, to_.path() / "set")) {
    if (!verdict.is_good) {
      bad.push_back(verdict.name);
    }
  }
  EXPECT_THAT(bad, ::testing::ElementsAre("names.txt", "train.bin"));
  EXPECT_TRUE(fetch_here(home_.path().string()));
  EXPECT_EQ(text_of(to_.path() / "set/names.txt"), "cat\ndog\n");
  EXPECT_EQ(server_.requests().size(), 1u);
}

TEST_F(FetchTest, ARefusedArchiveLeavesTheOldFolderAsItWas) {
  write_text(to_.path() / "set/mine", "x");
  write_archive(home_.path() / "set.tar.gz", {{"../evil", "x"}});
  const std::string hostile = text_of(home_.path() / "set.tar.gz");
  set_.files[0] = {"set.tar.gz", hostile.size(), sha256_of(hostile), ""};
  EXPECT_THAT(error_of<DataError>([&] { fetch_here(home_.path().string()); }),
              HasSubstr("../evil"));
  EXPECT_EQ(text_of(to_.path() / "set/mine"), "x");
  EXPECT_FALSE(fs::exists(to_.path() / "evil"));
  EXPECT_FALSE(fs::exists(to_.path() / "set/train.bin"));
}

TEST_F(FetchTest, AnInterruptedFetchInstallsNothingAndGoesOn) {
  server_.with([&](auto& b) { b.files["/set.tar.gz"].resize(1000); });
  EXPECT_FALSE(error_of<DataError>([&] { fetch_here(); }).empty());
  EXPECT_FALSE(fs::exists(to_.path() / "set"));
  write_text(to_.path() / ".fetch-cifar100/set.tar.gz.part",
             packed_.substr(0, 700));
  server_.with([&](auto& b) { b.files["/set.tar.gz"] = packed_; });
  EXPECT_TRUE(fetch_here());
  EXPECT_EQ(server_.requests().back().range, "bytes=700-");
  EXPECT_THAT(entries(), ::testing::ElementsAre("set"));
}

TEST_F(FetchTest, AFolderWithOtherFilesIsRefused) {
  write_text(home_.path() / "set.tar.gz", "something else");
  EXPECT_THAT(error_of<DataError>([&] { fetch_here(home_.path().string()); }),
              HasSubstr((home_.path() / "set.tar.gz").string()));
  EXPECT_THAT(error_of<DataError>([&] { fetch_here("/no/such/folder"); }),
              HasSubstr("/no/such/folder"));
}

TEST(RemoteSetTest, TakesBothSpellingsAndNamesTheOthers) {
  EXPECT_EQ(remote_set("fashion-mnist").name, "fashion_mnist");
  EXPECT_THAT(error_of<ConfigError>([] { remote_set("imagenet"); }),
              ::testing::AllOf(HasSubstr("cifar100"), HasSubstr("imagenet")));
  for (const RemoteSet& set : remote_sets()) {
    for (const RemoteFile& file : set.files) {
      EXPECT_EQ(file.sha256.size(), 64u);
      EXPECT_GT(file.size_bytes, 0u);
    }
  }
}

}  // namespace
}  // namespace dblocks::data
