// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/noise_loss.h"

#include <ATen/ops/full.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "dblocks/core/batch_part.h"
#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/ops/normal_noise.h"
#include "dblocks/tasks/image_denoising_unit.h"

namespace dblocks::tasks {
namespace {

constexpr int64_t kImagesOfALevel = 250;
/// Of the stream of epsilon: beyond the steps of any training.
constexpr uint64_t kStep = 0xffff0000;

double loss_at(const ImageDenoisingUnit& unit,
               const LabelledBatch& images,
               const at::Tensor& epsilon,
               double sigma) {
  const int64_t count = images.labels.size(0);
  double sum = 0;
  for (int64_t first = 0; first < count; first += kImagesOfALevel) {
    const BatchPart part{first, std::min(kImagesOfALevel, count - first)};
    const BatchNoise noise{at::full({part.count}, sigma, epsilon.options()),
                           epsilon.narrow(0, part.first, part.count)};
    sum +=
        static_cast<double>(part.count) *
        unit.loss_with_noise(narrow(images, part), noise).loss.item<double>();
  }
  return sum / static_cast<double>(count);
}

}  // namespace

std::vector<double> noise_levels(const noise::Partition& partition,
                                 int64_t count) {
  DBLOCKS_ASSERT(count >= 2, "two levels at least");
  const double low = partition.boundaries().front();
  const double high = partition.boundaries().back();
  std::vector<double> sigmas;
  for (int64_t i = 0; i < count; ++i) {
    const double share =
        static_cast<double>(i) / static_cast<double>(count - 1);
    sigmas.push_back(low * std::pow(high / low, share));
  }
  sigmas.back() = high;
  return sigmas;
}

std::vector<NoiseLoss> noise_losses(const Task& task,
                                    const UnitLoader& load_unit,
                                    const LabelledBatch& images,
                                    const std::vector<double>& sigmas,
                                    uint64_t seed) {
  const c10::InferenceMode inference;
  // Of the same key for every unit and level.
  const at::Tensor epsilon =
      ops::normal_noise({seed, RandomPurpose::kNoise, 0, kStep},
                        {images.images.size(0), images.images[0].numel()},
                        images.images.device());
  std::vector<NoiseLoss> result;
  result.reserve(sigmas.size());
  for (const double sigma : sigmas) {
    result.push_back(
        {.sigma = sigma, .unit = task.partition().block_of(sigma)});
  }
  for (int64_t index = 0; index < task.num_units(); ++index) {
    std::unique_ptr<Unit> unit;
    for (NoiseLoss& level : result) {
      if (level.unit != index) {
        continue;
      }
      if (!unit) {
        unit = load_unit(index);
        unit->network().eval();
      }
      level.loss = loss_at(dynamic_cast<const ImageDenoisingUnit&>(*unit),
                           images, epsilon, level.sigma);
    }
  }
  return result;
}

}  // namespace dblocks::tasks
