// SPDX-License-Identifier: Apache-2.0
#include "dblocks/blocks/ownership.h"

#include <fmt/format.h>

#include "dblocks/core/error.h"

namespace dblocks::blocks {
namespace {

constexpr std::string_view kStem = "stem.";

// Names in files leave out the stem's own level: "patch_embedding.weight".
std::string_view without_stem(std::string_view name) {
  return name.starts_with(kStem) ? name.substr(kStem.size()) : name;
}

}  // namespace

Ownership ownership_of(const OwnershipOptions& options, std::string_view name) {
  const std::string_view part = without_stem(name);
  const auto starts = [part](std::string_view p) {
    return part.starts_with(p);
  };
  if (starts("layers.")) return Ownership::kPerBlock;
  if (starts("patch_embedding.") || part == "class_token") return options.stem;
  if (part == "position_embedding") return options.positions;
  if (part == "target_table") return options.target_table;
  if (part == "label_embedding") return options.label_embedding;
  if (starts("sigma_embedder.")) return options.sigma_embedder;
  if (starts("final_norm.") || starts("final_modulation.")) {
    return options.final_norm;
  }
  DBLOCKS_ASSERT(starts("head."), "parameter '{}' belongs to no part", name);
  return options.head;
}

std::string file_name(std::string_view name,
                      Ownership ownership,
                      int64_t block) {
  const std::string_view part = without_stem(name);
  const bool owned =
      ownership == Ownership::kPerBlock && !part.starts_with("layers.");
  return owned ? fmt::format("blocks.{}.{}", block, part) : std::string(part);
}

bool is_matrix(std::string_view name, int64_t num_dimensions) {
  const std::string_view part = without_stem(name);
  return num_dimensions >= 2 && part != "position_embedding" &&
         part != "class_token" && part != "target_table" &&
         part != "label_embedding";
}

}  // namespace dblocks::blocks
