// SPDX-License-Identifier: Apache-2.0
// Data sets that can be had from their homes, and what is known of their files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dblocks::data {

/// A file at a data set's home.
struct RemoteFile {
  std::string name;
  uint64_t size_bytes = 0;
  std::string sha256;  ///< of the file
  /// Of the inflated content, which other packings share; "" = not known.
  std::string content_sha256;
};

/// A data set at its home.
struct RemoteSet {
  std::string name;         ///< as the recipe's data.dataset
  std::string description;  ///< one line
  std::string home;         ///< address of the folder of the files
  std::string folder;       ///< its folder within a data root
  bool is_archive = false;  ///< one .tar.gz that holds `folder`
  std::vector<RemoteFile> files;
};

/// fashion_mnist, mnist, cifar10, cifar100.
const std::vector<RemoteSet>& remote_sets();

/// The set of that name; '-' reads as '_'. Errors: ConfigError naming all.
const RemoteSet& remote_set(const std::string& name);

struct FetchOptions {
  /// Data root that the set's folder is put into.
  std::filesystem::path to;
  /// A folder, or the address of one, that holds the files; "" = their home.
  std::string from;
  /// Told the file that is being fetched and how much of it is there.
  std::function<void(const RemoteFile& file, uint64_t bytes)> progress;
};

/// Brings a data set into `to`/FOLDER, which appears by a rename when all files
/// are there, checked and synced: it is never half installed. What was
/// downloaded lies in `to`/.fetch-NAME until then and is used by the next call.
/// SHA256SUMS in the folder lists its files. An older folder of that name is
/// replaced, unless it verifies: then nothing is done.
/// Returns whether something was installed.
/// Errors: DataError for whatever download() and unpack_archive() refuse, and
/// for missing files of a folder; the folder is then as it was.
bool fetch(const RemoteSet& set, const FetchOptions& options);

/// What verify() found out about one file.
struct FileVerdict {
  std::string name;
  bool is_good = false;
  std::string detail;  ///< what it was held against, or what is wrong
};

/// Holds the files of an installed data set against its SHA256SUMS and the
/// known hashes; other packings of the same content are good. A folder without
/// SHA256SUMS of a set whose single files have no known hashes gets the detail
/// "no hash known". Errors: DataError if a file cannot be read.
std::vector<FileVerdict> verify(const RemoteSet& set,
                                const std::filesystem::path& folder);

/// The folder where open_dataset() finds the set, or "".
std::filesystem::path installed_folder(const RemoteSet& set,
                                       const std::string& root);

}  // namespace dblocks::data
