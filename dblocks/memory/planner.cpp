// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/planner.h"

#include <algorithm>

namespace dblocks::memory {
namespace {

constexpr int64_t kFloat = 4;
constexpr int64_t kSlotElements = 16;  // of a flat state with float32 moments
constexpr int64_t kSinusoids = 256;    // of the sigma embedding

// ---- Parameters -----------------------------------------------------------

/// A set of parameters, as scalars and as elements of a flat state.
struct Parameters {
  int64_t slot =
      kSlotElements;  // what a parameter's elements are a multiple of
  int64_t count = 0;
  int64_t elements = 0;

  void add(int64_t numbers) {
    count += numbers;
    elements += (numbers + slot - 1) / slot * slot;
  }
  void add_linear(int64_t in, int64_t out) {
    add(in * out);
    add(out);
  }
};

/// Parameters of a unit by who trains them.
struct OwnedParameters {
  Parameters owned, shared, frozen;

  Parameters& of(blocks::Ownership ownership) {
    switch (ownership) {
      case blocks::Ownership::kFrozen:
        return frozen;
      case blocks::Ownership::kShared:
        return shared;
      default:
        return owned;
    }
  }
};

OwnedParameters no_parameters(const StepShape& s) {
  OwnedParameters p;
  if (s.format.moments == MomentFormat::kInt8) {
    p.owned.slot = p.shared.slot = kMomentBlock;
  }
  return p;
}

void add_layers(const StepShape& s, int64_t num_layers, Parameters& p) {
  const int64_t d = s.width;
  for (int64_t i = 0; i < num_layers; ++i) {
    for (int norm = 0; norm < 4 && !s.generates_images; ++norm) {
      p.add(d);  // two gains, two offsets
    }
    p.add_linear(d, 3 * d);
    p.add_linear(d, d);
    p.add_linear(d, s.mlp_width);
    p.add_linear(s.mlp_width, d);
    if (s.denoises()) {
      p.add_linear(s.condition_width, 6 * d);
    }
  }
}

OwnedParameters diffusion_transformer_parameters(const StepShape& s,
                                                 int64_t num_layers) {
  const int64_t d = s.width;
  const blocks::OwnershipOptions& own = s.ownership;
  OwnedParameters p = no_parameters(s);
  add_layers(s, num_layers, p.owned);
  p.of(own.stem).add_linear(s.patch_numbers, d);
  p.of(own.label_embedding).add((s.num_classes + 1) * d);
  p.of(own.sigma_embedder).add_linear(kSinusoids, d);
  p.of(own.sigma_embedder).add_linear(d, d);
  p.of(own.final_norm).add_linear(d, 2 * d);
  p.of(own.head).add_linear(d, s.patch_numbers);
  return p;
}

OwnedParameters parameters_of(const StepShape& s,
                              int64_t num_layers,
                              bool has_stem) {
  if (s.generates_images) {
    return diffusion_transformer_parameters(s, num_layers);
  }
  const int64_t d = s.width, e = s.condition_width;
  // Ownership is a matter of denoising networks; all else is the unit's own.
  const blocks::OwnershipOptions own =
      s.denoises() ? s.ownership
                   : blocks::OwnershipOptions{.target_table =
                                                  blocks::Ownership::kPerBlock};
  OwnedParameters p = no_parameters(s);
  add_layers(s, num_layers, p.owned);
  if (has_stem) {
    p.of(own.stem).add_linear(s.patch_numbers, d);
    p.of(own.positions).add(s.tokens * d);
    if (s.has_class_token) {
      p.of(own.stem).add(d);
    }
  }
  if (s.denoises()) {
    p.of(own.target_table).add(s.num_classes * d);
    p.of(own.sigma_embedder).add_linear(kSinusoids, e);
    p.of(own.sigma_embedder).add_linear(e, e);
    p.of(own.final_norm).add_linear(e, 2 * d);
  }
  p.of(own.final_norm).add(d);
  p.of(own.final_norm).add(d);
  p.of(own.head).add_linear(d, s.num_classes);
  return p;
}

// ---- Operations -----------------------------------------------------------

/// One operation of a step. All in bytes.
struct Operation {
  int64_t kept = 0;      ///< for its derivative, beyond what others keep
  int64_t forward = 0;   ///< more while it runs
  int64_t backward = 0;  ///< more while its derivative is taken: gradients that
                         ///< come in, go out or wait
};
using Operations = std::vector<Operation>;

/// Sizes that the table is made of. Of `rows` tokens of each sample, all T or
/// the first one alone, something is computed.
struct Sizes {
  Sizes(const StepShape& s, int64_t rows)
      : hidden(kFloat * s.batch_size * rows * s.width),
        computed(s.compute_bytes * s.batch_size * rows * s.width),
        wide(s.compute_bytes * s.batch_size * rows * s.mlp_width),
        row_numbers(kFloat * s.batch_size * rows),
        scores(s.compute_bytes * s.batch_size * s.heads * rows * s.tokens),
        per_sample(kFloat * s.batch_size * s.width),
        is_narrow(s.compute_bytes < kFloat) {}

