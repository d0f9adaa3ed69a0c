// SPDX-License-Identifier: Apache-2.0
// The table of kernels, and graphs, which need LibTorch's CUDA half: its
// allocator has to keep a graph's memory apart.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "dblocks/ops/cuda/launches.h"

namespace dblocks::ops::cuda {
namespace {

/// The stream that work is recorded on: always the same one, because cuBLAS
/// keeps memory for each stream that it has seen.
c10::cuda::CUDAStream recording_stream() {
  static const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  return stream.device_index() == c10::cuda::current_device()
             ? stream
             : c10::cuda::getStreamFromPool();
}

class TorchGraph : public Graph {
 public:
  void capture(const std::function<void()>& body, Graph* before) override {
    // Not the whole device: states may be on their way.
    c10::cuda::getCurrentCUDAStream().synchronize();
    c10::cuda::MempoolId_t pool{0, 0};
    if (before != nullptr) {
      pool = static_cast<TorchGraph*>(before)->graph_.pool();
    } else {
      // What steps before have left would lie beside the graph's own memory.
      c10::cuda::CUDACachingAllocator::emptyCache();
    }
    const c10::cuda::CUDAStreamGuard guard(recording_stream());
    graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      body();
    } catch (...) {
      end_quietly();
      throw;
    }
    graph_.capture_end();
  }

  void replay() override { graph_.replay(); }

 private:
  void end_quietly() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {
      // The error that broke the capture off is the one to report.
    }
    (void)cudaGetLastError();
  }

  at::cuda::CUDAGraph graph_;
};

Graph* make_graph() {
  return new TorchGraph;
}

const char* text_of(cudaError_t error) {
  (void)cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* pin(void* memory, int64_t bytes) {
  return text_of(cudaHostRegister(memory, static_cast<size_t>(bytes),
                                  cudaHostRegisterPortable));
}

const char* unpin(void* memory) {
  return text_of(cudaHostUnregister(memory));
}

constexpr Kernels kTable = {
    .version = kKernelsVersion,
    .norm = norm,
    .norm_backward = norm_backward,
    .gate = gate,
    .gate_backward = gate_backward,
    .gelu = gelu,
    .drop = drop,
    .fill_normal = fill_normal,
    .gradient_norm = gradient_norm,
    .clip = clip,
    .adamw = adamw,
    .adamw_int8 = adamw_int8,
    .make_graph = make_graph,
    .pin = pin,
    .unpin = unpin,
};

}  // namespace
}  // namespace dblocks::ops::cuda

extern "C" __attribute__((visibility("default")))
const dblocks::ops::cuda::Kernels*
dblocks_cuda_kernels() {
  return &dblocks::ops::cuda::kTable;
}
