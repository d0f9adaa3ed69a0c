// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "dblocks/core/error.h"
#include "dblocks/ops/cuda/plugin.h"

namespace dblocks::testing {

/// A test on the first CUDA device, with our kernels.
class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    try {
      count = ops::cuda::open_devices();
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
    if (count == 0) {
      GTEST_SKIP() << "no CUDA device";
    }
    ASSERT_NE(ops::cuda::kernels(), nullptr);
  }

  const at::Device cuda_{at::kCUDA, 0};
};

}  // namespace dblocks::testing
