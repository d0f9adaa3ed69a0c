// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/fetch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>

#include "dblocks/core/error.h"
#include "dblocks/core/file_descriptor.h"
#include "dblocks/core/file_system.h"
#include "dblocks/data/archive.h"
#include "dblocks/data/digest.h"
#include "dblocks/data/download.h"
#include "dblocks/data/file_bytes.h"
#include "dblocks/data/search.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using dblocks::internal::FileDescriptor;

constexpr const char* kSums = "SHA256SUMS";

bool is_address(const std::string& from) {
  return from.starts_with("http://") || from.starts_with("https://");
}

std::string joined(const std::string& base, const std::string& name) {
  return base + (base.ends_with('/') ? "" : "/") + name;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// Keeps two calls from working on one data set; let go when it ends.
class Lock {
 public:
  explicit Lock(const fs::path& path)
      : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    DBLOCKS_CHECK(file_.number() >= 0, DataError, "[fetch] cannot write {}: {}",
                  path.string(), std::strerror(errno));
    DBLOCKS_CHECK(::flock(file_.number(), LOCK_EX | LOCK_NB) == 0, DataError,
                  "[fetch] expected to be alone, found another process "
                  "fetching: {}",
                  path.string());
  }

 private:
  FileDescriptor file_;
};

void copy_checked(const RemoteFile& file,
                  const fs::path& from,
                  const fs::path& target) {
  DBLOCKS_CHECK(is_file(from), DataError,
                "[fetch] expected the file {}, found none", from.string());
  const std::string found = sha256_of_file(from);
  DBLOCKS_CHECK(found == file.sha256, DataError,
                "[fetch] expected SHA-256 {}, found {}: {}. Hint: the file is "
                "damaged or another version",
                file.sha256, found, from.string());
  fs::copy_file(from, target, fs::copy_options::overwrite_existing);
}

void get_file(const RemoteSet& set,
              const RemoteFile& file,
              const FetchOptions& options,
              const fs::path& target) {
  if (is_file(target) && sha256_of_file(target) == file.sha256) {
    return;
  }
  const bool is_folder = !options.from.empty() && !is_address(options.from);
  if (is_folder) {
    copy_checked(file, fs::path(options.from) / file.name, target);
    return;
  }
  const std::string& base = options.from.empty() ? set.home : options.from;
  download({.url = joined(base, file.name),
            .target = target,
            .max_bytes = file.size_bytes,
            .sha256 = file.sha256,
            .progress = [&](uint64_t bytes) {
              if (options.progress) {
                options.progress(file, bytes);
              }
            }});
}

// A second name for the same bytes where the disk can, else a copy.
void place(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (error) {
    fs::copy_file(from, to);
  }
}

void write_sums(const fs::path& folder, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) {
    text += fmt::format("{}  {}\n", sha256_of_file(folder / name), name);
  }
  real_file_system().write_file(folder / kSums, text);
}

// Makes the complete folder of the set beside its place; returns its path.
fs::path prepare_folder(const RemoteSet& set, const fs::path& staging) {
  const fs::path unpacked = staging / "unpacked";
  fs::remove_all(unpacked);
  fs::path folder = unpacked / set.folder;
  std::vector<std::string> names;
  if (set.is_archive) {
    fs::create_directories(unpacked);
    const fs::path archive = staging / set.files.front().name;
    for (const std::string& name : unpack_archive(archive, unpacked)) {
      const fs::path relative = fs::path(name).lexically_relative(set.folder);
      DBLOCKS_CHECK(!relative.empty() && *relative.begin() != "..", DataError,
                    "[fetch] expected files in {}/ only, found {}: {}",
                    set.folder, name, archive.string());
      names.push_back(relative.string());
    }
    DBLOCKS_CHECK(!names.empty(), DataError,
                  "[fetch] expected files in {}/, found none: {}", set.folder,
                  archive.string());
  } else {
    fs::create_directories(folder);
    for (const RemoteFile& file : set.files) {
      place(staging / file.name, folder / file.name);
      names.push_back(file.name);
    }
  }
  write_sums(folder, names);
  real_file_system().sync_folder(folder);
  return folder;
}

// Puts `folder` in its place in one step, also over an older one.
void install(const fs::path& folder, const fs::path& place) {
  if (!fs::exists(fs::symlink_status(place))) {
    fs::rename(folder, place);
  } else if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, place.c_str(),
                         RENAME_EXCHANGE) != 0) {
    // A file system without exchange: the old one steps aside first.
    fs::rename(place, folder.string() + ".old");
    fs::rename(folder, place);
  }
  real_file_system().sync_folder(place.parent_path());
}

bool verifies(const RemoteSet& set, const fs::path& folder) {
  if (!is_file(folder / kSums)) {
    return false;
  }
  const std::vector<FileVerdict> verdicts = verify(set, folder);
  return std::ranges::all_of(verdicts, &FileVerdict::is_good);
}

bool is_safe(const std::string& name) {
  const fs::path path(name);
  return !name.empty() && path.is_relative() &&
         std::ranges::none_of(
             path, [](const fs::path& part) { return part == ".."; });
}

