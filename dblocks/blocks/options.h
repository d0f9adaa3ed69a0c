// SPDX-License-Identifier: Apache-2.0
// How a network is cut into blocks and who trains the parts outside the stack.
// Plain data: no LibTorch here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dblocks/core/fields.h"

namespace dblocks::blocks {

/// Who trains an outer part.
enum class Ownership {
  kPerBlock,  ///< every block has and trains its own copy
  kFrozen,    ///< made once from the seed, never trained
  kShared,    ///< one copy trained by every block, as the published code does
};

inline constexpr auto kOwnershipNames =
    std::to_array<EnumName<Ownership>>({{Ownership::kPerBlock, "per_block"},
                                        {Ownership::kFrozen, "frozen"},
                                        {Ownership::kShared, "shared"}});
inline auto enum_names(Ownership) {
  return std::span(kOwnershipNames);
}

/// One policy per outer part. With per_block and frozen alone, blocks are
/// independent: any order, any machine, the same bits. One `shared` ends that.
struct OwnershipOptions {
  /// Patch embedding and class token.
  Ownership stem = Ownership::kPerBlock;
  /// Learned positions.
  Ownership positions = Ownership::kPerBlock;
  /// Embeddings of the labels. All blocks have to agree on it, so a copy per
  /// block (`per_block`) makes the chain pass on what the next one misreads.
  Ownership target_table = Ownership::kFrozen;
  /// Embeddings of the labels that a generating network is conditioned on.
  Ownership label_embedding = Ownership::kPerBlock;
  /// Embedding of sigma.
  Ownership sigma_embedder = Ownership::kPerBlock;
  /// Last layer norm and its modulation.
  Ownership final_norm = Ownership::kPerBlock;
  /// Classifier.
  Ownership head = Ownership::kPerBlock;
};

/// Whether any part is shared; blocks are then not independent of each other.
inline bool has_shared_parts(const OwnershipOptions& options) {
  for (const Ownership part :
       {options.stem, options.positions, options.target_table,
        options.label_embedding, options.sigma_embedder, options.final_norm,
        options.head}) {
    if (part == Ownership::kShared) {
      return true;
    }
  }
  return false;
}

/// The cut of the stack.
struct BlocksOptions {
  /// Number of blocks, B.
  int64_t num_blocks = 3;
  /// Layers of each block, first block first. Empty: equal shares, which needs
  /// num_blocks to divide the number of layers.
  std::vector<int64_t> layers_per_block;
  OwnershipOptions ownership;
};

inline void visit_fields(FieldVisitor& visitor, OwnershipOptions& options) {
  visitor.field({"stem", "", "Patch embedding and class token."}, options.stem);
  visitor.field({"positions", "", "Learned positions."}, options.positions);
  visitor.field({"target_table", "",
                 "Embeddings of the labels; all blocks have to agree on it."},
                options.target_table);
  visitor.field({"label_embedding", "",
                 "Embeddings of the labels that images are generated for."},
                options.label_embedding);
  visitor.field({"sigma_embedder", "", "Embedding of sigma."},
                options.sigma_embedder);
  visitor.field({"final_norm", "", "Last layer norm and its modulation."},
                options.final_norm);
  visitor.field({"head", "", "Classifier."}, options.head);
}

inline void visit_fields(FieldVisitor& visitor, BlocksOptions& options) {
  visitor.field({"num_blocks", "blocks",
                 "Number of blocks; block 0 holds the first layers and the "
                 "noisiest interval."},
                options.num_blocks);
  visitor.field({"layers_per_block", "layers",
                 "Layers of each block, first block first; empty = equal "
                 "shares."},
                options.layers_per_block);
  visitor.table("ownership",
                "Who trains each part outside the stack: per_block (a copy "
                "per block), frozen (from the seed, never trained) or shared "
                "(one copy, blocks no longer independent).",
                options.ownership);
}

}  // namespace dblocks::blocks
