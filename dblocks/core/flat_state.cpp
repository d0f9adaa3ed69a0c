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

int64_t padded(int64_t count, MomentFormat moments) {
  const int64_t multiple =
      moments == MomentFormat::kFp32 ? kAlignment : kMomentBlock;
  return (count + multiple - 1) / multiple * multiple;
}

/// Of a state of `elements` numbers as it is stored.
int64_t bytes_of(int64_t elements, StateFormat format) {
  constexpr auto kFloatBytes = static_cast<int64_t>(sizeof(float));
  const int64_t floats = elements * kFloatBytes;
  const int64_t moment = format.moments == MomentFormat::kFp32
                             ? floats
                             : elements + elements / kMomentBlock * kFloatBytes;
  const int64_t weights =
      format.weights == WeightFormat::kFp32 ? floats : floats / 2;
  return weights + format.averages * floats + 2 * moment;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace

FlatState::FlatState(std::vector<NamedParameter> parameters, StateFormat format)
    : format_(format) {
  lay_out(parameters);
  const auto options =
      parameters.empty()
          ? at::TensorOptions(at::kFloat)
          : parameters.front().tensor.options().requires_grad(std::nullopt);
  c10::NoGradGuard no_grad;
  const bool is_float = format.moments == MomentFormat::kFp32;
  const auto moment_options = is_float ? options : options.dtype(at::kByte);
  if (format.weights == WeightFormat::kBf16) {
    stored_weights_ = at::empty({num_elements_}, options.dtype(at::kBFloat16));
  } else {
    weights_ = at::empty({num_elements_}, options);
  }
  first_moment_ = at::empty({num_elements_}, moment_options);
  second_moment_ = at::empty({num_elements_}, moment_options);
  if (!is_float) {
    first_scales_ = at::empty({num_elements_ / kMomentBlock}, options);
    second_scales_ = at::empty({num_elements_ / kMomentBlock}, options);
  }
  for (int64_t i = 0; i < format.averages; ++i) {
    averages_.at(i) = at::empty({num_elements_}, options);
  }
  take_over(parameters, Contents::kNothing);
  zero_gradient();
}

FlatState::FlatState(std::vector<NamedParameter> parameters,
                     StateFormat format,
                     const at::Tensor& storage,
                     Contents contents)
    : format_(format) {
  lay_out(parameters);
  DBLOCKS_ASSERT(storage.numel() >= bytes_of(num_elements_, format),
                 "the storage of a state is too small");
  int64_t end = 0;
  const auto next = [&](int64_t count, at::ScalarType type) {
    const auto size = count * static_cast<int64_t>(at::elementSize(type));
    end += size;
    return storage.narrow(0, end - size, size).view(type);
  };
  const bool is_float = format.moments == MomentFormat::kFp32;
  const at::ScalarType moment_type = is_float ? at::kFloat : at::kByte;
  if (format.weights == WeightFormat::kBf16) {
    stored_weights_ = next(num_elements_, at::kBFloat16);
  } else {
    weights_ = next(num_elements_, at::kFloat);
  }
  first_moment_ = next(num_elements_, moment_type);
  second_moment_ = next(num_elements_, moment_type);
  for (int64_t i = 0; i < format.averages; ++i) {
    averages_.at(i) = next(num_elements_, at::kFloat);
  }
  if (!is_float) {
    first_scales_ = next(num_elements_ / kMomentBlock, at::kFloat);
    second_scales_ = next(num_elements_ / kMomentBlock, at::kFloat);
  }
  take_over(parameters, contents);
  if (contents == Contents::kState) {
    make_weights();
  }
}

int64_t FlatState::storage_bytes(const std::vector<NamedParameter>& parameters,
                                 StateFormat format) {
  int64_t elements = 0;
  for (const NamedParameter& p : parameters) {
    elements += padded(p.tensor.numel(), format.moments);
  }
  return bytes_of(elements, format);
}

/// Gives each parameter its place, and puts `parameters` into that order.
void FlatState::lay_out(std::vector<NamedParameter>& parameters) {
  std::stable_partition(parameters.begin(), parameters.end(),
                        [](const auto& p) { return p.decayed; });
  for (const NamedParameter& p : parameters) {
    slots_.push_back(
        {p.name, p.tensor.sizes().vec(), num_elements_, p.tensor.numel()});
    num_parameters_ += p.tensor.numel();
    num_elements_ += padded(p.tensor.numel(), format_.moments);
    if (p.decayed) {
      num_decayed_ = num_elements_;
    }
  }
  attached_.resize(slots_.size());
}

/// Points `parameters` to the buffers, which take their values if they hold
/// nothing yet.
void FlatState::take_over(const std::vector<NamedParameter>& parameters,
                          Contents contents) {
  c10::NoGradGuard no_grad;
  const at::Tensor& flat = buffer(Buffer::kWeights);
  if (contents == Contents::kNothing) {
    flat.zero_();
    first_moment_.zero_();
    second_moment_.zero_();
    if (first_scales_.defined()) {
      first_scales_.zero_();
      second_scales_.zero_();
    }
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (contents == Contents::kNothing) {
      view_of(flat, slots_[i]).copy_(parameters[i].tensor);
    }
    attach_to_slot(parameters[i].tensor, i);
  }
  for (int64_t i = 0; contents == Contents::kNothing && i < num_averages();
       ++i) {
    averages_.at(i).copy_(flat);
  }
}

/// The float32 weights of a state in bf16.
void FlatState::make_weights() {
  if (weights_.defined()) {
    return;
  }
  c10::NoGradGuard no_grad;
  weights_ = stored_weights_.to(at::kFloat);
  for (size_t i = 0; i < slots_.size(); ++i) {
    attach_to_slot(attached_[i], i);
  }
}

at::Tensor FlatState::view_of(const at::Tensor& flat, const Slot& slot) {
  return flat.narrow(0, slot.offset, slot.count).view(slot.shape);
}

void FlatState::attach_to_slot(const at::Tensor& parameter, size_t slot) {
  attached_[slot] = parameter;
  if (weights_.defined()) {
    attached_[slot].set_data(view_of(weights_, slots_[slot]));
  }
  if (gradient_.defined()) {
    attached_[slot].mutable_grad() = view_of(gradient_, slots_[slot]);
  }
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
    attach_to_slot(p.tensor, static_cast<size_t>(slot - slots_.begin()));
  }
}

