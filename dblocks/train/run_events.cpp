// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/run_events.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace dblocks::train {
namespace {

constexpr int64_t kSheetColumns = 8;
constexpr int64_t kMaxSheetImages = 32;

/// Keys of a line that say where it belongs.
bool is_position(const std::string& key) {
  return key == "step" || key == "steps" || key == "block";
}

uint8_t to_pixel(double value) {
  return static_cast<uint8_t>(std::clamp(std::round(value * 255), 0.0, 255.0));
}

/// Pictures of the first images side by side.
report::PixelImage sheet_of(const data::Batch& batch,
                            const data::DatasetInfo& info,
                            const std::vector<double>& mean,
                            const std::vector<double>& std) {
  const int64_t count = std::min(batch.num_samples, kMaxSheetImages);
  const int64_t across = std::min(count, kSheetColumns);
  report::PixelImage sheet{.rows = (count + across - 1) / across * info.rows,
                           .columns = across * info.columns,
                           .channels = info.channels};
  sheet.pixels.resize(
      static_cast<size_t>(sheet.rows * sheet.columns * sheet.channels));
  const float* value = batch.images.data();
  for (int64_t n = 0; n < count; ++n) {
    const int64_t top = n / across * info.rows;
    const int64_t left = n % across * info.columns;
    for (int64_t c = 0; c < info.channels; ++c) {
      for (int64_t i = 0; i < info.rows * info.columns; ++i) {
        const int64_t row = top + i / info.columns;
        const int64_t column = left + i % info.columns;
        sheet.pixels[static_cast<size_t>(
            (row * sheet.columns + column) * sheet.channels + c)] =
            to_pixel(*value++ * std[c] + mean[c]);
      }
    }
  }
  return sheet;
}

report::Histogram histogram_of(const at::Tensor& tensor) {
  const at::Tensor values =
      tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  return report::make_histogram(
      {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())});
}

}  // namespace

UnitEvents::UnitEvents(const std::filesystem::path& folder, int64_t last_step)
    : log_(report::EventLog::resume(folder, last_step)) {}

void UnitEvents::write_scalars(const nlohmann::ordered_json& line) {
  report::EventSummary summary;
  for (const auto& [key, value] : line.items()) {
    if (value.is_number() && !is_position(key)) {
      summary.add_scalar(key, static_cast<float>(value.get<double>()));
    }
  }
  log_.write(line.at("step").get<int64_t>(), summary);
}

void UnitEvents::write_batch(int64_t step,
                             const data::Batch& batch,
                             const data::DatasetInfo& info,
                             const data::LoaderOptions& loader) {
  if (info.channels != 1 && info.channels != 3) {
    return;
  }
  report::EventSummary summary;
  summary.add_image(
      "batch",
      sheet_of(batch, info, loader.mean.empty() ? info.mean : loader.mean,
               loader.std.empty() ? info.std : loader.std));
  log_.write(step, summary);
}

void UnitEvents::write_histograms(int64_t step, tasks::Unit& unit) {
  report::EventSummary summary;
  for (const tasks::UnitParameter& p : unit.parameters()) {
    if (p.ownership == blocks::Ownership::kFrozen) {
      continue;
    }
    summary.add_histogram("weights/" + p.name, histogram_of(p.tensor));
    if (p.tensor.grad().defined()) {
      summary.add_histogram("gradients/" + p.name,
                            histogram_of(p.tensor.grad()));
    }
  }
  log_.write(step, summary);
}

}  // namespace dblocks::train
