// SPDX-License-Identifier: Apache-2.0
#include "cli/image_evaluation.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "cli/image_grid.h"
#include "cli/output.h"
#include "cli/run_data.h"
#include "cli/run_record.h"
#include "dblocks/core/log.h"
#include "dblocks/report/image_evaluation.h"
#include "dblocks/report/png.h"
#include "dblocks/tasks/image_comparison.h"
#include "dblocks/tasks/image_denoising_unit.h"
#include "dblocks/tasks/image_features.h"
#include "dblocks/tasks/image_sampler.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

constexpr int64_t kImagesAtOnce = 500;
constexpr int64_t kGridColumns = 8;
/// A larger picture is not shown in the report.
constexpr size_t kMaxPictureBytes = size_t{6} << 20;
/// Drawn images whose nearest training images are shown, at most.
constexpr int64_t kMaxNearest = 16;

/// Pixels of all readable samples, [N, Y, X, C].
at::Tensor pixels_of(const data::Dataset& set) {
  const data::DatasetInfo& info = set.info();
  const std::vector<int64_t> samples = set.readable_samples();
  const auto count = static_cast<int64_t>(samples.size());
  at::Tensor planar =
      at::empty({count, info.channels, info.rows, info.columns}, at::kByte);
  auto* to = planar.mutable_data_ptr<uint8_t>();
  for (const int64_t i : samples) {
    const std::vector<uint8_t> pixels = set.pixels(i);
    to = std::copy(pixels.begin(), pixels.end(), to);
  }
  return planar.permute({0, 2, 3, 1}).contiguous();
}

/// A finished end-to-end classifier of ours on the same kind of images.
std::unique_ptr<tasks::ClassifierFeatures> open_classifier(
    const std::string& run,
    const data::DatasetInfo& images,
    at::Device device) {
  const TrainedNetwork network = open_network(run, device);
  const train::RunSetup& setup = network.setup;
  DBLOCKS_CHECK(setup.task.kind == tasks::TaskKind::kClassification &&
                    setup.task.method == tasks::Method::kEndToEnd,
                ConfigError,
                "[eval] expected evaluation.classifier to be a run with task = "
                "classification and method = end_to_end, found {} and {}: {}",
                enum_name(setup.task.kind), enum_name(setup.task.method), run);
  const data::DatasetInfo& own = network.data;
  DBLOCKS_CHECK(own.channels == images.channels && own.rows == images.rows &&
                    own.columns == images.columns &&
                    own.num_classes() == images.num_classes(),
                ConfigError,
                "[eval] expected a classifier of {} classes of {} x {} x {} "
                "images, found {} classes of {} x {} x {}: {}",
                images.num_classes(), images.channels, images.rows,
                images.columns, own.num_classes(), own.channels, own.rows,
                own.columns, run);
  const train::RunReader reader(setup, train::RunFolder(run));
  std::unique_ptr<tasks::Unit> unit = reader.load_unit(0, device);
  const auto& files = reader.checkpoints().units[0]->manifest.files;
  const auto weights = std::ranges::find(files, checkpoint::kWeightsName,
                                         &checkpoint::ManifestFile::name);
  DBLOCKS_ASSERT(weights != files.end(), "a checkpoint without weights");
  return std::make_unique<tasks::ClassifierFeatures>(
      std::unique_ptr<tasks::PlainUnit>(
          dynamic_cast<tasks::PlainUnit*>(unit.release())),
      weights->hash.hex().substr(0, 8),
      setup.loader.mean.empty() ? own.mean : setup.loader.mean,
      setup.loader.std.empty() ? own.std : setup.loader.std);
}

