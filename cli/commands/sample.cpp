// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/image_grid.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "cli/run_data.h"
#include "cli/sample_files.h"
#include "dblocks/core/log.h"
#include "dblocks/report/png_encoder.h"
#include "dblocks/tasks/image_sampler.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

struct SampleArguments {
  std::string run;
  std::string classes;
  int64_t per_class = 8;
  std::optional<double> guidance;
  std::optional<int64_t> steps;
  std::string solver;
  uint64_t seed = 0;
  std::string out;
  std::string npz;
  std::string safetensors;
  std::vector<std::string> overrides;
};

constexpr int64_t kMaxImages = 1'000'000;

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number =
      error == std::errc() && end == text.data() + text.size() && number >= 0;
  return is_number ? std::optional(number) : std::nullopt;
}

/// The classes that one word means: a class's name, its number, or a range.
std::vector<int64_t> classes_of(const std::string& word,
                                const std::vector<std::string>& names) {
  const auto named = std::ranges::find(names, word);
  if (named != names.end()) {
    return {named - names.begin()};
  }
  const size_t dash = word.find('-');
  const auto first = whole_number(word.substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : whole_number(word.substr(dash + 1));
  const auto count = static_cast<int64_t>(names.size());
  DBLOCKS_CHECK(first && last && *first <= *last && *last < count, ConfigError,
                "[sample] expected --classes to name classes of the run (0 to "
                "{}, ranges like 0-9, or names), found '{}'",
                count - 1, word);
  std::vector<int64_t> classes;
  for (int64_t label = *first; label <= *last; ++label) {
    classes.push_back(label);
  }
  return classes;
}

/// Every class that a list with commas means; all where it is empty.
std::vector<int64_t> read_classes(const std::string& text,
                                  const std::vector<std::string>& names) {
  if (text.empty()) {
    return classes_of(fmt::format("0-{}", names.size() - 1), names);
  }
  std::vector<int64_t> classes;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    for (const int64_t c : classes_of(text.substr(begin, end - begin), names)) {
      classes.push_back(c);
    }
    begin = end + 1;
  }
  return classes;
}

/// The flags as the keys that they stand for.
std::vector<std::string> overrides_of(const SampleArguments& arguments) {
  std::vector<std::string> overrides = arguments.overrides;
  if (arguments.guidance) {
    overrides.push_back(
        fmt::format("sampling.guidance={}", *arguments.guidance));
  }
  if (arguments.steps) {
    overrides.push_back(fmt::format("sampling.steps={}", *arguments.steps));
    overrides.emplace_back("sampling.steps_per_block=[]");
  }
  if (!arguments.solver.empty()) {
    overrides.push_back("sampling.solver=" + arguments.solver);
  }
  return overrides;
}

void warn_about_schedule(const std::vector<noise::ScheduledSigma>& schedule,
                         int64_t num_blocks) {
  const std::vector<int64_t> left_out =
      tasks::uncalled_blocks(schedule, num_blocks);
  if (!left_out.empty()) {
    log().warn(
        "[sample] {} steps never call block {}: images lack what it learned. "
        "Hint: more sampling.steps",
        schedule.size(), fmt::join(left_out, ", "));
  }
}

