// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_folders.h"
#include "dblocks/checkpoint/manifest.h"
#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/file_system.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

Json inspect_file(const fs::path& path) {
  const checkpoint::SafetensorsFile file(path);
  Json json{{"file", path.string()},
            {"metadata", file.metadata()},
            {"tensors", Json::array()}};
  int64_t bytes = 0;
  for (const TensorBytes& tensor : file.tensors()) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"dtype", dtype_name(tensor.dtype)},
                               {"shape", tensor.shape},
                               {"bytes", tensor.bytes.size()}});
    bytes += static_cast<int64_t>(tensor.bytes.size());
  }
  json["num_tensors"] = file.tensors().size();
  json["tensor_bytes"] = bytes;
  return json;
}

Json inspect_checkpoint(const fs::path& folder) {
  const checkpoint::Manifest m =
      checkpoint::read_manifest(real_file_system(), folder);
  Json json{{"checkpoint", folder.string()},
            {"unit", enum_name(m.unit)},
            {"block", m.block},
            {"num_blocks", m.num_blocks},
            {"layers", {m.first_layer, m.end_layer}},
            {"interval", {m.sigma_low, m.sigma_high}},
            {"step", m.step},
            {"recipe_fingerprint", m.recipe_fingerprint},
            {"files", Json::array()}};
  for (const checkpoint::ManifestFile& file : m.files) {
    json["files"].push_back({{"name", file.name},
                             {"bytes", file.size_bytes},
                             {"xxh3_128", file.hash.hex()}});
  }
  return json;
}

Json inspect_run(const fs::path& run) {
  Json json{{"run", run.string()}, {"checkpoints", Json::array()}};
  for (const fs::path& folder : checkpoint_folders(run)) {
    json["checkpoints"].push_back(inspect_checkpoint(folder));
  }
  DBLOCKS_CHECK(!json["checkpoints"].empty(), CheckpointError,
                "[inspect] {}: expected a run, a checkpoint or a safetensors "
                "file, found a folder without checkpoints",
                run.string());
  return json;
}

void print_file(const Json& json) {
  for (const Json& t : json["tensors"]) {
    print_line(fmt::format("{:<5} {:<20} {}", t["dtype"].get<std::string>(),
                           t["shape"].dump(), t["name"].get<std::string>()));
  }
  print_line(fmt::format("{} tensors, {}", json["num_tensors"].get<int64_t>(),
                         format_bytes(json["tensor_bytes"].get<int64_t>())));
}

void print_checkpoint(const Json& json) {
  print_line(
      fmt::format("{}: {} {} of {}, layers {}, sigma {}, step {}",
                  json["checkpoint"].get<std::string>(),
                  json["unit"].get<std::string>(), json["block"].get<int64_t>(),
                  json["num_blocks"].get<int64_t>(), json["layers"].dump(),
                  json["interval"].dump(), json["step"].get<int64_t>()));
  for (const Json& file : json["files"]) {
    print_line(fmt::format(
        "  {} {:>12}  {}", file["xxh3_128"].get<std::string>(),
        file["bytes"].get<int64_t>(), file["name"].get<std::string>()));
  }
}

ExitCode inspect(const CommonFlags& flags, const fs::path& path) {
  DBLOCKS_CHECK(fs::exists(path), CheckpointError,
                "[inspect] expected a run, a checkpoint or a safetensors file, "
                "found nothing at {}",
                path.string());
  const bool is_folder = fs::is_directory(path);
  const bool is_checkpoint =
      is_folder && fs::exists(path / checkpoint::kManifestName);
  const Json json = is_checkpoint ? inspect_checkpoint(path)
                    : is_folder   ? inspect_run(path)
                                  : inspect_file(path);
  if (flags.json) {
    print_line(json.dump(2));
  } else if (is_checkpoint) {
    print_checkpoint(json);
  } else if (is_folder) {
    for (const Json& item : json["checkpoints"]) {
      print_checkpoint(item);
    }
  } else {
    print_file(json);
  }
  return ExitCode::kDone;
}

}  // namespace

void add_inspect(CLI::App& app, CommonFlags& flags, Action& action) {
  auto path = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "inspect", "Show a run, a checkpoint or a safetensors file");
  verb->add_option("path", *path, "What to look at")->required();
  add_verbose_flag(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([path, &flags, &action] {
    action = [path, &flags] { return inspect(flags, *path); };
  });
}

}  // namespace dblocks::cli
