// SPDX-License-Identifier: Apache-2.0
#include "cli/image_evaluation.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "cli/feature_networks.h"
#include "cli/image_grid.h"
#include "cli/image_sets.h"
#include "cli/output.h"
#include "cli/run_data.h"
#include "cli/run_record.h"
#include "dblocks/core/log.h"
#include "dblocks/report/image_evaluation.h"
#include "dblocks/report/image_history.h"
#include "dblocks/report/png.h"
#include "dblocks/tasks/image_comparison.h"
#include "dblocks/tasks/image_denoising_unit.h"
#include "dblocks/tasks/image_sampler.h"
#include "dblocks/tasks/noise_loss.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

constexpr int64_t kImagesAtOnce = 500;
constexpr int64_t kGridColumns = 8;
/// A larger picture is not shown in the report.
constexpr size_t kMaxPictureBytes = size_t{6} << 20;
/// Test images on which the loss by level of noise is measured, at most.
constexpr int64_t kImagesByNoise = 500;
/// Drawn images whose nearest training images are shown, at most.
constexpr int64_t kMaxNearest = 16;

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

/// Test images in the scale of training, with their labels.
tasks::LabelledBatch some_test_images(const RunContext& context,
                                      const at::Tensor& pixels,
                                      at::Device device) {
  const data::Dataset& test = context.data.test;
  const std::vector<int64_t> samples = test.readable_samples();
  const int64_t count = std::min(kImagesByNoise, pixels.size(0));
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    labels.push_back(test.label(samples[static_cast<size_t>(i)]));
  }
  return {
      tasks::from_pixels(pixels.narrow(0, 0, count), context.setup.loader.mean,
                         context.setup.loader.std)
          .to(device),
      at::tensor(labels).to(device)};
}

/// The loss of a run by level of noise.
report::NoiseCurve noise_curve(const std::string& run,
                               const train::RunSetup& setup,
                               const tasks::LabelledBatch& images,
                               const std::vector<double>& levels,
                               int64_t seed,
                               at::Device device) {
  const train::RunReader reader(setup, train::RunFolder(run));
  report::NoiseCurve curve{.run = run,
                           .method = std::string(enum_name(setup.task.method))};
  for (const tasks::NoiseLoss& level : tasks::noise_losses(
           reader.task(),
           [&](int64_t unit) { return reader.load_unit(unit, device); }, images,
           levels, static_cast<uint64_t>(seed))) {
    curve.points.push_back({level.sigma, level.unit, level.loss});
  }
  return curve;
}

/// The run that is held against another one.
TrainedNetwork open_other(const std::string& run,
                          const RunContext& context,
                          at::Device device) {
  TrainedNetwork other = open_network(run, device);
  DBLOCKS_CHECK(other.setup.task.kind == tasks::TaskKind::kImageGeneration,
                ConfigError,
                "[eval] expected --against to name a run with task = "
                "image_generation, found {}: {}",
                enum_name(other.setup.task.kind), run);
  const data::DatasetInfo& own = context.data.test.info();
  const data::DatasetInfo& info = other.data;
  DBLOCKS_CHECK(
      info.channels == own.channels && info.rows == own.rows &&
          info.columns == own.columns &&
          info.num_classes() == own.num_classes(),
      ConfigError,
      "[eval] expected --against a run of {} classes of {} x {} x {} images, "
      "found {} classes of {} x {} x {}: {}",
      own.num_classes(), own.channels, own.rows, own.columns,
      info.num_classes(), info.channels, info.rows, info.columns, run);
  const auto ends = [](const train::RunSetup& setup) {
    return std::pair(setup.task.noise.sigma_min, setup.task.noise.sigma_max);
  };
  const auto scale = [](const train::RunSetup& setup,
                        const data::DatasetInfo& data) {
    return std::pair(setup.loader.mean.empty() ? data.mean : setup.loader.mean,
                     setup.loader.std.empty() ? data.std : setup.loader.std);
  };
  DBLOCKS_CHECK(
      ends(other.setup) == ends(context.setup) &&
          other.setup.task.noise.sigma_data ==
              context.setup.task.noise.sigma_data &&
          scale(other.setup, info) == scale(context.setup, own),
      ConfigError,
      "[eval] expected --against a run with the same noise.sigma_min, "
      "sigma_max, sigma_data and scale of pixels, found others: "
      "losses of different scales do not compare: {}",
      run);
  return other;
}

