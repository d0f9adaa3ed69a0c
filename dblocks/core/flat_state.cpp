// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/flat_state.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "dblocks/core/error.h"

namespace dblocks {
namespace {

constexpr int64_t kAlignment = 16;  // float32 elements: 64 bytes

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return at::kBool;
    case DType::kU8:
      return at::kByte;
    case DType::kI8:
      return at::kChar;
    case DType::kI16:
      return at::kShort;
    case DType::kI32:
      return at::kInt;
    case DType::kI64:
      return at::kLong;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kF32:
      return at::kFloat;
    case DType::kF64:
      return at::kDouble;
  }
  return at::kFloat;
}

DType file_type(at::ScalarType type) {
  for (int i = 0; i <= static_cast<int>(DType::kF64); ++i) {
    if (scalar_type(static_cast<DType>(i)) == type) {
      return static_cast<DType>(i);
    }
  }
  DBLOCKS_ASSERT(false, "element type {} has no name in files",
                 static_cast<int>(type));
  return DType::kF32;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace

FlatState::FlatState(std::vector<NamedParameter> parameters,
                     MomentFormat moments)
    : moment_format_(moments) {
  const bool is_float = moments == MomentFormat::kFp32;
  const int64_t alignment = is_float ? kAlignment : kMomentBlock;
  std::stable_partition(parameters.begin(), parameters.end(),
                        [](const auto& p) { return p.decayed; });
  int64_t end = 0;
  for (const NamedParameter& p : parameters) {
    slots_.push_back({p.name, p.tensor.sizes().vec(), end, p.tensor.numel()});
    num_parameters_ += p.tensor.numel();
    end += (p.tensor.numel() + alignment - 1) / alignment * alignment;
    if (p.decayed) {
      num_decayed_ = end;
    }
  }
  c10::NoGradGuard no_grad;
  const auto options =
      parameters.empty()
          ? at::TensorOptions(at::kFloat)
          : parameters.front().tensor.options().requires_grad(std::nullopt);
  weights_ = at::zeros({end}, options);
  gradient_ = at::zeros({end}, options);
  const auto moment_options = is_float ? options : options.dtype(at::kByte);
  first_moment_ = at::zeros({end}, moment_options);
  second_moment_ = at::zeros({end}, moment_options);
  if (!is_float) {
    first_scales_ = at::zeros({end / kMomentBlock}, options);
    second_scales_ = at::zeros({end / kMomentBlock}, options);
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    weights_.narrow(0, slot.offset, slot.count)
        .view(slot.shape)
        .copy_(parameters[i].tensor);
    point_to_slot(parameters[i].tensor, slot);
  }
}

void FlatState::point_to_slot(at::Tensor parameter, const Slot& slot) const {
  const auto view = [&slot](const at::Tensor& flat) {
    return flat.narrow(0, slot.offset, slot.count).view(slot.shape);
  };
  parameter.set_data(view(weights_));
  parameter.mutable_grad() = view(gradient_);
}

void FlatState::attach(const std::vector<NamedParameter>& parameters) {
  c10::NoGradGuard no_grad;
  for (const NamedParameter& p : parameters) {
    const auto slot =
        std::find_if(slots_.begin(), slots_.end(),
                     [&p](const Slot& s) { return s.name == p.name; });
    DBLOCKS_ASSERT(
        slot != slots_.end() && slot->shape == p.tensor.sizes().vec(),
        "no place for parameter '{}'", p.name);
    point_to_slot(p.tensor, *slot);
  }
}

void FlatState::enable_average() {
  c10::NoGradGuard no_grad;
  average_ = weights_.clone();
}

void FlatState::zero_gradient() {
  gradient_.zero_();
}

const at::Tensor& FlatState::buffer(Buffer which) const {
  switch (which) {
    case Buffer::kWeights:
      return weights_;
    case Buffer::kFirstMoment:
      return first_moment_;
    case Buffer::kSecondMoment:
      return second_moment_;
    case Buffer::kAverage:
      return average_;
    case Buffer::kFirstScales:
      return first_scales_;
    case Buffer::kSecondScales:
      return second_scales_;
  }
  return weights_;
}

FlatState::Piece FlatState::piece(Buffer which, const Slot& slot) const {
  const size_t size = buffer(which).element_size();
  if (which == Buffer::kFirstScales || which == Buffer::kSecondScales) {
    const int64_t blocks = (slot.count + kMomentBlock - 1) / kMomentBlock;
    return {{blocks}, slot.offset / kMomentBlock * size, blocks * size};
  }
  return {slot.shape, slot.offset * size, slot.count * size};
}

std::vector<TensorBytes> FlatState::tensors(Buffer which,
                                            const std::string& prefix) {
  at::Tensor flat = buffer(which);
  DBLOCKS_ASSERT(flat.defined(), "no such buffer");
  if (!flat.is_cpu()) {
    flat = host_copies_[static_cast<size_t>(which)] = flat.cpu();
  }
  const auto* base = static_cast<const std::byte*>(flat.const_data_ptr());
  std::vector<TensorBytes> result;
  result.reserve(slots_.size());
  const DType dtype = file_type(flat.scalar_type());
  for (const Slot& slot : slots_) {
    const Piece part = piece(which, slot);
    result.push_back({prefix + slot.name,
                      dtype,
                      part.shape,
                      {base + part.offset, part.count}});
  }
  return result;
}

void FlatState::load(Buffer which,
                     const std::vector<TensorBytes>& found,
                     const std::string& source,
                     const std::string& prefix) {
  const at::Tensor& flat = buffer(which);
  const DType dtype = file_type(flat.scalar_type());
  const at::Tensor host = at::zeros({flat.numel()}, flat.scalar_type());
  auto* base = static_cast<std::byte*>(host.mutable_data_ptr());
  for (const Slot& slot : slots_) {
    const Piece part = piece(which, slot);
    const std::string name = prefix + slot.name;
    const auto it =
        std::find_if(found.begin(), found.end(),
                     [&name](const auto& t) { return t.name == name; });
    DBLOCKS_CHECK(it != found.end(), CheckpointError,
                  "[checkpoint] {}: expected a tensor '{}', found none", source,
                  name);
    DBLOCKS_CHECK(it->dtype == dtype && it->shape == part.shape,
                  CheckpointError,
                  "[checkpoint] {}: tensor '{}': expected {} {}, found {} {}",
                  source, name, dtype_name(dtype), shape_text(part.shape),
                  dtype_name(it->dtype), shape_text(it->shape));
    std::memcpy(base + part.offset, it->bytes.data(), it->bytes.size());
  }
  c10::NoGradGuard no_grad;
  at::Tensor(flat).copy_(host);
}

TensorBytes as_bytes(const std::string& name, const at::Tensor& tensor) {
  DBLOCKS_ASSERT(tensor.is_cpu() && tensor.is_contiguous(),
                 "tensor '{}' must be contiguous and on the CPU", name);
  return {name,
          file_type(tensor.scalar_type()),
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.const_data_ptr()),
           tensor.nbytes()}};
}

at::Tensor as_tensor(const TensorBytes& bytes) {
  at::Tensor result =
      at::empty(bytes.shape, at::TensorOptions(scalar_type(bytes.dtype)));
  if (!bytes.bytes.empty()) {
    std::memcpy(result.mutable_data_ptr(), bytes.bytes.data(),
                bytes.bytes.size());
  }
  return result;
}

}  // namespace dblocks
