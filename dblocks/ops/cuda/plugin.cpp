// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/cuda/plugin.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"

namespace dblocks::ops::cuda {
namespace {

constexpr const char* kLibrary = "libdblocks_cuda.so";

std::atomic<const Kernels*> loaded{nullptr};

std::filesystem::path library_path() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() /
         kLibrary;
}

void load_kernels() {
  const std::filesystem::path path = library_path();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    log().info(
        "[device] no {} beside the program: LibTorch's own operations serve. "
        "Hint: build with the CUDA toolkit for faster ones",
        kLibrary);
    return;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  DBLOCKS_CHECK(library != nullptr, DeviceError, "[device] cannot load {}: {}",
                path.string(), dlerror());
  const auto table =
      reinterpret_cast<KernelsFunction>(dlsym(library, kKernelsSymbol));
  DBLOCKS_CHECK(table != nullptr && table()->version == kKernelsVersion,
                DeviceError,
                "[device] expected kernels of version {} in {}, found others. "
                "Hint: build or install both again",
                kKernelsVersion, path.string());
  loaded = table();
}

}  // namespace

int open_devices() {
  DBLOCKS_CHECK(dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr,
                DeviceError,
                "[device] cannot load LibTorch's CUDA half: {}. Hint: "
                "./quickstart --cuda installs it",
                dlerror());
  const int count =
      at::Context::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (count > 0 && loaded == nullptr) {
    load_kernels();
  }
  return count;
}

const Kernels* kernels() {
  return loaded;
}

bool serves(const at::Tensor& tensor) {
  return tensor.is_cuda() && kernels() != nullptr &&
         (tensor.scalar_type() == at::kFloat ||
          tensor.scalar_type() == at::kBFloat16) &&
         tensor.dim() > 0 && tensor.size(-1) % 4 == 0 &&
         reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

void* current_stream(at::Device device) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  return guard.getStreamNativeHandle(guard.getStream(device));
}

Element element_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat ? Element::kFloat : Element::kBf16;
}

void check(const char* error) {
  DBLOCKS_CHECK(error == nullptr, DeviceError, "[device] a kernel failed: {}",
                error);
}

}  // namespace dblocks::ops::cuda