std::vector<report::NoiseCurve> noise_curves(
    const std::string& run,
    const std::string& against,
    const std::optional<TrainedNetwork>& other,
    const RunContext& context,
    const noise::Partition& partition,
    const at::Tensor& pixels,
    at::Device device) {
  const tasks::EvaluationOptions& options = context.setup.evaluation;
  if (options.noise_levels == 0) {
    return {};
  }
  const std::vector<double> levels =
      tasks::noise_levels(partition, options.noise_levels);
  const tasks::LabelledBatch images = some_test_images(context, pixels, device);
  std::vector<report::NoiseCurve> curves = {
      noise_curve(run, context.setup, images, levels, options.seed, device)};
  if (other) {
    curves.push_back(noise_curve(against, other->setup, images, levels,
                                 options.seed, device));
  }
  return curves;
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

/// A line for each level of noise: which block owns it, and the losses.
void print_curves(const std::vector<report::NoiseCurve>& curves) {
  if (curves.empty()) {
    return;
  }
  print_line(
      fmt::format("{:>10} {:>6} {:>10}{}", "sigma", "block", "loss",
                  curves.size() > 1 ? "  loss of " + curves[1].run : ""));
  for (size_t i = 0; i < curves[0].points.size(); ++i) {
    const report::NoisePoint& own = curves[0].points[i];
    print_line(fmt::format(
        "{:>10.4g} {:>6} {:>10.4f}{}", own.sigma, own.block, own.loss,
        curves.size() > 1 ? fmt::format("  {:.4f}", curves[1].points[i].loss)
                          : ""));
  }
}

void print(const std::vector<report::ImageScore>& scores,
           const std::optional<double>& asked_class_share) {
  for (const report::ImageScore& s : scores) {
    const std::string neighbours =
        s.precision && s.recall
            ? fmt::format(", precision {:.3f}, recall {:.3f}", *s.precision,
                          *s.recall)
            : "";
    print_line(fmt::format("Frechet distance {:.4f}{} ({})", s.frechet_distance,
                           neighbours, s.name));
  }
  if (asked_class_share) {
    print_line(fmt::format("put in the asked class: {} of the images",
                           format_percent(*asked_class_share)));
  }
}

void print(const report::ImageEvaluation& evaluation) {
  print(evaluation.scores, evaluation.asked_class_share);
  for (size_t i = 0; i < evaluation.block_loss.size(); ++i) {
    print_line(fmt::format("block {}: loss {:.4f} on test images", i,
                           evaluation.block_loss[i]));
  }
  print_curves(evaluation.noise_curves);
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
      at::cat({first,
               real.index_select(
                   0, tasks::nearest_images(features(first), features(real)))}),
      count));
}

/// The share of images that the classifier, if there is one, puts into their
/// class.
std::optional<double> asked_class_share(const FeatureNetworks& networks,
                                        const at::Tensor& pixels,
                                        const at::Tensor& classes) {
  if (!networks.classifier || !classes.defined()) {
    return std::nullopt;
  }
  return networks.classifier->classes(pixels)
      .eq(classes)
      .to(at::kDouble)
      .mean()
      .item<double>();
}

/// Images made elsewhere: nothing is kept in the run.
ExitCode evaluate_foreign(const CommonFlags& flags,
                          const std::string& file,
                          const FeatureNetworks& networks,
                          const Reference& reference,
                          const RunContext& context) {
  const ForeignImages images =
      open_images(file, networks, context.data.test.info());
  check_comparable(images.pixels.size(0), reference, context.setup.evaluation);
  const std::vector<report::ImageScore> scores = compare_images(
      images.pixels,
      fmt::format("{} images of {}", images.pixels.size(0), images.name),
      reference, networks, context.setup.evaluation);
  const std::optional<double> share =
      asked_class_share(networks, images.pixels, images.classes);
  if (!flags.json) {
    print(scores, share);
    return ExitCode::kDone;
  }
  nlohmann::ordered_json json{{"samples", file},
                              {"num_images", images.pixels.size(0)},
                              {"scores", nlohmann::ordered_json::array()}};
  for (const report::ImageScore& score : scores) {
    json["scores"].push_back(report::to_json(score));
  }
  if (share) {
    json["asked_class_share"] = *share;
  }
  print_line(json.dump(2));
  return ExitCode::kDone;
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
    const std::filesystem::path past = folder / kImageHistoryName;
    report::ImageHistory history = report::read_image_history(past);
    report::add_evaluation(evaluation, history);
    replace_file(past, report::image_history_json(history));
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
                         const ImageEvaluationRequest& asked,
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
  DBLOCKS_CHECK(asked.samples.empty() || asked.against.empty(), ConfigError,
                "[eval] expected --samples or --against, found both: only a "
                "run has losses to hold against another's");
  const FeatureNetworks networks = open_feature_networks(options, info, device);
  const Reference reference = open_reference(options, networks, context.data);
  if (!asked.samples.empty()) {
    return evaluate_foreign(flags, asked.samples, networks, reference, context);
  }
  std::optional<TrainedNetwork> other;
  if (!asked.against.empty()) {
    other = open_other(asked.against, context, device);
  }
  const train::RunReader reader(setup, train::RunFolder(asked.run));
  check_comparable(options.samples, reference, options);
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
  report::ImageEvaluation evaluation{
      .run = asked.run,
      .method = std::string(enum_name(setup.task.method)),
      .dataset = info.name,
      .steps = reader.checkpoints().steps(),
      .num_images = options.samples,
      .sampling_steps = static_cast<int64_t>(
          tasks::sampling_schedule(reader.task(), setup.sampling).size()),
      .guidance = setup.sampling.guidance,
      .seed = options.seed,
      .sampling_seconds = seconds,
      .scores = compare_images(drawn, fmt::format("{} images", drawn.size(0)),
                               reference, networks, options),
      .asked_class_share =
          asked_class_share(networks, drawn, at::tensor(request.labels))};
  evaluation.nearest_png_base64 =
      base64_of(nearest_picture(drawn, context.data.train, networks.quick()));
  const bool is_test = options.reference_file.empty() &&
                       options.reference == tasks::ReferenceSet::kTest;
  const at::Tensor test =
      is_test ? reference.pixels : pixels_of(context.data.test);
  evaluation.block_loss = unit_losses(context, reader, test, device);
  evaluation.noise_curves =
      noise_curves(asked.run, asked.against, other, context,
                   reader.task().partition(), test, device);
  if (flags.json) {
    print_line(report::to_json(evaluation, report::Detail::kScores).dump(2));
  } else {
    print(evaluation);
  }
  keep(asked.run, std::move(evaluation), drawn, info.num_classes());
  return ExitCode::kDone;
}

}  // namespace dblocks::cli