std::vector<FileVerdict> verify_by_sums(const fs::path& folder) {
  std::vector<FileVerdict> verdicts;
  for (const std::string& line : read_lines(folder / kSums)) {
    constexpr size_t kDigits = 64;
    const std::string name =
        line.size() > kDigits + 2 ? line.substr(kDigits + 2) : "";
    FileVerdict verdict{name, false, "missing"};
    if (!is_safe(name)) {
      verdict = {kSums, false, fmt::format("line '{}' names no file", line)};
    } else if (is_file(folder / name)) {
      const std::string found = sha256_of_file(folder / name);
      verdict.is_good = line.starts_with(found);
      verdict.detail = verdict.is_good
                           ? "as installed"
                           : fmt::format("expected SHA-256 {}, found {}",
                                         line.substr(0, kDigits), found);
    }
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

FileVerdict verify_known(const RemoteFile& file, const fs::path& folder) {
  const std::string plain = fs::path(file.name).stem().string();
  const fs::path path = plain_or_gzip(folder, plain);
  FileVerdict verdict{path.filename().string(), false, "missing"};
  if (!is_file(path)) {
    return verdict;
  }
  if (sha256_of_file(path) == file.sha256) {
    return {verdict.name, true, "as published"};
  }
  const std::string found = sha256_of_content(path);
  verdict.is_good = found == file.content_sha256;
  verdict.detail =
      verdict.is_good
          ? "content as published"
          : fmt::format("expected SHA-256 {} of the content, found {}",
                        file.content_sha256, found);
  return verdict;
}

RemoteSet idx_set(const char* name,
                  const char* description,
                  const char* home,
                  const char* folder,
                  std::vector<RemoteFile> files) {
  return {.name = name,
          .description = description,
          .home = home,
          .folder = folder,
          .files = std::move(files)};
}

RemoteSet cifar_set(const char* name,
                    const char* description,
                    const char* folder,
                    RemoteFile archive) {
  return {.name = name,
          .description = description,
          .home = "https://www.cs.toronto.edu/~kriz",
          .folder = folder,
          .is_archive = true,
          .files = {std::move(archive)}};
}

}  // namespace

const std::vector<RemoteSet>& remote_sets() {
  static const std::vector<RemoteSet> kSets = {
      idx_set(
          "fashion_mnist",
          "70,000 grey images of clothing, 28 x 28, 10 classes",
          "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
          "fashion-mnist",
          {{"train-images-idx3-ubyte.gz", 26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
           {"train-labels-idx1-ubyte.gz", 29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
           {"t10k-images-idx3-ubyte.gz", 4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
           {"t10k-labels-idx1-ubyte.gz", 5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c3"
            "4"}}),
      idx_set(
          "mnist", "70,000 grey images of digits, 28 x 28, 10 classes",
          "https://ossci-datasets.s3.amazonaws.com/mnist", "mnist",
          {{"train-images-idx3-ubyte.gz", 9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
           {"train-labels-idx1-ubyte.gz", 28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
           {"t10k-images-idx3-ubyte.gz", 1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
           {"t10k-labels-idx1-ubyte.gz", 4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f"
            "2"}}),
      cifar_set(
          "cifar10", "60,000 colour images, 32 x 32, 10 classes",
          "cifar-10-batches-bin",
          {"cifar-10-binary.tar.gz", 170052171,
           "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
           ""}),
      cifar_set(
          "cifar100", "60,000 colour images, 32 x 32, 100 classes",
          "cifar-100-binary",
          {"cifar-100-binary.tar.gz", 168513733,
           "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
           ""})};
  return kSets;
}

const RemoteSet& remote_set(const std::string& name) {
  std::string wanted = name;
  std::ranges::replace(wanted, '-', '_');
  std::string all;
  for (const RemoteSet& set : remote_sets()) {
    if (set.name == wanted) {
      return set;
    }
    all += (all.empty() ? "" : ", ") + set.name;
  }
  throw ConfigError(
      fmt::format("[data] expected one of {}, found '{}'", all, name));
}

bool fetch(const RemoteSet& set, const FetchOptions& options) {
  try {
    const fs::path place = options.to / set.folder;
    if (verifies(set, place)) {
      return false;
    }
    const fs::path staging = options.to / (".fetch-" + set.name);
    fs::create_directories(staging);
    const Lock lock(staging / "lock");
    for (const RemoteFile& file : set.files) {
      get_file(set, file, options, staging / file.name);
    }
    install(prepare_folder(set, staging), place);
    fs::remove_all(staging);
    return true;
  } catch (const fs::filesystem_error& error) {
    throw DataError(
        fmt::format("[fetch] cannot install {}: {}", set.name, error.what()));
  }
}

std::vector<FileVerdict> verify(const RemoteSet& set, const fs::path& folder) {
  if (is_file(folder / kSums)) {
    return verify_by_sums(folder);
  }
  std::vector<FileVerdict> verdicts;
  if (!set.is_archive) {
    for (const RemoteFile& file : set.files) {
      verdicts.push_back(verify_known(file, folder));
    }
    return verdicts;
  }
  for (const std::string& name : search_recipe(set.name).files) {
    const bool is_there = is_file(folder / name);
    verdicts.push_back(
        {name, is_there, is_there ? "no hash known" : "missing"});
  }
  return verdicts;
}

fs::path installed_folder(const RemoteSet& set, const std::string& root) {
  try {
    return find_dataset(root, search_recipe(set.name));
  } catch (const DataError&) {
    return {};
  }
}

}  // namespace dblocks::data
