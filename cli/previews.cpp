// SPDX-License-Identifier: Apache-2.0
#include "cli/previews.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string>

#include "cli/image_grid.h"
#include "cli/output.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"
#include "dblocks/core/log.h"
#include "dblocks/report/png.h"
#include "dblocks/tasks/image_sampler.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxClasses = 10, kRows = 2;
constexpr uint64_t kMaxPreviewBytes = uint64_t{1} << 20;

/// Steps by file; a name is a number and ".png".
std::map<int64_t, fs::path> preview_files(const fs::path& run) {
  std::map<int64_t, fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run / kPreviewsName, error)) {
    const std::string stem = entry.path().stem().string();
    int64_t steps = 0;
    const auto [end, code] =
        std::from_chars(stem.data(), stem.data() + stem.size(), steps);
    if (entry.path().extension() == ".png" && code == std::errc() &&
        end == stem.data() + stem.size() && steps > 0) {
      files[steps] = entry.path();
    }
  }
  return files;
}

}  // namespace

Previews::Previews(const RunContext& context,
                   const train::RunFolder& folder,
                   at::Device device)
    : context_(context), folder_(folder), device_(device) {
  const int64_t channels = context.data.train.info().channels;
  if (context.setup.task.kind == tasks::TaskKind::kImageGeneration &&
      (channels == 1 || channels == 3)) {
    every_ = context.setup.report.previews_every_steps;
  }
  const auto files = preview_files(folder.root());
  drawn_ = files.empty() ? 0 : files.rbegin()->first;
}

void Previews::after_step(const report::Progress& progress) {
  const int64_t distance = context_.setup.checkpoint.every_steps;
  // Nothing new is on disk between two checkpoints.
  if (every_ == 0 ||
      (progress.step % distance != 0 && progress.step != progress.steps)) {
    return;
  }
  try {
    const std::vector<int64_t> steps =
        train::find_checkpoints(folder_, context_.setup, progress.num_blocks)
            .steps();
    const int64_t least = *std::ranges::min_element(steps);
    if (least / every_ > drawn_ / every_) {
      draw(least);
      drawn_ = least;
    }
  } catch (const Error& error) {
    log().warn("[train] no preview is drawn: {}", error.what());
  }
}

void Previews::draw(int64_t steps) const {
  const c10::InferenceMode inference;
  const train::RunReader reader(context_.setup, folder_);
  const int64_t classes =
      std::min(kMaxClasses, context_.data.train.info().num_classes());
  tasks::ImageRequest request{.device = device_};
  for (int64_t i = 0; i < kRows * classes; ++i) {
    request.labels.push_back(i % classes);
  }
  const at::Tensor pixels = tasks::to_pixels(
      tasks::sample_images(
          reader.task(),
          [&](int64_t unit) { return reader.load_unit(unit, device_); },
          context_.setup.sampling, request),
      context_.setup.loader.mean, context_.setup.loader.std);
  const fs::path folder = folder_.root() / kPreviewsName;
  real_file_system().make_folders(folder);
  replace_file(folder / fmt::format("{:08}.png", steps),
               report::png_bytes(image_grid(pixels, classes)));
}

std::vector<report::Preview> read_previews(const fs::path& run, size_t most) {
  const auto files = preview_files(run);
  const std::vector<std::pair<int64_t, fs::path>> all(files.begin(),
                                                      files.end());
  const size_t count = std::min(most, all.size());
  std::vector<report::Preview> previews;
  for (size_t i = 0; i < count; ++i) {
    const auto& [steps, file] =
        all[count == 1 ? all.size() - 1 : i * (all.size() - 1) / (count - 1)];
    const std::string png =
        real_file_system().read_file(file, kMaxPreviewBytes);
    if (png.starts_with("\x89PNG")) {
      previews.push_back(
          {steps, report::base64({reinterpret_cast<const uint8_t*>(png.data()),
                                  png.size()})});
    }
  }
  return previews;
}

}  // namespace dblocks::cli
