// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/output.h"
#include "dblocks/data/dataset.h"
#include "dblocks/data/fetch.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct DataArguments {
  std::string name;
  std::string to;
  std::string from;
  std::string root;
};

// Where the program looks by itself.
fs::path default_root() {
  if (const char* folder = std::getenv("DBLOCKS_DATA");
      folder != nullptr && *folder != '\0') {
    return folder;
  }
  const char* home = std::getenv("HOME");
  DBLOCKS_CHECK(home != nullptr && *home != '\0', ConfigError,
                "[data] expected a home folder ($HOME), found none. Hint: name "
                "a folder with --to");
  return fs::path(home) / ".local/share/dblocks";
}

int64_t total_bytes(const data::RemoteSet& set) {
  int64_t bytes = 0;
  for (const data::RemoteFile& file : set.files) {
    bytes += static_cast<int64_t>(file.size_bytes);
  }
  return bytes;
}

// One line redrawn on a terminal, nothing elsewhere.
void show_progress(const data::RemoteFile& file, uint64_t bytes) {
  static uint64_t shown = 0;
  constexpr uint64_t kStep = uint64_t{1} << 20;
  const bool is_complete = bytes == file.size_bytes;
  if (isatty(STDERR_FILENO) == 0 ||
      (bytes / kStep == shown / kStep && !is_complete)) {
    return;
  }
  shown = bytes;
  std::fprintf(stderr, "\r%s: %s of %s   %s", file.name.c_str(),
               format_bytes(static_cast<int64_t>(bytes)).c_str(),
               format_bytes(static_cast<int64_t>(file.size_bytes)).c_str(),
               is_complete ? "\n" : "");
}

ExitCode fetch(const DataArguments& arguments) {
  const data::RemoteSet& set = data::remote_set(arguments.name);
  const fs::path to =
      arguments.to.empty() ? default_root() : fs::path(arguments.to);
  const bool is_new = data::fetch(
      set, {.to = to, .from = arguments.from, .progress = &show_progress});
  print_line(fmt::format("{} {}: {}", set.name,
                         is_new ? "is installed in" : "was there already",
                         (to / set.folder).string()));
  return ExitCode::kDone;
}

ExitCode list(const DataArguments& arguments, bool as_json) {
  Json json = Json::array();
  for (const data::RemoteSet& set : data::remote_sets()) {
    const fs::path folder = data::installed_folder(set, arguments.root);
    json.push_back(
        {{"name", set.name},
         {"description", set.description},
         {"download_bytes", total_bytes(set)},
         {"home", set.home},
         {"folder", folder.empty() ? Json() : Json(folder.string())}});
    if (!as_json) {
      print_line(
          fmt::format("{:<14} {:>10}  {}\n{:14} {:10}  {}", set.name,
                      format_bytes(total_bytes(set)), set.description, "", "",
                      folder.empty() ? "not here; fetched from " + set.home
                                     : "in " + folder.string()));
    }
  }
  if (as_json) {
    print_line(json.dump(2));
  }
  return ExitCode::kDone;
}

// Returns the number of damaged files.
int64_t verify_set(const data::RemoteSet& set,
                   const fs::path& folder,
                   const std::string& root) {
  int64_t num_bad = 0;
  for (const data::FileVerdict& verdict : data::verify(set, folder)) {
    num_bad += verdict.is_good ? 0 : 1;
    print_line(fmt::format("{:<8} {} ({})",
                           verdict.is_good ? "good" : "damaged",
                           (folder / verdict.name).string(), verdict.detail));
  }
  if (num_bad == 0) {
    const data::DataSplits splits =
        data::open_dataset({.dataset = set.name, .root = root});
    print_line(fmt::format("{}: {} training and {} test images, {} classes",
                           set.name, splits.train.size(), splits.test.size(),
                           splits.train.info().num_classes()));
  }
  return num_bad;
}

ExitCode verify(const DataArguments& arguments) {
  int64_t num_bad = 0;
  int64_t num_found = 0;
  for (const data::RemoteSet& set : data::remote_sets()) {
    if (!arguments.name.empty() &&
        set.name != data::remote_set(arguments.name).name) {
      continue;
    }
    const fs::path folder = data::installed_folder(set, arguments.root);
    DBLOCKS_CHECK(!folder.empty() || arguments.name.empty(), DataError,
                  "[data] expected the data set {}, found it in no data "
                  "folder. Hint: dblocks data fetch {}",
                  set.name, set.name);
    if (!folder.empty()) {
      ++num_found;
      num_bad += verify_set(set, folder, arguments.root);
    }
  }
  DBLOCKS_CHECK(num_bad == 0, DataError,
                "[data] expected whole files, found {} damaged or missing. "
                "Hint: dblocks data fetch NAME brings them again",
                num_bad);
  if (num_found == 0) {
    print_line("no data set is here");
  }
  return ExitCode::kDone;
}

}  // namespace

void add_data(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<DataArguments>();
  CLI::App* verb = app.add_subcommand(
      "data", "Bring, list and check the data sets with a known home");
  verb->require_subcommand(1);

  CLI::App* fetching = verb->add_subcommand(
      "fetch", "Download a data set, checked by SHA-256, and install it");
  fetching
      ->add_option("name", arguments->name,
                   "fashion_mnist, mnist, cifar10 or cifar100")
      ->required();
  fetching->add_option("--to", arguments->to,
                       "Data folder; default $DBLOCKS_DATA or "
                       "~/.local/share/dblocks");
  fetching->add_option("--from", arguments->from,
                       "Folder, or address of one, that holds the files");
  add_verbose_flag(*fetching, flags);
  fetching->callback([arguments, &action] {
    action = [arguments] { return fetch(*arguments); };
  });

  CLI::App* listing =
      verb->add_subcommand("list", "Data sets, their sizes, where they lie");
  listing->add_option("--root", arguments->root,
                      "Data folder to look in first");
  add_verbose_flag(*listing, flags);
  add_json_flag(*listing, flags);
  listing->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return list(*arguments, flags.json); };
  });

  CLI::App* verifying = verb->add_subcommand(
      "verify", "Check the files of one data set, or of all that are here");
  verifying->add_option("name", arguments->name, "Name of the data set");
  verifying->add_option("--root", arguments->root,
                        "Data folder to look in first");
  add_verbose_flag(*verifying, flags);
  verifying->callback([arguments, &action] {
    action = [arguments] { return verify(*arguments); };
  });
}

}  // namespace dblocks::cli
