// SPDX-License-Identifier: Apache-2.0
#include "cli/run_data.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/run_context.h"
#include "dblocks/config/recipe.h"
#include "dblocks/config/resolve.h"
#include "dblocks/config/setup.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxBytes = uint64_t{16} << 20;
constexpr int64_t kMaxSide = 65'536;
constexpr int64_t kMaxChannels = 16;
constexpr size_t kMaxListed = 20;
// Stands in data.json for bytes of a name that are not UTF-8.
constexpr const char* kReplaced = "\xef\xbf\xbd";

std::filesystem::path info_file(const train::RunFolder& folder) {
  return folder.root() / "data.json";
}

bool is_sound(const data::DatasetInfo& info) {
  const auto channels = static_cast<size_t>(info.channels);
  return info.channels >= 1 && info.channels <= kMaxChannels &&
         info.rows >= 1 && info.rows <= kMaxSide && info.columns >= 1 &&
         info.columns <= kMaxSide && !info.class_names.empty() &&
         info.mean.size() == channels && info.std.size() == channels;
}

bool has_own_classes(const data::DatasetInfo& info) {
  return info.name == "image_folder" || info.name == "safetensors" ||
         info.name == "npz";
}

}  // namespace

void keep_data_info(const train::RunFolder& folder,
                    const data::DatasetInfo& info) {
  FileSystem& disk = real_file_system();
  const std::filesystem::path file = info_file(folder);
  if (disk.exists(file)) {
    return;
  }
  const Json json{{"name", info.name},
                  {"channels", info.channels},
                  {"rows", info.rows},
                  {"columns", info.columns},
                  {"class_names", info.class_names},
                  {"mean", info.mean},
                  {"std", info.std}};
  // Folder names need not be UTF-8; JSON has to be.
  const std::string text =
      json.dump(2, ' ', false, Json::error_handler_t::replace);
  const std::filesystem::path temporary = file.string() + ".tmp";
  disk.write_file(temporary, text + "\n");
  disk.rename(temporary, file);
  disk.sync_folder(folder.root());
}

std::optional<data::DatasetInfo> read_data_info(
    const train::RunFolder& folder) {
  FileSystem& disk = real_file_system();
  const std::filesystem::path file = info_file(folder);
  if (!disk.exists(file)) {
    return std::nullopt;
  }
  data::DatasetInfo info;
  try {
    const Json json = Json::parse(disk.read_file(file, kMaxBytes));
    json.at("name").get_to(info.name);
    json.at("channels").get_to(info.channels);
    json.at("rows").get_to(info.rows);
    json.at("columns").get_to(info.columns);
    json.at("class_names").get_to(info.class_names);
    json.at("mean").get_to(info.mean);
    json.at("std").get_to(info.std);
  } catch (const Json::exception& error) {
    throw CheckpointError(fmt::format(
        "[run] expected the description of a run's data, found damage ({}): {}",
        error.what(), file.string()));
  }
  DBLOCKS_CHECK(is_sound(info), CheckpointError,
                "[run] expected images and classes, found sizes that make no "
                "sense: {}",
                file.string());
  return info;
}

void check_data_info(const train::RunFolder& folder,
                     const data::DatasetInfo& info) {
  const std::optional<data::DatasetInfo> trained = read_data_info(folder);
  if (!trained) {
    return;
  }
  DBLOCKS_CHECK(trained->num_classes() == info.num_classes(), DataError,
                "[run] expected the {} classes that {} was trained on, found "
                "{} in the data. Hint: a new class needs a new run",
                trained->num_classes(), folder.root().string(),
                info.num_classes());
  DBLOCKS_CHECK(trained->channels == info.channels &&
                    trained->rows == info.rows &&
                    trained->columns == info.columns,
                DataError,
                "[run] expected images of {} x {} x {} as {} was trained on, "
                "found {} x {} x {}",
                trained->channels, trained->rows, trained->columns,
                folder.root().string(), info.channels, info.rows, info.columns);
  for (size_t i = 0; has_own_classes(info) && i < info.class_names.size();
       ++i) {
    const std::string& name = trained->class_names[i];
    DBLOCKS_CHECK(
        name == info.class_names[i] || name.find(kReplaced) != name.npos,
        DataError,
        "[run] expected class {} to be '{}' as {} was trained on, "
        "found '{}' in the data",
        i, name, folder.root().string(), info.class_names[i]);
  }
}

void print_bad_samples(const data::Dataset& set, const char* split) {
  if (set.bad_samples() == nullptr) {
    return;
  }
  const std::vector<data::BadSample> bad = set.bad_samples()->list();
  if (bad.empty()) {
    return;
  }
  print_line(fmt::format("passed over {} damaged of {} {} samples:", bad.size(),
                         set.size(), split));
  for (size_t i = 0; i < bad.size() && i < kMaxListed; ++i) {
    print_line(fmt::format("  sample {}: {}", bad[i].sample, bad[i].reason));
  }
  if (bad.size() > kMaxListed) {
    print_line(fmt::format("  and {} more", bad.size() - kMaxListed));
  }
}

TrainedNetwork open_network(const std::filesystem::path& run,
                            at::Device device,
                            const std::vector<std::string>& overrides) {
  const train::RunFolder folder(run);
  std::optional<data::DatasetInfo> info = read_data_info(folder);
  if (!info || !real_file_system().exists(folder.resolved())) {
    const RunContext context = open_run(run, overrides, device);
    return {context.setup, context.data.train.info()};
  }
  // Resolved already, so the number of training images does not matter.
  check_overrides(config::load_recipe(folder.resolved()).config, overrides);
  config::LoadedConfig loaded =
      config::load_recipe(folder.resolved(), overrides);
  config::resolve(loaded, loaded.config.data.batch_size);
  return {config::make_setup(loaded.config, *info), *std::move(info)};
}

}  // namespace dblocks::cli