  /// In bf16 a linear layer keeps its weight as a bf16 copy, and its weight's
  /// gradient is widened on the way to the flat buffer.
  int64_t weight_copy(int64_t numbers) const {
    return is_narrow ? 2 * numbers : 0;
  }
  int64_t weight_gradient(int64_t numbers) const {
    return (is_narrow ? 6 : 4) * numbers;
  }
  /// Gradient of a float32 input that a linear layer read as bf16.
  int64_t input_gradient() const {
    return is_narrow ? computed + hidden : hidden;
  }

  int64_t hidden;       // [N, rows, D] float32
  int64_t computed;     // [N, rows, D] in what products are computed in
  int64_t wide;         // [N, rows, mlp_width], the same
  int64_t row_numbers;  // [N, rows] float32
  int64_t scores;       // [N, H, rows, T] in what products are computed in
  int64_t per_sample;   // [N, D] float32
  bool is_narrow;
};

/// Linear(condition) cut into shifts, scales and gates; norms and gates keep
/// their parts as copies.
void add_modulation(const StepShape& s, Operations& list) {
  if (s.denoises()) {
    const Sizes all(s, s.tokens);
    const int64_t parts = 6 * all.per_sample;
    list.push_back({.kept = parts * (s.has_silu_after ? 2 : 1),
                    .forward = parts,
                    .backward = all.hidden + 2 * parts +
                                kFloat * 6 * s.width * s.condition_width});
  }
}

/// LayerNorm and modulation: the input is kept already, the moments of each row
/// come on top.
void add_norm(const StepShape& s, int64_t rows, Operations& list) {
  const Sizes z(s, rows);
  list.push_back({.kept = 2 * z.row_numbers,
                  .forward = z.hidden,
                  .backward = 3 * z.hidden + 6 * z.per_sample});
}

/// Queries for `rows` tokens, keys and values for all. The input is kept here;
/// the results are kept by attention, if at all.
void add_qkv(const StepShape& s, int64_t rows, Operations& list) {
  const Sizes all(s, s.tokens), z(s, rows);
  const int64_t weight = 3 * s.width * s.width;
  const bool in_parts = rows < s.tokens;
  // The gradients of both parts' weights are laid into tensors of the whole.
  list.push_back(
      {.kept =
           all.computed + (in_parts ? z.computed : 0) + all.weight_copy(weight),
       .forward =
           z.computed + 2 * all.computed + (all.is_narrow ? all.hidden : 0),
       .backward = all.hidden + z.computed + 2 * all.computed +
                   all.input_gradient() + (in_parts ? all.hidden : 0) +
                   all.weight_gradient(in_parts ? 2 * weight : weight)});
}

/// Attention keeps q, k, v, its result and a number per row and head. With
/// dropout it keeps copies of q, k and v, its result, and the probabilities
/// before and after.
void add_attention(const StepShape& s, int64_t rows, Operations& list) {
  const Sizes all(s, s.tokens), z(s, rows);
  const int64_t qkv = z.computed + 2 * all.computed;
  // q, k and v are cut out of one tensor, k and v alone out of another for a
  // single row. Going backward each gradient is laid into a tensor as large as
  // that one, and these are summed; by then q, k and v are free.
  const bool in_parts = rows < s.tokens;
  const int64_t source = in_parts ? 2 * all.computed : qkv;
  list.push_back({.backward = all.hidden + 2 * source +
                              (in_parts ? 1 : 2) * all.computed});
  if (s.dropout > 0) {
    list.push_back({.kept = qkv + z.computed + 2 * z.scores,
                    .forward = qkv + z.scores,
                    .backward = all.hidden + z.computed + z.scores +
                                std::max(z.scores + all.computed, qkv)});
    return;
  }
  list.push_back({.kept = qkv + z.computed + s.heads * z.row_numbers,
                  .backward = all.hidden + z.computed + qkv});
}

/// Dropout makes its mask again; only its result, which what follows keeps
/// anyway, and its input are there at once.
void add_dropout(const StepShape& s, int64_t rows, Operations& list) {
  if (s.dropout > 0) {
    const Sizes z(s, rows);
    list.push_back(
        {.forward = 2 * z.computed, .backward = z.hidden + 2 * z.computed});
  }
}

/// h + gate * branch: the result is kept by what reads it, the branch by the
/// gate. Without a gate the branch is not kept, but widened from bf16.
void add_residual(const StepShape& s, int64_t rows, Operations& list) {
  const Sizes z(s, rows);
  const bool gated = s.denoises();
  list.push_back({.kept = z.hidden + (gated ? z.computed : 0),
                  .forward = gated ? 0 : z.computed + z.hidden,
                  .backward = z.hidden + z.computed});
}

/// Projection of attention's result, which attention keeps.
void add_output(const StepShape& s, int64_t rows, Operations& list) {
  const Sizes z(s, rows);
  const int64_t weight = s.width * s.width;
  list.push_back(
      {.kept = z.weight_copy(weight),
       .forward = z.computed,
       .backward = z.hidden + 2 * z.computed + z.weight_gradient(weight)});
}

/// down(gelu(up(x))): `up` keeps its input, GELU its slope, `down` GELU's
/// result. GELU's derivative is taken in the slope's place.
void add_mlp(const StepShape& s, int64_t rows, Operations& list) {
  const Sizes z(s, rows);
  const int64_t weight = s.width * s.mlp_width;
  list.push_back({.kept = z.computed + z.weight_copy(weight),
                  .forward = z.wide + (z.is_narrow ? z.hidden : 0),
                  .backward = z.hidden + z.wide + z.input_gradient() +
                              z.weight_gradient(weight)});
  list.push_back(
      {.kept = z.wide, .forward = 2 * z.wide, .backward = z.hidden + z.wide});
  list.push_back(
      {.kept = z.wide + z.weight_copy(weight),
       .forward = z.computed,
       .backward = z.hidden + z.computed + z.wide + z.weight_gradient(weight)});
}

/// A layer whose result is wanted for the first `rows` tokens: all, or one.
void add_layer(const StepShape& s, int64_t rows, Operations& list) {
  add_modulation(s, list);
  add_norm(s, s.tokens, list);
  add_qkv(s, rows, list);
  add_attention(s, rows, list);
  add_output(s, rows, list);
  add_dropout(s, rows, list);
  add_residual(s, rows, list);
  add_norm(s, rows, list);
  add_mlp(s, rows, list);
  add_dropout(s, rows, list);
  add_residual(s, rows, list);
}

int64_t peak_bytes(const Operations& list);

/// A layer that keeps its input alone, which is the result of what comes before
/// it. Going forward nothing else is left; going backward it is run again and
/// keeps what a layer keeps until its own derivative is taken.
void add_recomputed_layer(const StepShape& s, Operations& list) {
  const Sizes z(s, s.tokens);
  Operations own;
  add_layer(s, s.tokens, own);
  const int64_t mlp = 2 * z.wide + z.computed + z.hidden +
                      2 * z.weight_copy(s.width * s.mlp_width);
  const int64_t attention =
      6 * z.computed + z.hidden + (s.dropout > 0 ? 2 * z.scores : 0);
  list.push_back({.kept = z.hidden,
                  .forward = std::max(mlp, attention),
                  .backward = peak_bytes(own)});
}

/// Patches, their embedding, the extra tokens and positions. Without a stem the
/// input itself is kept.
void add_stem(const StepShape& s, bool has_stem, Operations& list) {
  const Sizes z(s, s.tokens);
  const int64_t patches =
      s.batch_size * s.patches * s.patch_numbers * s.compute_bytes;
  list.push_back({.kept = z.hidden + (has_stem ? patches : 0),
                  .forward = 2 * z.hidden,
                  .backward = 2 * z.hidden +
                              z.weight_gradient(s.patch_numbers * s.width)});
}

/// Embeddings of sigma and label, and what belongs to the noisy images: noise,
/// noisy image, its scaled form and what the network is to give live until the
/// loss is known, but not while it is differentiated.
void add_image_condition(const StepShape& s, Operations& list) {
  const int64_t waves = kFloat * s.batch_size * kSinusoids;
  const Sizes z(s, 1);
  const int64_t table = kFloat * (s.num_classes + 1) * s.width;
  list.push_back({.kept = waves + 4 * z.per_sample,
                  .forward = 2 * waves,
                  .backward = 3 * z.per_sample +
                              std::max(table, kFloat * s.width * s.width)});
}

/// Bytes of one batch of images.
int64_t image_bytes(const StepShape& s) {
  return kFloat * s.batch_size * s.patches * s.patch_numbers;
}

/// Final norm, modulation and head of all tokens, and the squared difference.
void add_image_head(const StepShape& s, Operations& list) {
  const Sizes z(s, s.tokens);
  const int64_t images = image_bytes(s);
  // Shift and scale are kept as they are and as copies.
  list.push_back({.kept = 2 * z.row_numbers + 4 * z.per_sample,
                  .forward = z.hidden + 4 * images,
                  .backward = 3 * z.hidden + 6 * z.per_sample +
                              kFloat * 2 * s.width * s.width});
  list.push_back(
      {.kept = z.hidden + images,
       .forward = 6 * images,
       .backward = z.hidden + 2 * images + kFloat * s.width * s.patch_numbers});
}

/// Embedding of sigma and what belongs to the noisy target.
void add_condition(const StepShape& s, Operations& list) {
  if (s.generates_images) {
    add_image_condition(s, list);
    return;
  }
  if (s.denoises()) {
    const int64_t waves = kFloat * s.batch_size * kSinusoids;
    const int64_t embedded = kFloat * s.batch_size * s.condition_width;
    list.push_back(
        {.kept = waves + 5 * embedded + 3 * Sizes(s, 1).per_sample,
         .forward = 2 * waves,
         .backward = 3 * embedded + kFloat * kSinusoids * s.condition_width});
  }
}

/// Final norm of one token, modulation, logits and cross-entropy.
void add_head(const StepShape& s, Operations& list) {
  if (s.generates_images) {
    add_image_head(s, list);
    return;
  }
  const Sizes z(s, 1);
  const int64_t logits = kFloat * s.batch_size * s.num_classes;
  list.push_back({.kept = (s.denoises() ? 7 : 2) * z.per_sample + logits,
                  .forward = 2 * logits,
                  .backward = 2 * logits + 4 * z.per_sample +
                              kFloat * s.width * s.num_classes});
}

int64_t kept_bytes(const Operations& list) {
  int64_t sum = 0;
  for (const Operation& operation : list) {
    sum += operation.kept;
  }
  return sum;
}

/// The most bytes alive at once: what operations up to the one that runs keep,
/// and what that one needs. Derivatives run last operation first, and what an
/// operation kept is free after its derivative.
int64_t peak_bytes(const Operations& list) {
  int64_t kept = 0, peak = 0;
  for (const Operation& operation : list) {
    kept += operation.kept;
    peak =
        std::max(peak, kept + std::max(operation.forward, operation.backward));
  }
  return peak;
}

Operations body(const StepShape& shape, const UnitShape& unit) {
  Operations list;
  add_stem(shape, unit.has_stem, list);
  for (int64_t layer = 0; layer < unit.num_layers; ++layer) {
    // A classifier's head reads the first token of the last layer and no other.
    const bool is_last = layer + 1 == unit.num_layers;
    const int64_t rows = is_last && !shape.generates_images ? 1 : shape.tokens;
    if (shape.recompute && !is_last) {
      add_recomputed_layer(shape, list);
    } else {
      add_layer(shape, rows, list);
    }
  }
  return list;
}

/// Noise of the samples that wait for their turn: it is drawn for the whole
/// batch.
int64_t waiting_bytes(const StepShape& s) {
  if (!s.denoises()) {
    return 0;
  }
  const int64_t numbers =
      s.generates_images ? s.patches * s.patch_numbers : s.width;
  return kFloat * (s.batch_size - s.samples_at_once()) * numbers;
}

int64_t frozen_bytes(const StepShape& shape,
                     const UnitShape& unit,
                     const OwnedParameters& own) {
  int64_t numbers = own.frozen.count;
  if (shape.generates_images) {
    // Positions, and the ones and zeros of norms that are not trained.
    numbers += (shape.tokens + 4 * unit.num_layers + 2) * shape.width;
  }
  for (size_t i = 0; i < unit.before.size(); ++i) {
    numbers += parameters_of(shape, unit.before[i], i == 0).owned.count;
  }
  return kFloat * numbers;
}

int64_t moments_bytes(MomentFormat format, int64_t elements) {
  return format == MomentFormat::kFp32
             ? 2 * kFloat * elements
             : 2 * (elements + kFloat * elements / kMomentBlock);
}

}  // namespace

UnitPlan plan_unit(const StepShape& whole, const UnitShape& unit) {
  StepShape shape = whole;
  shape.batch_size = whole.samples_at_once();
  const OwnedParameters own =
      parameters_of(shape, unit.num_layers, unit.has_stem);
  const int64_t elements = own.owned.elements + own.shared.elements;
  const int64_t flat = kFloat * elements;
  const bool is_packed = shape.format.weights == WeightFormat::kBf16;
  UnitPlan plan{.num_layers = unit.num_layers,
                .num_parameters = own.owned.count + own.shared.count,
                .weights_bytes = is_packed ? flat / 2 : flat,
                .unpacked_bytes = is_packed ? flat : 0,
                .gradient_bytes = flat,
                .moments_bytes = moments_bytes(shape.format.moments, elements),
                .average_bytes = shape.format.averages * flat,
                .frozen_bytes = frozen_bytes(shape, unit, own)};
  Operations list{{.kept = waiting_bytes(whole)}};
  add_condition(shape, list);
  const Operations middle = body(shape, unit);
  list.insert(list.end(), middle.begin(), middle.end());
  add_head(shape, list);
  plan.activation_bytes = kept_bytes(middle);
  plan.head_bytes = kept_bytes(list) - plan.activation_bytes;
  plan.peak_bytes = plan.state_bytes() + peak_bytes(list);
  // At the peak some of what was kept may be free again, which counts against
  // what is needed on top.
  plan.buffer_bytes = plan.peak_bytes - plan.state_bytes() -
                      plan.activation_bytes - plan.head_bytes;
  return plan;
}

int64_t largest_batch(StepShape shape, const UnitShape& unit, int64_t bytes) {
  const auto fits = [&](int64_t batch_size) {
    shape.batch_size = batch_size;
    return plan_unit(shape, unit).peak_bytes <= bytes;
  };
  constexpr int64_t kMost = int64_t{1} << 24;
  int64_t fitting = 0, beyond = 1;
  while (beyond < kMost && fits(beyond)) {
    fitting = beyond;
    beyond *= 2;
  }
  while (beyond - fitting > 1) {
    const int64_t middle = fitting + (beyond - fitting) / 2;
    (fits(middle) ? fitting : beyond) = middle;
  }
  return fitting;
}

}  // namespace dblocks::memory
