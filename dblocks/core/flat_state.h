// SPDX-License-Identifier: Apache-2.0
// The state of what trains together, as flat buffers: one for the weights, one
// for the gradient, two for the optimiser's moments. One copy moves it, one
// kernel updates it, one write saves it; named tensors are views.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dblocks/core/state_format.h"
#include "dblocks/core/tensor_bytes.h"

namespace dblocks {

/// A trainable tensor of a module. `tensor` shares its storage with the module.
struct NamedParameter {
  std::string name;
  at::Tensor tensor;
  bool decayed = true;  ///< whether weight decay applies to it
};

/// Weights, gradient and moments of one set of parameters in flat buffers, all
/// float32 but for those in another format. Taking a set over copies its
/// values in and re-points each parameter and its gradient to views of the
/// buffers, so that a backward pass writes straight into them.
///
/// *Weights in bf16*: weights() are float32 still, and hold numbers of bfloat16
/// alone; stored_weights() are the same numbers in two bytes, and are what is
/// saved, loaded and part of a storage.
///
/// *Layout*: decayed parameters first, then the rest, each in the order given
/// and starting at a multiple of 16 elements, or of kMomentBlock with 8-bit
/// moments, so that no two share a scale; the padding stays zero. Scale i of a
/// moment belongs to its elements from i * kMomentBlock on.
/// *Threads*: none of its own; one thread at a time.
class FlatState {
 public:
  /// What a storage that is handed in holds.
  enum class Contents {
    kNothing,  ///< weights are taken from the parameters, moments become zero
    kState,    ///< weights, moments and averages of these parameters
  };

  /// Requires: float32 parameters on one device, names without repeats. An
  /// empty set is allowed.
  explicit FlatState(std::vector<NamedParameter> parameters,
                     StateFormat format = {});

  /// The same in memory of the caller's: weights, both moments and, where there
  /// are any, averages and scales, one after the other from its start. The
  /// gradient is made by zero_gradient(), and so are, with Contents::kNothing,
  /// the float32 weights of a state in bf16: until then the parameters keep
  /// their own values.
  /// *Shapes*: storage: [at least storage_bytes()] uint8, on the device that
  /// trains.
  FlatState(std::vector<NamedParameter> parameters,
            StateFormat format,
            const at::Tensor& storage,
            Contents contents);

  /// Bytes of that storage.
  static int64_t storage_bytes(const std::vector<NamedParameter>& parameters,
                               StateFormat format);

  const at::Tensor& weights() const { return weights_; }
  /// bfloat16; undefined unless the format says so.
  const at::Tensor& stored_weights() const { return stored_weights_; }
  /// Undefined between release_workspace() and zero_gradient().
  const at::Tensor& gradient() const { return gradient_; }
  MomentFormat moment_format() const { return format_.moments; }
  int64_t num_averages() const { return format_.averages; }
  /// float32, or the codes of 8-bit moments: uint8, see optim::DynamicCode.
  const at::Tensor& first_moment() const { return first_moment_; }
  const at::Tensor& second_moment() const { return second_moment_; }
  /// Scales of 8-bit moments, float32; undefined otherwise.
  const at::Tensor& first_scales() const { return first_scales_; }
  const at::Tensor& second_scales() const { return second_scales_; }
  /// A running average of the weights; starts at them. Undefined where the
  /// format has none of this number.
  const at::Tensor& average(int64_t i = 0) const { return averages_.at(i); }

  /// Re-points another module's parameters to this state's values, by name.
  /// Their own values are dropped. Requires: the same names and shapes.
  void attach(const std::vector<NamedParameter>& parameters);

  /// Sets the gradient buffer to zero; makes it, and weights in float32, if
  /// there are none.
  void zero_gradient();
  /// Frees the gradient buffer and what weights in bf16 have in float32: an
  /// idle state needs neither. The parameters of a state in bf16 are then empty
  /// until zero_gradient().
  void release_workspace();

  /// Elements, padding included, that weight decay applies to; they come first.
  int64_t num_decayed() const { return num_decayed_; }
  /// Elements of one buffer, padding included.
  int64_t num_elements() const { return num_elements_; }
  /// Trainable scalars, padding not counted.
  int64_t num_parameters() const { return num_parameters_; }

  /// Optimiser updates made so far.
  int64_t step = 0;

  /// Which buffer a file is made of or read into.
  enum class Buffer {
    kWeights,
    kFirstMoment,
    kSecondMoment,
    kAverage,
    kSecondAverage,
    kFirstScales,
    kSecondScales,
  };

  /// The named tensors of one buffer, each name with `prefix` in front: in the
  /// parameters' shapes, or for scales a vector of one per block. On the
  /// CPU the bytes are the buffer's own, so they must be saved before the next
  /// update; from another device they are a copy, valid until the next call for
  /// the same buffer.
  std::vector<TensorBytes> tensors(Buffer buffer,
                                   const std::string& prefix = "");

  /// Copies values in by name; `found` may hold more than is needed.
  /// Errors: CheckpointError if one is missing or has another type or shape;
  /// `source` names the file in the message.
  void load(Buffer buffer,
            const std::vector<TensorBytes>& found,
            const std::string& source,
            const std::string& prefix = "");

 private:
  struct Slot {
    std::string name;
    std::vector<int64_t> shape;
    int64_t offset;
    int64_t count;
  };

  /// A slot's piece of a buffer.
  struct Piece {
    std::vector<int64_t> shape;
    size_t offset, count;  // bytes
  };

  const at::Tensor& buffer(Buffer which) const;
  Piece piece(Buffer which, const Slot& slot) const;
  void lay_out(std::vector<NamedParameter>& parameters);
  void take_over(const std::vector<NamedParameter>& parameters,
                 Contents contents);
  void make_weights();
  void attach_to_slot(const at::Tensor& parameter, size_t slot);
  static at::Tensor view_of(const at::Tensor& flat, const Slot& slot);

  std::vector<Slot> slots_;
  std::vector<at::Tensor> attached_;  // one parameter per slot
  int64_t num_elements_ = 0;
  int64_t num_decayed_ = 0;
  int64_t num_parameters_ = 0;
  StateFormat format_;
  at::Tensor weights_, gradient_, first_moment_, second_moment_;
  at::Tensor stored_weights_;
  std::array<at::Tensor, kMaxAverages> averages_;
  at::Tensor first_scales_, second_scales_;
  std::array<at::Tensor, 7> host_copies_;  // of buffers on other devices
};

/// A tensor's bytes under a name. Requires: CPU, contiguous; the tensor must
/// outlive the result. Errors: InternalError for a type files do not know.
TensorBytes as_bytes(const std::string& name, const at::Tensor& tensor);

/// A copy of the bytes as a tensor of the same type and shape.
at::Tensor as_tensor(const TensorBytes& bytes);

}  // namespace dblocks
