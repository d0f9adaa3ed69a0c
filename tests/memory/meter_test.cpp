// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/meter.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <optional>
#include <thread>
#include <vector>

#include "dblocks/core/error.h"

namespace dblocks::memory {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

at::Tensor bytes_tensor(int64_t size) {
  return at::empty({size}, at::TensorOptions().dtype(at::kByte));
}

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// What a training step does: keeps large and small results on the way
// forward, frees them on the way back beside gradients of their size.
void imitate_step() {
  std::vector<at::Tensor> saved;
  for (int layer = 0; layer < 6; ++layer) {
    saved.push_back(bytes_tensor(24 * kMiB).fill_(1));
    const at::Tensor workspace = bytes_tensor(8 * kMiB).fill_(1);
    saved.push_back(bytes_tensor(4 * kMiB).fill_(1));
  }
  while (!saved.empty()) {
    const at::Tensor gradient = bytes_tensor(saved.back().numel()).fill_(1);
    saved.pop_back();
  }
}

class MeterTest : public testing::Test {
 protected:
  void SetUp() override {
    install_cpu_meter();
    release_kept_memory();
    reset_cpu_peak();
    start_ = cpu_live_bytes();
  }
  int64_t live() const { return cpu_live_bytes() - start_; }
  int64_t peak() const { return cpu_peak_bytes() - start_; }

 private:
  int64_t start_ = 0;
};

TEST_F(MeterTest, CountsTheBytesOfLiveTensors) {
  std::optional<at::Tensor> large = bytes_tensor(3 * kMiB + 5);
  EXPECT_EQ(live(), 3 * kMiB + 5);
  std::optional<at::Tensor> small =
      at::zeros({10}, at::TensorOptions().dtype(at::kFloat));
  EXPECT_EQ(live(), 3 * kMiB + 5 + 40);
  large.reset();
  EXPECT_EQ(live(), 40);
  small.reset();
  EXPECT_EQ(live(), 0);
}

TEST_F(MeterTest, ViewsShareTheirBytes) {
  const at::Tensor whole = bytes_tensor(2 * kMiB);
  const at::Tensor view = whole.narrow(0, 5, 100);
  EXPECT_EQ(live(), 2 * kMiB);
}

TEST_F(MeterTest, PeakIsTheMostEverAliveAtOnce) {
  {
    const at::Tensor a = bytes_tensor(5 * kMiB);
    { const at::Tensor b = bytes_tensor(7 * kMiB); }
    const at::Tensor c = bytes_tensor(2 * kMiB);
  }
  EXPECT_EQ(live(), 0);
  EXPECT_EQ(peak(), 12 * kMiB);
  reset_cpu_peak();
  const at::Tensor d = bytes_tensor(1 * kMiB);
  EXPECT_EQ(peak(), 1 * kMiB);
}

TEST_F(MeterTest, EmptyTensorsCostNothing) {
  const at::Tensor none = bytes_tensor(0);
  EXPECT_EQ(live(), 0);
}

TEST_F(MeterTest, ResizedStorageIsCountedAtItsNewSize) {
  at::Tensor tensor = bytes_tensor(10);
  tensor.resize_({4 * kMiB});
  EXPECT_EQ(live(), 4 * kMiB);
}

TEST_F(MeterTest, MemoryOfTensorsIsAligned) {
  for (const int64_t size : {int64_t{1}, int64_t{1000}, 2 * kMiB, 9 * kMiB}) {
    const at::Tensor tensor = bytes_tensor(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data_ptr()) % 64, 0U) << size;
  }
}

TEST_F(MeterTest, RawMemoryGoesBackToWhereItCameFrom) {
  auto* allocator = c10::GetCPUAllocator();
  for (const size_t size : {size_t{100}, size_t{5} << 20}) {
    void* data = allocator->raw_allocate(size);
    EXPECT_EQ(live(), static_cast<int64_t>(size));
    allocator->raw_deallocate(data);
    EXPECT_EQ(live(), 0);
  }
}

