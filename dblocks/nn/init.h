// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace dblocks::nn {

/// While one lives, the weights of Linear and Modulation layers built on this
/// thread are placeholders: all shapes, no memory. A placeholder may be read,
/// is not to be written, and is replaced with set_data(). For networks whose
/// values come from elsewhere.
class PlaceholderGuard {
 public:
  PlaceholderGuard();
  ~PlaceholderGuard();
  PlaceholderGuard(const PlaceholderGuard&) = delete;
  PlaceholderGuard& operator=(const PlaceholderGuard&) = delete;

  static bool is_active();

 private:
  bool was_active_;
};

/// Makes a placeholder one of another device; leaves any other tensor alone.
void move_placeholder(const at::Tensor& tensor, at::Device device);

/// Zeros for a layer under construction: real, or a placeholder.
at::Tensor initial_zeros(at::IntArrayRef sizes);

/// Fills a tensor with N(0, std^2) numbers from a stream keyed by (seed, name):
/// a parameter starts the same wherever and whenever its block is built. A
/// placeholder is replaced.
void fill_normal(const at::Tensor& tensor,
                 double std,
                 uint64_t seed,
                 const std::string& name);

/// Fills a weight [out, ...] with uniform numbers in +-sqrt(6 / (in + out)),
/// `in` being the product of the other sizes; keyed as above. *Source*: Glorot
/// and Bengio 2010, equation 16.
void fill_xavier_uniform(const at::Tensor& weight,
                         uint64_t seed,
                         const std::string& name);

/// Replaces the rows of a [K, D] table by unit vectors, orthonormal ones where
/// K <= D (Gram-Schmidt in double on the rows as they are).
void orthonormalise_rows(const at::Tensor& table);

/// Scales every row of a [K, D] table to unit length.
void normalise_rows(const at::Tensor& table);

}  // namespace dblocks::nn