void FlatState::zero_gradient() {
  make_weights();
  if (gradient_.defined()) {
    gradient_.zero_();
    return;
  }
  c10::NoGradGuard no_grad;
  gradient_ = at::zeros_like(weights_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    attached_[i].mutable_grad() = view_of(gradient_, slots_[i]);
  }
}

void FlatState::release_workspace() {
  for (at::Tensor& parameter : attached_) {
    parameter.mutable_grad() = at::Tensor();
    if (stored_weights_.defined()) {
      parameter.set_data(at::empty({0}, parameter.options()));
    }
  }
  gradient_ = at::Tensor();
  if (stored_weights_.defined()) {
    weights_ = at::Tensor();
  }
}

const at::Tensor& FlatState::buffer(Buffer which) const {
  switch (which) {
    case Buffer::kWeights:
      return stored_weights_.defined() ? stored_weights_ : weights_;
    case Buffer::kFirstMoment:
      return first_moment_;
    case Buffer::kSecondMoment:
      return second_moment_;
    case Buffer::kAverage:
      return averages_[0];
    case Buffer::kSecondAverage:
      return averages_[1];
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
  // A buffer on the CPU is filled in place; its padding is zero already.
  const at::Tensor host =
      flat.is_cpu() ? flat : at::zeros({flat.numel()}, flat.scalar_type());
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
  if (!flat.is_cpu()) {
    at::Tensor(flat).copy_(host);
  }
  if (which == Buffer::kWeights && stored_weights_.defined() &&
      weights_.defined()) {
    weights_.copy_(stored_weights_);
  }
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
