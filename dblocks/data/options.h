// SPDX-License-Identifier: Apache-2.0
// Which data a run reads and what happens to it. Plain data.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dblocks/core/fields.h"

namespace dblocks::data {

/// What is done to a training image, in this order: random resized crop, crop,
/// flip, RandAugment, then normalisation. Test images are only normalised.
struct AugmentOptions {
  /// Pixels of black added to each side before a random crop of the old size;
  /// 0 = no crop. The published CIFAR code uses 4.
  int64_t crop_padding = 0;
  /// Mirror left and right, one time in two.
  bool flip = false;
  /// Cut 8 to 100 % of the area at an aspect ratio of 3/4 to 4/3 and scale it
  /// back; what Tiny-ImageNet is published with.
  bool random_resized_crop = false;
  /// RandAugment operations per image; 0 = none, 2 = as published.
  int64_t rand_augment_ops = 0;
  /// Strength of those operations, 0 to 30.
  int64_t rand_augment_magnitude = 9;
};

/// What happens to a sample that cannot be read. fail: the run ends with its
/// name and the reason. skip: training puts the next readable sample of the
/// data set in its place, evaluation leaves it out, and both name it at the
/// end; no other sample changes its place.
enum class BadSamplePolicy { kFail, kSkip };

constexpr auto enum_names(BadSamplePolicy) {
  return std::to_array<EnumName<BadSamplePolicy>>(
      {{BadSamplePolicy::kFail, "fail"}, {BadSamplePolicy::kSkip, "skip"}});
}

struct DataOptions {
  /// fashion_mnist, mnist, cifar10, cifar100, tiny_imagenet, or data of one's
  /// own: image_folder (root/{train,test}/CLASS/*.png|jpg|jpeg), safetensors
  /// (root/{train,test}.safetensors) or npz (root/{train,test}.npz).
  std::string dataset = "fashion_mnist";
  /// Folder looked in before $DBLOCKS_DATA, ~/.local/share/dblocks and
  /// /usr/share/datasets; "" = those three only.
  std::string root;
  /// Images per step; an incomplete last batch of an epoch is left out.
  int64_t batch_size = 128;
  /// Train on the first so many images only; 0 = all.
  int64_t train_samples = 0;
  /// Test on the first so many images only; 0 = all.
  int64_t test_samples = 0;
  /// Threads that prepare batches, at most 256; 0 = the training thread.
  int64_t workers = 1;
  /// Batches prepared ahead, over all workers; 1 to 1024.
  int64_t prefetch = 4;
  /// Side of the square that images of an image_folder are brought to; they
  /// have no default.
  int64_t image_size = 0;
  /// Channels that they are brought to: 1 or 3; image_folder only.
  int64_t image_channels = 3;
  BadSamplePolicy on_bad_sample = BadSamplePolicy::kFail;
  AugmentOptions augment;
  /// Mean per channel of pixels in [0, 1]; empty = the data set's published,
  /// 0.5 for data of one's own.
  std::vector<double> mean;
  /// Standard deviation per channel; empty = the data set's published, 0.5 for
  /// data of one's own.
  std::vector<double> std;
};

inline void visit_fields(FieldVisitor& visitor, AugmentOptions& options) {
  visitor.field({"crop_padding", "pixels",
                 "Black border added before a random crop of the old size; 0 "
                 "= no crop, 4 = as published for CIFAR."},
                options.crop_padding);
  visitor.field({"flip", "", "Mirror left and right one time in two."},
                options.flip);
  visitor.field({"random_resized_crop", "",
                 "Cut 8 to 100 % of the area and scale it back; published "
                 "for Tiny-ImageNet."},
                options.random_resized_crop);
  visitor.field({"rand_augment_ops", "",
                 "RandAugment operations per image; 0 = none, 2 = as "
                 "published."},
                options.rand_augment_ops);
  visitor.field({"rand_augment_magnitude", "",
                 "Strength of the RandAugment operations, 0 to 30."},
                options.rand_augment_magnitude);
}

inline void visit_fields(FieldVisitor& visitor, DataOptions& options) {
  visitor.field({"dataset", "",
                 "fashion_mnist, mnist, cifar10, cifar100, tiny_imagenet, "
                 "image_folder, safetensors or npz."},
                options.dataset);
  visitor.field({"root", "",
                 "Folder looked in before $DBLOCKS_DATA, "
                 "~/.local/share/dblocks and /usr/share/datasets."},
                options.root);
  visitor.field({"batch_size", "images",
                 "Images per step; an incomplete last batch of an epoch is "
                 "left out."},
                options.batch_size);
  visitor.field({"train_samples", "images",
                 "Train on the first so many images only; 0 = all."},
                options.train_samples);
  visitor.field({"test_samples", "images",
                 "Test on the first so many images only; 0 = all."},
                options.test_samples);
  visitor.field({"workers", "threads",
                 "Threads that prepare batches; 0 = the training thread "
                 "itself."},
                options.workers);
  visitor.field({"prefetch", "batches",
                 "Batches prepared ahead, over all workers; 1 to 1024."},
                options.prefetch);
  visitor.field({"image_size", "pixels",
                 "Side of the square that images of an image_folder are "
                 "brought to; it has no default there."},
                options.image_size);
  visitor.field({"image_channels", "",
                 "Channels that images of an image_folder are brought to: 3, "
                 "or 1 for grey."},
                options.image_channels);
  visitor.field({"on_bad_sample", "",
                 "fail ends the run at a damaged sample; skip takes the next "
                 "readable one in its place and names it at the end."},
                options.on_bad_sample);
  visitor.table("augment", "What is done to training images.", options.augment);
  visitor.field({"mean", "",
                 "Mean per channel of pixels in [0, 1]; empty = the data "
                 "set's published value, 0.5 for data of one's own."},
                options.mean);
  visitor.field({"std", "",
                 "Standard deviation per channel of pixels in [0, 1]; empty = "
                 "the data set's published value, 0.5 for data of one's own."},
                options.std);
}

}  // namespace dblocks::data