/// The training loss of every unit on images of its own interval of noise,
/// labels kept.
std::vector<double> unit_losses(const RunContext& context,
                                const train::RunReader& reader,
                                const at::Tensor& pixels,
                                at::Device device) {
  c10::InferenceMode inference;
  const tasks::TaskOptions& task = context.setup.task;
  const data::Dataset& test = context.data.test;
  const std::vector<int64_t> samples = test.readable_samples();
  const int64_t count =
      std::min<int64_t>(pixels.size(0), context.setup.evaluation.samples);
  std::vector<double> losses;
  for (int64_t index = 0; index < reader.task().num_units(); ++index) {
    const std::unique_ptr<tasks::Unit> unit = reader.load_unit(index, device);
    unit->network().eval();
    const auto& denoiser =
        dynamic_cast<const tasks::ImageDenoisingUnit&>(*unit);
    double sum = 0;
    for (int64_t first = 0; first < count; first += kImagesAtOnce) {
      const int64_t n = std::min(kImagesAtOnce, count - first);
      std::vector<int64_t> labels;
      for (int64_t i = first; i < first + n; ++i) {
        labels.push_back(test.label(samples[static_cast<size_t>(i)]));
      }
      const at::Tensor images = tasks::from_pixels(pixels.narrow(0, first, n),
                                                   context.setup.loader.mean,
                                                   context.setup.loader.std)
                                    .to(device);
      // Steps beyond those of any training, so that the noise is fresh.
      tasks::BatchNoise noise = tasks::draw_noise(
          reader.task().partition(), 0,
          {task.seed, index, int64_t{0xffff0000} + first / kImagesAtOnce}, n,
          images[0].numel());
      noise.sigma = noise.sigma.to(device);
      noise.epsilon = noise.epsilon.to(device);
      sum +=
          static_cast<double>(n) *
          denoiser
              .loss_with_noise({images, at::tensor(labels).to(device)}, noise)
              .loss.item<double>();
    }
    losses.push_back(sum / static_cast<double>(count));
  }
  return losses;
}

std::vector<int64_t> labels_in_turn(int64_t count, int64_t num_classes) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    labels.push_back(i % num_classes);
  }
  return labels;
}

/// A row of the first images of each class; image i is of class i modulo
/// num_classes.
at::Tensor grid_images(const at::Tensor& pixels, int64_t num_classes) {
  const int64_t columns = std::min(kGridColumns, pixels.size(0) / num_classes);
  std::vector<int64_t> order;
  for (int64_t label = 0; label < num_classes; ++label) {
    for (int64_t i = 0; i < columns; ++i) {
      order.push_back(i * num_classes + label);
    }
  }
  return pixels.index_select(0, at::tensor(order));
}

report::ImageScore compare(const at::Tensor& drawn,
                           const at::Tensor& real,
                           const tasks::ImageFeatures& features,
                           int64_t neighbours,
                           const std::string& reference) {
  const tasks::ImageComparison found =
      tasks::compare_images(drawn, real, features, neighbours);
  return {.name = fmt::format("{}, no resize, {} images against {}",
                              features.name(), drawn.size(0), reference),
          .frechet_distance = found.frechet_distance,
          .precision = found.precision,
          .recall = found.recall,
          .neighbours = neighbours,
          .num_neighbour_images = found.num_neighbour_images};
}

void print(const report::ImageEvaluation& evaluation) {
  for (const report::ImageScore& s : evaluation.scores) {
    print_line(fmt::format(
        "Frechet distance {:.4f}, precision {:.3f}, recall {:.3f} ({})",
        s.frechet_distance, s.precision, s.recall, s.name));
  }
  if (evaluation.asked_class_share) {
    print_line(fmt::format("put in the asked class: {} of the images",
                           format_percent(*evaluation.asked_class_share)));
  }
  for (size_t i = 0; i < evaluation.block_loss.size(); ++i) {
    print_line(fmt::format("block {}: loss {:.4f} on test images", i,
                           evaluation.block_loss[i]));
  }
}

std::string base64_of(const std::string& png) {
  return png.size() > kMaxPictureBytes
             ? ""
             : report::base64(
                   {reinterpret_cast<const uint8_t*>(png.data()), png.size()});
}

/// The first image of each class above the training image nearest to it.
std::string nearest_picture(const at::Tensor& drawn,
                            const data::Dataset& train,
                            const tasks::ImageFeatures& features) {
  const int64_t count =
      std::min({kMaxNearest, drawn.size(0), train.info().num_classes()});
  const at::Tensor first = drawn.narrow(0, 0, count);
  const at::Tensor real = pixels_of(train);
  return report::png_bytes(image_grid(
      at::cat({first, real.index_select(
                          0, tasks::nearest_images(first, real, features))}),
      count));
}

