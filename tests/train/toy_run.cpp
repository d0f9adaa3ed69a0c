// SPDX-License-Identifier: Apache-2.0
#include "tests/train/toy_run.h"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "dblocks/core/random.h"
#include "dblocks/train/run_checkpoints.h"

namespace dblocks::train::testing {
namespace {

std::string read_all(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string log_without_timings(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string result;
  for (std::string line; std::getline(in, line);) {
    nlohmann::ordered_json json = nlohmann::ordered_json::parse(line);
    for (const char* key :
         {"images_per_second", "data_wait_share", "peak_tensor_bytes",
          "paging_wait_share", "paging_hidden_share", "commit_wait_share"}) {
      json.erase(key);
    }
    result += json.dump() + "\n";
  }
  return result;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "dblocks_XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("no temporary folder");
  }
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::filesystem::remove_all(path_);
}

data::Dataset toy_images() {
  data::DatasetInfo info{.name = "toy",
                         .channels = 1,
                         .rows = 8,
                         .columns = 8,
                         .class_names = {"a", "b", "c", "d"},
                         .mean = {0.5},
                         .std = {0.25}};
  RandomStream stream(5, RandomPurpose::kNoise, 0, 0);
  std::vector<int64_t> labels;
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < 96; ++i) {
    labels.push_back(i % 4);
    for (int64_t p = 0; p < 64; ++p) {
      // One quadrant of each image is bright: its number is the class.
      const int64_t quadrant = p / 32 * 2 + p % 8 / 4;
      const uint64_t level = quadrant == i % 4 ? 150 : 0;
      pixels.push_back(static_cast<uint8_t>(level + stream.next_below(100)));
    }
  }
  return data::Dataset(info, labels, pixels);
}

RunSetup toy_setup() {
  RunSetup setup;
  setup.task.shape = {.options = {.num_layers = 3,
                                  .width = 24,
                                  .heads = 2,
                                  .mlp_width = 32,
                                  .patch = 4,
                                  .dropout = 0.1},
                      .channels = 1,
                      .rows = 8,
                      .columns = 8,
                      .num_classes = 4};
  setup.task.seed = 7;
  setup.loader = {.batch_size = 16,
                  .workers = 1,
                  .prefetch = 2,
                  .seed = 7,
                  .augment = {.crop_padding = 1, .flip = true}};
  setup.optim.warmup_steps = 3;
  setup.optim.ema_decay = 0.9;
  setup.train = {.steps = 12, .steps_per_visit = 2, .log_every_steps = 4};
  setup.checkpoint = {.every_steps = 5, .keep = 2};
  setup.fingerprint = "00112233445566778899aabbccddeeff";
  return setup;
}

RunSetup with_schedule(TrainingSchedule schedule) {
  RunSetup setup = toy_setup();
  setup.train.schedule = schedule;
  return setup;
}

RunSetup shared_setup() {
  RunSetup setup = toy_setup();
  constexpr auto shared = blocks::Ownership::kShared;
  setup.task.blocks.ownership = {.stem = shared,
                                 .positions = shared,
                                 .target_table = blocks::Ownership::kFrozen,
                                 .sigma_embedder = shared,
                                 .final_norm = shared,
                                 .head = shared};
  setup.train.schedule = TrainingSchedule::kRandom;
  return setup;
}

RunSetup generation_setup() {
  RunSetup setup = toy_setup();
  setup.task.kind = tasks::TaskKind::kImageGeneration;
  setup.task.dit = {.options = {.size = models::DitSize::kCustom,
                                .num_layers = 3,
                                .width = 24,
                                .heads = 2,
                                .patch = 4},
                    .channels = 1,
                    .rows = 8,
                    .columns = 8,
                    .num_classes = 4};
  return setup;
}

TrainResult train_toy(const RunSetup& setup,
                      const std::filesystem::path& folder,
                      std::optional<int64_t> only_unit,
                      int64_t stop_after) {
  static const data::Dataset images = toy_images();
  std::atomic<bool> stop{false};
  int64_t taken = 0;
  Trainer trainer(setup, images, RunFolder(folder),
                  {.only_unit = only_unit,
                   .stop = &stop,
                   .on_progress = [&](const report::Progress&) {
                     stop = ++taken == stop_after;
                   }});
  return trainer.run();
}

std::map<std::string, std::string> contents(const RunSetup& setup,
                                            const std::filesystem::path& run) {
  const RunFolder folder(run);
  std::map<std::string, std::string> result;
  const auto add = [&](const std::string& name,
                       const std::filesystem::path& checkpoint) {
    for (const auto& file : std::filesystem::directory_iterator(checkpoint)) {
      result[name + file.path().filename().string()] = read_all(file.path());
    }
  };
  const RunCheckpoints found = find_checkpoints(folder, setup, 3);
  for (int64_t unit = 0; unit < 3; ++unit) {
    if (found.units[unit]) {
      const std::string name = std::to_string(unit) + "/";
      add(name, found.units[unit]->folder);
      result[name + "log"] = log_without_timings(folder.log(unit));
    }
  }
  if (found.shared) {
    add("shared/", found.shared->folder);
  }
  return result;
}

}  // namespace dblocks::train::testing
