// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "cli/run_data.h"
#include "dblocks/data/image_file.h"
#include "dblocks/tasks/readouts.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;

struct PredictArguments {
  std::string run;
  std::vector<std::string> images;
  int64_t top = 3;
};

struct ClassShare {
  int64_t label = 0;
  double probability = 0;
};

// An image as the network takes it: [C, Y, X], normalised.
at::Tensor load_image(const std::string& path, const data::DatasetInfo& info) {
  data::Image image;
  data::read_image(
      path, info.channels,
      [&](int64_t rows, int64_t columns) {
        return data::centred_view(rows, columns, info.rows, info.columns);
      },
      image);
  std::vector<float> values(image.pixels.size());
  data::Normalizer(info.mean, info.std).apply(image.pixels, values);
  return at::from_blob(values.data(), {info.channels, info.rows, info.columns},
                       at::kFloat)
      .clone();
}

// The likeliest classes of one row of probabilities [classes].
std::vector<ClassShare> likeliest(const at::Tensor& row, int64_t count) {
  std::vector<ClassShare> shares;
  const at::Tensor numbers = row.to(at::kFloat).contiguous();
  const float* values = numbers.const_data_ptr<float>();
  for (int64_t label = 0; label < row.numel(); ++label) {
    shares.push_back({label, values[label]});
  }
  std::ranges::stable_sort(shares, std::greater<>(), &ClassShare::probability);
  shares.resize(static_cast<size_t>(
      std::min<int64_t>(count, static_cast<int64_t>(shares.size()))));
  return shares;
}

Json shares_json(const std::vector<ClassShare>& shares,
                 const std::vector<std::string>& names) {
  Json list = Json::array();
  for (const ClassShare& share : shares) {
    list.push_back({{"class", names[static_cast<size_t>(share.label)]},
                    {"label", share.label},
                    {"probability", share.probability}});
  }
  return list;
}

std::string shares_text(const std::vector<ClassShare>& shares,
                        const std::vector<std::string>& names) {
  std::string text;
  for (const ClassShare& share : shares) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ",
                        names[static_cast<size_t>(share.label)],
                        format_percent(share.probability));
  }
  return text;
}

void print_json(const PredictArguments& arguments,
                const tasks::Prediction& prediction,
                const std::vector<std::string>& names) {
  Json json{{"run", arguments.run},
            {"readout", prediction.readout},
            {"answer", prediction.answers_pooled ? "pooled" : "last_block"},
            {"images", Json::array()}};
  for (size_t i = 0; i < arguments.images.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const auto shares = [&](const at::Tensor& rows) {
      return shares_json(likeliest(rows.select(0, row), arguments.top), names);
    };
    Json image{{"file", arguments.images[i]},
               {"answer", shares(prediction.answer())},
               {"after_block", Json::array()}};
    for (const at::Tensor& block : prediction.after_block) {
      image["after_block"].push_back(shares(block));
    }
    json["images"].push_back(std::move(image));
  }
  print_line(json.dump(2, ' ', false, Json::error_handler_t::replace));
}

void print_text(const PredictArguments& arguments,
                const tasks::Prediction& prediction,
                const std::vector<std::string>& names) {
  for (size_t i = 0; i < arguments.images.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const auto shares = [&](const at::Tensor& rows) {
      return shares_text(likeliest(rows.select(0, row), arguments.top), names);
    };
    print_line(fmt::format("{}: {}", arguments.images[i],
                           shares(prediction.answer())));
    for (size_t b = 0; b < prediction.after_block.size(); ++b) {
      print_line(fmt::format("  after block {}: {}", b,
                             shares(prediction.after_block[b])));
    }
  }
}

ExitCode predict(const CommonFlags& flags, const PredictArguments& arguments) {
  DBLOCKS_CHECK(arguments.top >= 1, ConfigError,
                "[predict] expected 1 or more, found {}: --top", arguments.top);
  prepare_process(flags);
  const at::Device device = open_device(flags);
  const TrainedNetwork network = open_network(arguments.run, device);
  const train::RunReader reader(network.setup, train::RunFolder(arguments.run));
  std::vector<at::Tensor> images;
  for (const std::string& path : arguments.images) {
    images.push_back(load_image(path, network.data));
  }
  const tasks::Prediction prediction = tasks::predict(
      tasks::ClassificationTask(network.setup.task),
      [&](int64_t unit) { return reader.load_unit(unit, device); },
      at::stack(images).to(device), network.setup.readout);
  (flags.json ? print_json : print_text)(arguments, prediction,
                                         network.data.class_names);
  return ExitCode::kDone;
}

}  // namespace

void add_predict(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<PredictArguments>();
  CLI::App* verb = app.add_subcommand(
      "predict", "Class names and probabilities of images, block by block");
  verb->add_option("run", arguments->run, "Folder of the run")->required();
  verb->add_option("images", arguments->images, "PNG or JPEG files")
      ->required();
  verb->add_option("--top", arguments->top, "Classes shown per image");
  add_common_flags(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return predict(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
