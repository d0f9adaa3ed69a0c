// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/normal_noise.h"

#include <ATen/ops/empty.h>

#include "dblocks/ops/cuda/plugin.h"

namespace dblocks::ops {

at::Tensor normal_noise(const StreamKey& key,
                        at::IntArrayRef shape,
                        at::Device device) {
  RandomStream stream(key.seed, key.purpose, key.a, key.b);
  if (device.is_cuda() && cuda::kernels() != nullptr) {
    at::Tensor noise =
        at::empty(shape, at::TensorOptions(at::kFloat).device(device));
    cuda::check(cuda::kernels()->fill_normal(
        stream.key(), static_cast<uint32_t>(key.a),
        static_cast<uint32_t>(key.b), noise.numel(),
        noise.mutable_data_ptr<float>(), cuda::current_stream(device)));
    return noise;
  }
  at::Tensor noise = at::empty(shape, at::kFloat);
  stream.fill_normal(
      {noise.mutable_data_ptr<float>(), static_cast<size_t>(noise.numel())});
  return noise.to(device);
}

}  // namespace dblocks::ops
