// SPDX-License-Identifier: Apache-2.0
// The optimiser's kernels for CUDA give the bits of those for the CPU.
#include "dblocks/train/update.h"

#include <ATen/Context.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <limits>

#include "dblocks/train/device_update.h"
#include "tests/cuda/device.h"

namespace dblocks::train {
namespace {

class CudaUpdateTest : public dblocks::testing::CudaTest {
 protected:
  static FlatState random_state(StateFormat format, at::Device device) {
    at::manual_seed(3);
    return FlatState({{"a", at::randn({700, 33}).to(device), true},
                      {"b", at::randn({129}).to(device), false}},
                     format);
  }

  static void draw_gradient(FlatState& cpu, FlatState& cuda) {
    cpu.gradient().copy_(at::randn({cpu.num_elements()}));
    cuda.gradient().copy_(cpu.gradient());
  }
};

TEST_F(CudaUpdateTest, UpdatesHaveTheBitsOfTheCpu) {
  using Moments = MomentFormat;
  using Weights = WeightFormat;
  for (const StateFormat format :
       {StateFormat{Moments::kFp32, Weights::kFp32, 1},
        StateFormat{Moments::kInt8, Weights::kFp32, 2},
        StateFormat{Moments::kFp32, Weights::kBf16, 2},
        StateFormat{Moments::kInt8, Weights::kBf16, 1}}) {
    SCOPED_TRACE(enum_name(format.moments));
    SCOPED_TRACE(enum_name(format.weights));
    FlatState cpu = random_state(format, at::kCPU);
    FlatState cuda = random_state(format, cuda_);
    at::manual_seed(8);
    for (int64_t step = 1; step <= 20; ++step) {
      draw_gradient(cpu, cuda);
      const optim::AdamWStep settings{
          .weight_decay = 0.1,
          .gradient_scale = 0.7,
          .step = step,
          .rounding_key = static_cast<uint32_t>(77 * step)};
      update_state(cpu, settings, {0.9, 0.99});
      update_state(cuda, settings, {0.9, 0.99});
    }
    EXPECT_TRUE(cuda.weights().cpu().equal(cpu.weights()));
    EXPECT_TRUE(cuda.first_moment().cpu().equal(cpu.first_moment()));
    EXPECT_TRUE(cuda.second_moment().cpu().equal(cpu.second_moment()));
    for (int64_t i = 0; i < format.averages; ++i) {
      EXPECT_TRUE(cuda.average(i).cpu().equal(cpu.average(i)));
    }
    if (format.weights == WeightFormat::kBf16) {
      EXPECT_TRUE(cuda.stored_weights().cpu().equal(cpu.stored_weights()));
    }
    if (format.moments == MomentFormat::kInt8) {
      EXPECT_TRUE(cuda.first_scales().cpu().equal(cpu.first_scales()));
      EXPECT_TRUE(cuda.second_scales().cpu().equal(cpu.second_scales()));
    }
  }
}

TEST_F(CudaUpdateTest, NormIsThatOfTheCpu) {
  FlatState cpu = random_state({}, at::kCPU);
  FlatState cuda = random_state({}, cuda_);
  draw_gradient(cpu, cuda);
  const double expected = gradient_norm(cpu);
  EXPECT_NEAR(gradient_norm(cuda), expected, 1e-12 * expected);
  cuda.gradient().narrow(0, 17, 1).fill_(
      std::numeric_limits<double>::quiet_NaN());
  EXPECT_FALSE(std::isfinite(gradient_norm(cuda)));
}

}  // namespace
}  // namespace dblocks::train