/// Keeps the evaluation in the run for its report, and a picture of the images.
/// The figures are printed by now, so a run that cannot be written is worth no
/// more than a warning.
void keep(const std::string& run,
          report::ImageEvaluation evaluation,
          const at::Tensor& drawn,
          int64_t num_classes) {
  try {
    const std::filesystem::path folder(run);
    if (drawn.size(0) >= num_classes) {
      const at::Tensor grid = grid_images(drawn, num_classes);
      const std::string png =
          report::png_bytes(image_grid(grid, grid.size(0) / num_classes));
      replace_file(folder / kSampleGridName, png);
      evaluation.grid_png_base64 = base64_of(png);
    }
    replace_file(
        folder / kImageEvaluationName,
        report::to_json(evaluation, report::Detail::kAll).dump() + "\n");
  } catch (const Error& error) {
    log().warn("[eval] the evaluation is not kept in the run: {}",
               error.what());
  }
}

}  // namespace

ExitCode evaluate_images(const CommonFlags& flags,
                         const std::string& run,
                         const RunContext& context,
                         at::Device device) {
  using Clock = std::chrono::steady_clock;
  const train::RunSetup& setup = context.setup;
  const data::DatasetInfo& info = context.data.test.info();
  const tasks::EvaluationOptions& options = setup.evaluation;
  DBLOCKS_CHECK(
      info.channels == 1 || info.channels == 3, ConfigError,
      "[eval] expected pictures of 1 or 3 channels, found {}: latents "
      "have to be decoded first. Hint: dblocks sample --npz",
      info.channels);
  std::unique_ptr<tasks::ClassifierFeatures> classifier;
  if (!options.classifier.empty()) {
    classifier = open_classifier(options.classifier, info, device);
  }
  const train::RunReader reader(setup, train::RunFolder(run));
  const bool is_train = options.reference == tasks::ReferenceSet::kTrain;
  const at::Tensor test = pixels_of(context.data.test);
  const at::Tensor real = is_train ? pixels_of(context.data.train) : test;
  DBLOCKS_CHECK(
      real.size(0) > options.neighbours && options.samples > options.neighbours,
      ConfigError,
      "[eval] expected more images than evaluation.neighbours = {}, "
      "found {} drawn and {} real ones",
      options.neighbours, options.samples, real.size(0));
  tasks::ImageRequest request{
      .labels = labels_in_turn(options.samples, info.num_classes()),
      .seed = static_cast<uint64_t>(options.seed),
      .device = device};
  const Clock::time_point start = Clock::now();
  const at::Tensor drawn = tasks::to_pixels(
      tasks::sample_images(
          reader.task(),
          [&](int64_t unit) { return reader.load_unit(unit, device); },
          setup.sampling, request, show_sampling_share),
      setup.loader.mean, setup.loader.std);
  const double seconds =
      std::chrono::duration<double>(Clock::now() - start).count();
  const std::string reference =
      fmt::format("the {} {} images of {}", real.size(0),
                  is_train ? "training" : "test", info.name);
  report::ImageEvaluation evaluation{
      .run = run,
      .method = std::string(enum_name(setup.task.method)),
      .dataset = info.name,
      .steps = reader.checkpoints().steps(),
      .num_images = options.samples,
      .sampling_steps = static_cast<int64_t>(
          tasks::sampling_schedule(reader.task(), setup.sampling).size()),
      .guidance = setup.sampling.guidance,
      .seed = options.seed,
      .sampling_seconds = seconds};
  const tasks::PixelFeatures by_pixels;
  const tasks::ImageFeatures& features =
      classifier ? static_cast<const tasks::ImageFeatures&>(*classifier)
                 : by_pixels;
  evaluation.scores.push_back(
      compare(drawn, real, features, options.neighbours, reference));
  if (classifier) {
    evaluation.asked_class_share = classifier->classes(drawn)
                                       .eq(at::tensor(request.labels))
                                       .to(at::kDouble)
                                       .mean()
                                       .item<double>();
  }
  evaluation.nearest_png_base64 =
      base64_of(nearest_picture(drawn, context.data.train, features));
  evaluation.block_loss = unit_losses(context, reader, test, device);
  if (flags.json) {
    print_line(report::to_json(evaluation, report::Detail::kScores).dump(2));
  } else {
    print(evaluation);
  }
  keep(run, std::move(evaluation), drawn, info.num_classes());
  return ExitCode::kDone;
}

}  // namespace dblocks::cli
