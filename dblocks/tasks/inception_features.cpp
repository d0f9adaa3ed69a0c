// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/inception_features.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace dblocks::tasks {
namespace {

/// At 299 x 299 an image takes some 10 MB on its way through the network.
constexpr int64_t kImagesOfAPass = 25;

/// Cubic interpolation with a = -0.5, as PIL has it.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) {
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  }
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/// Weights of the two neighbours of a place between pixels.
void set_linear(double* row, int64_t in, double place) {
  const auto below = static_cast<int64_t>(std::floor(place));
  const double share = place - static_cast<double>(below);
  row[std::min(below, in - 1)] += 1 - share;
  row[std::min(below + 1, in - 1)] += share;
}

/// PIL's weights: the filter widens where the image shrinks, and what hangs
/// over the edge is left out.
void set_bicubic(double* row, int64_t in, double center, double scale) {
  const double wide = std::max(scale, 1.0), support = 2 * wide;
  const auto first =
      std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
  const auto last =
      std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in);
  double sum = 0;
  for (int64_t i = first; i < last; ++i) {
    row[i] = bicubic((static_cast<double>(i) - center + 0.5) / wide);
    sum += row[i];
  }
  for (int64_t i = first; i < last; ++i) {
    row[i] /= sum;
  }
}

/// What output pixels take of input pixels, [out, in].
at::Tensor resize_matrix(int64_t in, int64_t out, InceptionResize rule) {
  at::Tensor matrix = at::zeros({out, in}, at::kDouble);
  auto* rows = matrix.mutable_data_ptr<double>();
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  for (int64_t i = 0; i < out; ++i) {
    double* row = rows + i * in;
    const auto index = static_cast<double>(i);
    switch (rule) {
      case InceptionResize::kTensorFlow:
        set_linear(row, in, index * scale);
        break;
      case InceptionResize::kPyTorch:
        set_linear(row, in, std::max((index + 0.5) * scale - 0.5, 0.0));
        break;
      case InceptionResize::kClean:
        set_bicubic(row, in, (index + 0.5) * scale, scale);
        break;
    }
  }
  return matrix.to(at::kFloat);
}

/// The network's input: pytorch-fid's scale maps 0 to -1 and 255 to 1, that of
/// the others 128 to 0.
at::Tensor scaled(const at::Tensor& values, InceptionResize rule) {
  return rule == InceptionResize::kPyTorch ? values / 127.5 - 1
                                           : (values - 128) / 128;
}

}  // namespace

at::Tensor resize_images(const at::Tensor& values,
                         InceptionResize rule,
                         int64_t side) {
  const at::Tensor across =
      resize_matrix(values.size(3), side, rule).to(values.device());
  const at::Tensor down =
      resize_matrix(values.size(2), side, rule).to(values.device());
  const at::Tensor result = down.matmul(values.matmul(across.t()));
  // A cubic overshoots at edges.
  return rule == InceptionResize::kClean ? result.clamp(0, 255) : result;
}

InceptionFeatures::InceptionFeatures(models::Inception network,
                                     std::string weights_hash,
                                     InceptionResize rule)
    : network_(std::move(network)),
      weights_hash_(std::move(weights_hash)),
      rule_(rule) {}

std::string InceptionFeatures::resize() const {
  return fmt::format("{} resize", enum_name(rule_));
}

at::Tensor InceptionFeatures::operator()(const at::Tensor& pixels) const {
  const c10::InferenceMode inference;
  std::vector<at::Tensor> parts;
  for (const at::Tensor& chunk : pixels.split(kImagesOfAPass)) {
    at::Tensor values =
        chunk.permute({0, 3, 1, 2}).to(network_.device(), at::kFloat);
    values = resize_images(values, rule_, models::Inception::kSide);
    if (values.size(1) == 1) {
      values = values.expand({-1, 3, -1, -1});
    }
    parts.push_back(
        network_.features(scaled(values, rule_).contiguous()).to(at::kCPU));
  }
  return at::cat(parts);
}

}  // namespace dblocks::tasks
