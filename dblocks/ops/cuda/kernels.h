// SPDX-License-Identifier: Apache-2.0
// What the program knows of its CUDA kernels: a table of functions in a library
// of its own, libdblocks_cuda.so, which is opened only when a CUDA device is
// asked for. Neither LibTorch nor CUDA is needed to read this.
//
// Pointers are to memory of the device unless said otherwise, `stream` is a
// cudaStream_t, and every function returns at once: null, or the text of an
// error. Vectors are read 16 bytes at a time: pointers are aligned to that, and
// widths and counts are multiples of 4.
#pragma once

#include <cstdint>
#include <functional>

namespace dblocks::ops::cuda {

/// Grows whenever the table below changes, so that a library of another build
/// is refused.
inline constexpr int64_t kKernelsVersion = 4;

enum class Element : int32_t { kFloat, kBf16 };

/// `samples` of `rows` rows of `width` numbers.
struct RowShape {
  int64_t samples, rows, width;
};

/// What normalised rows meet. *Shapes*: weight, bias: [width]; shift, scale:
/// [samples, width], `stride` elements from one sample to the next, or null.
struct NormVectors {
  const float *weight, *bias, *shift, *scale;
  int64_t shift_stride, scale_stride;
};

/// The numbers of an update; `skip` is nonzero where loss or gradient are not
/// finite, and the update then changes nothing.
struct UpdateFactors {
  float decay, gradient_scale, one_minus_beta1, beta2, one_minus_beta2,
      step_size, root_correction2, eps;
  int32_t skip;
  uint32_t rounding_key;  // of weights in bf16
};

/// A running average of the weights, or null.
struct FlatAverage {
  float* values;
  float step;  // 1 - decay
};

/// A state's flat buffers; stored_weights (bfloat16) may be null. The first
/// `decayed_count` weights are decayed.
struct FlatBuffers {
  float* weights;
  const float* gradient;
  void *first_moment, *second_moment;   // float, or codes of 8 bits
  float *first_scales, *second_scales;  // of codes
  uint16_t* stored_weights;
  FlatAverage averages[2];
  int64_t count, decayed_count;
};

/// Of each 8-bit code, the numbers that bytes stand for and the middles between
/// neighbouring magnitudes, both [256].
struct CodeTables {
  const float *first_values, *first_middles;
  const float *second_values, *second_middles;
  int32_t num_first, num_second;  // magnitudes
};

/// Which elements dropout keeps; see ops/dropout_kernel.h. The key is `key`, or
/// what `stored_key` points to if it is not null.
struct DropRule {
  uint64_t key;
  const uint64_t* stored_key;
  uint32_t threshold;
  float scale;
};

/// A sequence of work that was recorded once and runs as one.
class Graph {
 public:
  virtual ~Graph() = default;
  /// Records the work that `body` starts on the current stream; none of it
  /// runs. `before`, if any, is a graph that will not be replayed any more:
  /// this one uses its memory. *Errors*: whatever `body` throws, and
  /// LibTorch's.
  virtual void capture(const std::function<void()>& body, Graph* before) = 0;
  /// Starts the recorded work on the current stream.
  virtual void replay() = 0;
};

struct Kernels {
  int64_t version;

  /// See ops/residual_kernel.h for all four.
  const char* (*norm)(const RowShape& shape,
                      const float* x,
                      const NormVectors& vectors,
                      float eps,
                      Element type,
                      void* y,
                      float* mean,
                      float* rstd,
                      void* stream);
  const char* (*norm_backward)(const RowShape& shape,
                               Element type,
                               const void* dy,
                               const float* x,
                               const NormVectors& vectors,
                               const float* mean,
                               const float* rstd,
                               float* dx,
                               float* sum_dy,
                               float* sum_dy_normal,
                               void* stream);
  const char* (*gate)(const RowShape& shape,
                      const float* h,
                      Element type,
                      const void* branch,
                      const float* gate,
                      int64_t gate_stride,
                      float* out,
                      void* stream);
  const char* (*gate_backward)(const RowShape& shape,
                               const float* dy,
                               Element type,
                               const void* branch,
                               const float* gate,
                               int64_t gate_stride,
                               void* dbranch,
                               float* dgate,
                               void* stream);
  /// value = gelu(x) and, unless null, slope = gelu'(x).
  const char* (*gelu)(bool is_tanh,
                      Element type,
                      int64_t count,
                      const void* x,
                      void* value,
                      void* slope,
                      void* stream);
  /// Elements first .. first + count - 1 of a tensor.
  const char* (*drop)(const DropRule& rule,
                      int64_t first,
                      Element type,
                      int64_t count,
                      const void* x,
                      void* y,
                      void* stream);
  /// What RandomStream::fill_normal() draws from the stream (key, a, b).
  const char* (*fill_normal)(uint64_t key,
                             uint32_t a,
                             uint32_t b,
                             int64_t count,
                             float* out,
                             void* stream);
  /// `norm` = Euclidean norm, in double; `partial`: scratch of
  /// kNormPartials.
  const char* (*gradient_norm)(const float* gradient,
                               int64_t count,
                               double* partial,
                               double* norm,
                               void* stream);
  /// Sets gradient_scale and skip of `factors` from norms and loss, and
  /// result = {loss, norm}. `second_norm` may be null.
  const char* (*clip)(const double* norm,
                      const double* second_norm,
                      const double* loss,
                      double clip_norm,
                      UpdateFactors* factors,
                      double* result,
                      void* stream);
  /// AdamW and the average; see optim/adamw.h and optim/adamw_int8.h.
  const char* (*adamw)(const FlatBuffers& buffers,
                       const UpdateFactors* factors,
                       void* stream);
  const char* (*adamw_int8)(const FlatBuffers& buffers,
                            const CodeTables& tables,
                            const UpdateFactors* factors,
                            void* stream);
  Graph* (*make_graph)();
  /// Makes memory of the host fit for copies that overlap with work, or undoes
  /// that.
  const char* (*pin)(void* memory, int64_t bytes);
  const char* (*unpin)(void* memory);
};

inline constexpr int64_t kNormPartials = 1024;

/// The one symbol that the library is asked for.
inline constexpr const char* kKernelsSymbol = "dblocks_cuda_kernels";
using KernelsFunction = const Kernels* (*)();

}  // namespace dblocks::ops::cuda
