// SPDX-License-Identifier: Apache-2.0
#include "dblocks/models/inception.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/max_pool2d.h>

#include <array>
#include <initializer_list>
#include <set>
#include <utility>

#include "dblocks/core/error.h"

namespace dblocks::models {
namespace {

/// Of the batch normalisation.
constexpr double kEpsilon = 1e-3;

/// Lists the layers of one part after the other.
class LayerList {
 public:
  explicit LayerList(std::vector<InceptionLayer>& layers) : layers_(layers) {}

  void begin(std::string prefix, int64_t in) {
    prefix_ = std::move(prefix);
    in_ = in;
  }
  /// From what the part is given.
  void first(const char* name, int64_t out, int64_t kernel = 1) {
    add(name, in_, out, kernel, kernel, 1, kernel > 1);
  }
  /// From the layer before.
  void then(const char* name, int64_t out, int64_t rows, int64_t columns) {
    add(name, layers_.back().out, out, rows, columns, 1, true);
  }
  /// Halves the size, from the layer before or from what the part is given.
  void halve(const char* name, int64_t in, int64_t out) {
    add(name, in, out, 3, 3, 2, false);
  }
  void add(const char* name,
           int64_t in,
           int64_t out,
           int64_t rows,
           int64_t columns,
           int64_t stride,
           bool is_padded) {
    layers_.push_back({.name = prefix_ + name,
                       .in = in,
                       .out = out,
                       .rows = rows,
                       .columns = columns,
                       .stride = stride,
                       .is_padded = is_padded});
  }