ExitCode sample(const CommonFlags& flags, const SampleArguments& arguments) {
  using Clock = std::chrono::steady_clock;
  DBLOCKS_CHECK(!arguments.out.empty() || !arguments.npz.empty() ||
                    !arguments.safetensors.empty(),
                ConfigError,
                "[sample] expected --out, --npz or --safetensors, found none: "
                "nowhere to write images");
  prepare_process(flags);
  const at::Device device = open_device(flags);
  const TrainedNetwork network =
      open_network(arguments.run, device, overrides_of(arguments));
  const train::RunSetup& setup = network.setup;
  DBLOCKS_CHECK(setup.task.kind == tasks::TaskKind::kImageGeneration,
                ConfigError,
                "[sample] expected a run with task = image_generation, found "
                "{}: {}",
                enum_name(setup.task.kind), arguments.run);
  const bool is_picture =
      network.data.channels == 1 || network.data.channels == 3;
  DBLOCKS_CHECK(is_picture || arguments.out.empty(), ConfigError,
                "[sample] expected --npz or --safetensors for latents of {} "
                "channels, found "
                "--out {}: they are no pictures yet",
                network.data.channels, arguments.out);
  const std::vector<int64_t> classes =
      read_classes(arguments.classes, network.data.class_names);
  DBLOCKS_CHECK(arguments.per_class >= 1 &&
                    arguments.per_class <=
                        kMaxImages / static_cast<int64_t>(classes.size()),
                ConfigError,
                "[sample] expected 1 to {} images in all, found --per-class {} "
                "of {} classes",
                kMaxImages, arguments.per_class, classes.size());
  tasks::ImageRequest request{.seed = arguments.seed, .device = device};
  for (const int64_t label : classes) {
    request.labels.insert(request.labels.end(),
                          static_cast<size_t>(arguments.per_class), label);
  }
  const train::RunReader reader(setup, train::RunFolder(arguments.run));
  const auto schedule = tasks::sampling_schedule(reader.task(), setup.sampling);
  warn_about_schedule(schedule, reader.task().partition().num_blocks());
  const Clock::time_point start = Clock::now();
  const at::Tensor images = tasks::sample_images(
      reader.task(),
      [&](int64_t unit) { return reader.load_unit(unit, device); },
      setup.sampling, request, show_sampling_share);
  const double seconds =
      std::chrono::duration<double>(Clock::now() - start).count();
  const data::LoaderOptions& scale = setup.loader;
  DrawnImages drawn{.pixels = {}, .values = {}, .labels = request.labels};
  if (is_picture) {
    drawn.pixels = tasks::to_pixels(images, scale.mean, scale.std);
  } else {
    drawn.values = tasks::to_values(images, scale.mean, scale.std);
  }
  if (!arguments.npz.empty()) {
    write_arrays(arguments.npz, drawn);
  }
  if (!arguments.safetensors.empty()) {
    write_tensors(arguments.safetensors, drawn, network);
  }
  if (arguments.out.ends_with(".png")) {
    replace_file(arguments.out, report::png_bytes(image_grid(
                                    drawn.pixels, arguments.per_class)));
  } else if (!arguments.out.empty()) {
    write_image_files(arguments.out, drawn);
  }
  print_line(
      fmt::format("{} images of {} classes, {} steps, guidance {}: {:.1f} "
                  "s",
                  images.size(0), classes.size(), schedule.size(),
                  setup.sampling.guidance, seconds));
  return ExitCode::kDone;
}

}  // namespace

void add_sample(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<SampleArguments>();
  CLI::App* verb =
      app.add_subcommand("sample", "Draw images from a trained run");
  verb->add_option("run", arguments->run, "Folder of the run")->required();
  verb->add_option("--classes", arguments->classes,
                   "Classes: numbers, ranges or names with commas between; all "
                   "where it is left out");
  verb->add_option("--per-class", arguments->per_class, "Images of each class")
      ->capture_default_str();
  verb->add_option("--guidance", arguments->guidance,
                   "Guidance scale (sampling.guidance)");
  verb->add_option("--steps", arguments->steps, "Steps (sampling.steps)");
  verb->add_option("--solver", arguments->solver,
                   "euler or heun (sampling.solver)");
  verb->add_option("--seed", arguments->seed,
                   "Seed of the images; the same gives the same images")
      ->capture_default_str();
  verb->add_option("--out", arguments->out,
                   "A grid, FILE.png, a row for each class; or a folder, a "
                   "file for each image");
  verb->add_option(
      "--npz", arguments->npz,
      "NumPy arrays: arr_0 images [N, Y, X, C] (latents as numbers "
      "[N, C, Y, X]), arr_1 classes");
  verb->add_option("--safetensors", arguments->safetensors,
                   "Tensors: images [N, C, Y, X] and labels, as data sets of "
                   "one's own are read");
  add_set_flag(*verb, arguments->overrides,
               "Override a key that does not change weights: a.b=c");
  add_common_flags(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return sample(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
