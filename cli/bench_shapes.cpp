// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_shapes.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "dblocks/core/error.h"

namespace dblocks::cli {
namespace {

struct Entry {
  const char* name;
  const char* title;
  int64_t width, heads, mlp_width, layers, blocks;
  double dropout;
  int64_t image, classes, batch, gpu_batch;
};

constexpr auto kEntries = std::to_array<Entry>({
    {"vit_cifar100", "published CIFAR-100 ViT, block of 4 layers", 128, 4, 3072,
     12, 3, 0.1, 32, 100, 128, 128},
    {"width_384", "width 384, block of 4 layers", 384, 6, 1536, 12, 3, 0, 32,
     100, 32, 256},
    {"width_768", "width 768, block of 3 layers", 768, 12, 3072, 12, 4, 0, 32,
     100, 16, 128},
    {"tiny", "width 32, block of 2 layers", 32, 2, 64, 4, 2, 0, 8, 10, 8, 8},
});

}  // namespace

std::vector<std::string> bench_shape_names() {
  std::vector<std::string> names;
  names.reserve(std::size(kEntries));
  for (const Entry& entry : kEntries) {
    names.emplace_back(entry.name);
  }
  return names;
}

BenchShape bench_shape(const std::string& name, bool on_cpu, bool is_quick) {
  const auto* entry = std::ranges::find(kEntries, name, &Entry::name);
  DBLOCKS_ASSERT(entry != kEntries.end(), "no shape has the name {}", name);
  const Entry& e = *entry;
  constexpr auto shared = blocks::Ownership::kShared;
  BenchShape shape{.name = e.name, .title = e.title, .setup = {}};
  shape.setup.task = {
      .shape = {.options = {.num_layers = e.layers,
                            .width = e.width,
                            .heads = e.heads,
                            .mlp_width = e.mlp_width,
                            .patch = 4,
                            .dropout = e.dropout,
                            .label_input =
                                models::LabelInput::kReplaceClassToken,
                            .modulation = models::Modulation::kPublished},
                .channels = 3,
                .rows = e.image,
                .columns = e.image,
                .num_classes = e.classes},
      .blocks = {.num_blocks = e.blocks,
                 .ownership = {shared, shared, shared, shared, shared, shared,
                               shared}},
      .classification = {.loss_weight = tasks::LossWeight::kPublished,
                         .target_table = tasks::TargetTable::kGaussian,
                         .anchor = 0}};
  shape.setup.optim = {.weight_decay = 0.01,
                       .schedule = optim::LearningRateSchedule::kConstant,
                       .warmup_steps = 0,
                       .weight_decay_on = optim::WeightDecayOn::kAll};
  const int64_t batch = on_cpu ? e.batch : e.gpu_batch;
  shape.setup.loader.batch_size = is_quick ? batch / 4 : batch;
  return shape;
}

}  // namespace dblocks::cli