 private:
  std::vector<InceptionLayer>& layers_;
  std::string prefix_;
  int64_t in_ = 0;
};

void list_stem(LayerList& list) {
  list.begin("", 3);
  list.add("Conv2d_1a_3x3", 3, 32, 3, 3, 2, false);
  list.add("Conv2d_2a_3x3", 32, 32, 3, 3, 1, false);
  list.add("Conv2d_2b_3x3", 32, 64, 3, 3, 1, true);
  list.add("Conv2d_3b_1x1", 64, 80, 1, 1, 1, false);
  list.add("Conv2d_4a_3x3", 80, 192, 3, 3, 1, false);
}

void list_a(LayerList& list, int64_t pool) {
  list.first("branch1x1", 64);
  list.first("branch5x5_1", 48);
  list.then("branch5x5_2", 64, 5, 5);
  list.first("branch3x3dbl_1", 64);
  list.then("branch3x3dbl_2", 96, 3, 3);
  list.then("branch3x3dbl_3", 96, 3, 3);
  list.first("branch_pool", pool);
}

void list_b(LayerList& list, int64_t in) {
  list.halve("branch3x3", in, 384);
  list.first("branch3x3dbl_1", 64);
  list.then("branch3x3dbl_2", 96, 3, 3);
  list.halve("branch3x3dbl_3", 96, 96);
}

void list_c(LayerList& list, int64_t inner) {
  list.first("branch1x1", 192);
  list.first("branch7x7_1", inner);
  list.then("branch7x7_2", inner, 1, 7);
  list.then("branch7x7_3", 192, 7, 1);
  list.first("branch7x7dbl_1", inner);
  list.then("branch7x7dbl_2", inner, 7, 1);
  list.then("branch7x7dbl_3", inner, 1, 7);
  list.then("branch7x7dbl_4", inner, 7, 1);
  list.then("branch7x7dbl_5", 192, 1, 7);
  list.first("branch_pool", 192);
}

void list_d(LayerList& list) {
  list.first("branch3x3_1", 192);
  list.halve("branch3x3_2", 192, 320);
  list.first("branch7x7x3_1", 192);
  list.then("branch7x7x3_2", 192, 1, 7);
  list.then("branch7x7x3_3", 192, 7, 1);
  list.halve("branch7x7x3_4", 192, 192);
}

void list_e(LayerList& list) {
  list.first("branch1x1", 320);
  list.first("branch3x3_1", 384);
  list.add("branch3x3_2a", 384, 384, 1, 3, 1, true);
  list.add("branch3x3_2b", 384, 384, 3, 1, 1, true);
  list.first("branch3x3dbl_1", 448);
  list.then("branch3x3dbl_2", 384, 3, 3);
  list.add("branch3x3dbl_3a", 384, 384, 1, 3, 1, true);
  list.add("branch3x3dbl_3b", 384, 384, 3, 1, 1, true);
  list.first("branch_pool", 192);
}

std::vector<InceptionLayer> list_layers() {
  std::vector<InceptionLayer> layers;
  LayerList list(layers);
  list_stem(list);
  for (const auto& [name, in, pool] :
       {std::tuple("Mixed_5b.", 192, 32), std::tuple("Mixed_5c.", 256, 64),
        std::tuple("Mixed_5d.", 288, 64)}) {
    list.begin(name, in);
    list_a(list, pool);
  }
  list.begin("Mixed_6a.", 288);
  list_b(list, 288);
  for (const auto& [name, inner] :
       {std::pair("Mixed_6b.", 128), std::pair("Mixed_6c.", 160),
        std::pair("Mixed_6d.", 160), std::pair("Mixed_6e.", 192)}) {
    list.begin(name, 768);
    list_c(list, inner);
  }
  list.begin("Mixed_7a.", 768);
  list_d(list);
  for (const auto& [name, in] :
       {std::pair("Mixed_7b.", 1280), std::pair("Mixed_7c.", 2048)}) {
    list.begin(name, in);
    list_e(list);
  }
  return layers;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Finds the tensors of layers in a file, and what belongs to none.
class WeightFinder {
 public:
  WeightFinder(std::span<const TensorBytes> tensors, std::string file)
      : file_(std::move(file)) {
    for (const TensorBytes& tensor : tensors) {
      tensors_.emplace(tensor.name, &tensor);
    }
  }

  /// A copy in float64. *Errors*: as the constructor of Inception.
  at::Tensor take(const std::string& name, const std::vector<int64_t>& shape) {
    const auto found = tensors_.find(name);
    DBLOCKS_CHECK(found != tensors_.end(), CheckpointError,
                  "[inception] {}: expected a tensor {} of shape {}, found "
                  "none{}",
                  file_, name, shape_text(shape), kHint);
    const TensorBytes& tensor = *found->second;
    DBLOCKS_CHECK(tensor.dtype == DType::kF32 && tensor.shape == shape,
                  CheckpointError,
                  "[inception] {}: expected tensor {} of type F32 and shape "
                  "{}, found {} and {}{}",
                  file_, name, shape_text(shape), dtype_name(tensor.dtype),
                  shape_text(tensor.shape), kHint);
    tensors_.erase(found);
    // Bytes in a file need not be aligned, hence the copy of bytes.
    const at::Tensor bytes =
        at::from_blob(const_cast<std::byte*>(tensor.bytes.data()),
                      {static_cast<int64_t>(tensor.bytes.size())}, at::kByte);
    at::Tensor values =
        bytes.clone().view(at::kFloat).view(shape).to(at::kDouble);
    DBLOCKS_CHECK(at::isfinite(values).all().item<bool>(), CheckpointError,
                  "[inception] {}: expected finite numbers in tensor {}, found "
                  "others",
                  file_, name);
    return values;
  }

  /// Requires that nothing is left.
  void finish() const {
    DBLOCKS_CHECK(tensors_.empty(), CheckpointError,
                  "[inception] {}: expected the tensors of Inception-v3 up to "
                  "its last pool alone, found {} more, such as {}{}",
                  file_, tensors_.size(), tensors_.begin()->first, kHint);
  }

  const std::string& file() const { return file_; }

 private:
  static constexpr const char* kHint =
      ". Hint: tools/convert_inception.py writes such a file";

  std::map<std::string, const TensorBytes*> tensors_;
  std::string file_;
};

at::Tensor halved(const at::Tensor& x) {
  return at::max_pool2d(x, {3, 3}, {2, 2});
}

at::Tensor average_around(const at::Tensor& x) {
  return at::avg_pool2d(x, {3, 3}, {1, 1}, {1, 1}, /*ceil_mode=*/false,
                        /*count_include_pad=*/false);
}

}  // namespace

const std::vector<InceptionLayer>& inception_layers() {
  static const std::vector<InceptionLayer> layers = list_layers();
  return layers;
}

Inception::Inception(std::span<const TensorBytes> tensors,
                     const std::string& file,
                     at::Device device)
    : device_(device) {
  WeightFinder finder(tensors, file);
  for (const InceptionLayer& layer : inception_layers()) {
    const at::Tensor weight =
        finder.take(layer.name + ".conv.weight",
                    {layer.out, layer.in, layer.rows, layer.columns});
    const auto of_channels = [&](const char* name) {
      return finder.take(layer.name + ".bn." + name, {layer.out});
    };
    const at::Tensor mean = of_channels("running_mean");
    const at::Tensor variance = of_channels("running_var");
    DBLOCKS_CHECK((variance >= 0).all().item<bool>(), CheckpointError,
                  "[inception] {}: expected variances of at least 0 in tensor "
                  "{}.bn.running_var, found less",
                  file, layer.name);
    const at::Tensor scale =
        of_channels("weight") / (variance + kEpsilon).sqrt();
    const at::Tensor bias = of_channels("bias") - mean * scale;
    const int64_t pad = layer.is_padded ? 1 : 0;
    convolutions_[layer.name] = {
        .weight = (weight * scale.view({-1, 1, 1, 1})).to(device, at::kFloat),
        .bias = bias.to(device, at::kFloat),
        .stride = {layer.stride, layer.stride},
        .padding = {pad * (layer.rows / 2), pad * (layer.columns / 2)}};
  }
  finder.finish();
}

at::Tensor Inception::apply(const std::string& name,
                            const at::Tensor& x) const {
  const Convolution& c = convolutions_.at(name);
  return at::conv2d(x, c.weight, c.bias, c.stride, c.padding).relu_();
}

/// Layers of one block, one after the other.
at::Tensor Inception::chain(const std::string& mixed,
                            std::initializer_list<const char*> names,
                            at::Tensor x) const {
  for (const char* name : names) {
    x = apply(mixed + name, x);
  }
  return x;
}

at::Tensor Inception::stem(at::Tensor x) const {
  x = chain("", {"Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"}, x);
  x = chain("", {"Conv2d_3b_1x1", "Conv2d_4a_3x3"}, halved(x));
  return halved(x);
}

at::Tensor Inception::mixed_a(const std::string& name,
                              const at::Tensor& x) const {
  return at::cat(
      {chain(name, {"branch1x1"}, x),
       chain(name, {"branch5x5_1", "branch5x5_2"}, x),
       chain(name, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}, x),
       chain(name, {"branch_pool"}, average_around(x))},
      1);
}

at::Tensor Inception::mixed_b(const std::string& name,
                              const at::Tensor& x) const {
  return at::cat(
      {chain(name, {"branch3x3"}, x),
       chain(name, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}, x),
       halved(x)},
      1);
}

