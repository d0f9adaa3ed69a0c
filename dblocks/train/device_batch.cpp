// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/device_batch.h"

#include <ATen/ops/from_blob.h>

#include <span>
#include <vector>

namespace dblocks::train {

tasks::LabelledBatch to_device(const data::Batch& batch,
                               const data::DatasetInfo& info,
                               at::Device device) {
  // from_blob wants a mutable pointer; nothing writes through it.
  const at::Tensor images = at::from_blob(
      const_cast<float*>(batch.images.data()),
      {batch.num_samples, info.channels, info.rows, info.columns}, at::kFloat);
  const at::Tensor labels =
      at::from_blob(const_cast<int64_t*>(batch.labels.data()),
                    {batch.num_samples}, at::kLong);
  return {images.to(device), labels.to(device)};
}

tasks::LabelledSet labelled_set(const data::Dataset& set, at::Device device) {
  tasks::LabelledSet result;
  const std::vector<int64_t> samples = set.readable_samples();
  for (const int64_t i : samples) {
    result.labels.push_back(set.label(i));
  }
  result.images = [&set, samples, device](int64_t first, int64_t count) {
    const data::Batch batch = data::evaluation_batch(
        set, std::span(samples).subspan(static_cast<size_t>(first),
                                        static_cast<size_t>(count)));
    // The batch ends here, so its images have to be copied even on the CPU.
    return to_device(batch, set.info(), at::kCPU).images.clone().to(device);
  };
  return result;
}

}  // namespace dblocks::train