TEST_F(MeterTest, ManyThreadsAreCountedExactly) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([thread] {
      for (int i = 0; i < 300; ++i) {
        const at::Tensor small = bytes_tensor(100 + i);
        const at::Tensor large = bytes_tensor(kMiB * (1 + (i + thread) % 3));
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(live(), 0);
  EXPECT_GE(peak(), 3 * kMiB);
  EXPECT_LE(peak(), 4 * (3 * kMiB + 400));
}

TEST_F(MeterTest, TensorsInReusedMemoryDoNotShareIt) {
  { const at::Tensor old = bytes_tensor(2 * kMiB).fill_(7); }
  const at::Tensor a = bytes_tensor(2 * kMiB).fill_(1);
  const at::Tensor b = bytes_tensor(2 * kMiB).fill_(2);
  EXPECT_TRUE(a.eq(1).all().item<bool>());
  EXPECT_TRUE(b.eq(2).all().item<bool>());
  EXPECT_TRUE(at::zeros({2 * kMiB}).eq(0).all().item<bool>());
}

TEST_F(MeterTest, LaterStepsTakeHardlyAnyPageFaults) {
  imitate_step();
  const int64_t before = page_faults();
  imitate_step();
  // 168 MiB saved and as much in gradients: 40,000 pages touched afresh.
  EXPECT_LT(page_faults() - before, 400);
}

TEST_F(MeterTest, KeptMemoryStaysWithinTheLimitAndCanBeReleased) {
  imitate_step();
  EXPECT_GT(cpu_kept_bytes(), 100 * kMiB);
  EXPECT_LE(cpu_kept_bytes(),
            static_cast<int64_t>(1.25 * static_cast<double>(peak())) + kMiB);
  release_kept_memory();
  EXPECT_EQ(cpu_kept_bytes(), 0);
}

TEST_F(MeterTest, WithoutKeepingNothingIsKept) {
  std::optional<at::Tensor> from_cache = bytes_tensor(6 * kMiB);
  install_cpu_meter({.keep_freed = false});
  { const at::Tensor passing = bytes_tensor(6 * kMiB); }
  EXPECT_EQ(cpu_kept_bytes(), 0);
  EXPECT_EQ(live(), 6 * kMiB);
  from_cache.reset();
  EXPECT_EQ(cpu_kept_bytes(), 0);
  EXPECT_EQ(live(), 0);
}

TEST_F(MeterTest, PolicyThatCannotHoldIsRefused) {
  EXPECT_THROW(install_cpu_meter({.limit_ratio = 0.5}), ConfigError);
  EXPECT_THROW(install_cpu_meter({.limit_ratio = NAN}), ConfigError);
}

TEST_F(MeterTest, ImpossibleSizeIsAnError) {
  EXPECT_ANY_THROW(bytes_tensor(int64_t{1} << 60));
  EXPECT_EQ(live(), 0);
}

TEST_F(MeterTest, ATensorBeyondTheLimitIsRefusedAndChangesNothing) {
  const at::Tensor held = bytes_tensor(2 * kMiB);
  set_cpu_limit(cpu_live_bytes() + 3 * kMiB);
  { const at::Tensor fits = bytes_tensor(3 * kMiB); }
  const int64_t highest = peak();
  EXPECT_THROW(bytes_tensor(3 * kMiB + 1), OutOfMemoryError);
  EXPECT_EQ(live(), 2 * kMiB);
  EXPECT_EQ(peak(), highest);
  set_cpu_limit(0);
  EXPECT_EQ(bytes_tensor(4 * kMiB).numel(), 4 * kMiB);
}

// The first test of a process that frees what was there before the meter.
const at::Tensor& older_than_the_meter() {
  static at::Tensor tensor = bytes_tensor(8 * kMiB);
  return tensor;
}
[[maybe_unused]] const bool is_made = older_than_the_meter().defined();

TEST_F(MeterTest, TensorsOlderThanTheMeterAreFreedUncounted) {
  auto& older = const_cast<at::Tensor&>(older_than_the_meter());
  EXPECT_TRUE(older.fill_(3).eq(3).all().item<bool>());
  older = at::Tensor();
  EXPECT_EQ(live(), 0);
}

}  // namespace
}  // namespace dblocks::memory