at::Tensor Inception::mixed_c(const std::string& name,
                              const at::Tensor& x) const {
  return at::cat({chain(name, {"branch1x1"}, x),
                  chain(name, {"branch7x7_1", "branch7x7_2", "branch7x7_3"}, x),
                  chain(name,
                        {"branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3",
                         "branch7x7dbl_4", "branch7x7dbl_5"},
                        x),
                  chain(name, {"branch_pool"}, average_around(x))},
                 1);
}

at::Tensor Inception::mixed_d(const std::string& name,
                              const at::Tensor& x) const {
  return at::cat({chain(name, {"branch3x3_1", "branch3x3_2"}, x),
                  chain(name,
                        {"branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3",
                         "branch7x7x3_4"},
                        x),
                  halved(x)},
                 1);
}

at::Tensor Inception::mixed_e(const std::string& name,
                              const at::Tensor& x,
                              const at::Tensor& pooled) const {
  const at::Tensor one = chain(name, {"branch3x3_1"}, x);
  const at::Tensor two = chain(name, {"branch3x3dbl_1", "branch3x3dbl_2"}, x);
  return at::cat(
      {chain(name, {"branch1x1"}, x), chain(name, {"branch3x3_2a"}, one),
       chain(name, {"branch3x3_2b"}, one),
       chain(name, {"branch3x3dbl_3a"}, two),
       chain(name, {"branch3x3dbl_3b"}, two),
       chain(name, {"branch_pool"}, pooled)},
      1);
}

at::Tensor Inception::features(const at::Tensor& images) const {
  DBLOCKS_ASSERT(images.dim() == 4 && images.size(1) == 3 &&
                     images.size(2) == kSide && images.size(3) == kSide,
                 "images of 3 x 299 x 299");
  at::Tensor x = stem(images);
  for (const char* name : {"Mixed_5b.", "Mixed_5c.", "Mixed_5d."}) {
    x = mixed_a(name, x);
  }
  x = mixed_b("Mixed_6a.", x);
  for (const char* name :
       {"Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."}) {
    x = mixed_c(name, x);
  }
  x = mixed_d("Mixed_7a.", x);
  x = mixed_e("Mixed_7b.", x, average_around(x));
  // The published graph takes a maximum here, by mistake or not.
  x = mixed_e("Mixed_7c.", x, at::max_pool2d(x, {3, 3}, {1, 1}, {1, 1}));
  return x.mean({2, 3});
}

}  // namespace dblocks::models
