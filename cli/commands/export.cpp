// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "dblocks/config/fingerprint.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;

Json vit_json(const models::VitShape& shape) {
  const models::VitOptions& vit = shape.options;
  return {{"kind", "vit"},
          {"num_layers", vit.num_layers},
          {"width", vit.width},
          {"heads", vit.heads},
          {"mlp_width", vit.mlp_width},
          {"patch", vit.patch},
          {"layer_norm_eps", vit.layer_norm_eps},
          {"label_input", enum_name(vit.label_input)},
          {"modulation", enum_name(vit.modulation)},
          {"gate_init", vit.gate_init},
          {"sigma_embedding_width", shape.sigma_embedding_width()},
          {"channels", shape.channels},
          {"rows", shape.rows},
          {"columns", shape.columns}};
}

Json dit_json(const models::DitShape& shape) {
  return {{"kind", "dit"},
          {"num_layers", shape.options.num_layers},
          {"width", shape.options.width},
          {"heads", shape.options.heads},
          {"patch", shape.options.patch},
          {"channels", shape.channels},
          {"rows", shape.rows},
          {"columns", shape.columns}};
}

/// What a reader of the weights needs to rebuild the network.
Json model_json(const RunContext& context, const train::RunReader& reader) {
  const tasks::TaskOptions& task = context.setup.task;
  const bool generates = task.kind == tasks::TaskKind::kImageGeneration;
  const data::DatasetInfo& info = context.data.test.info();
  const data::LoaderOptions& loader = context.setup.loader;
  Json json{{"format", "dblocks-model-1"},
            {"recipe_fingerprint", context.setup.fingerprint},
            {"method", enum_name(task.method)},
            {"average", enum_name(context.setup.optim.ema_evaluate)},
            {"model", generates ? dit_json(task.dit) : vit_json(task.shape)},
            {"sigma_data", task.noise.sigma_data},
            {"class_names", info.class_names},
            {"pixel_mean", generates ? loader.mean : info.mean},
            {"pixel_std", generates ? loader.std : info.std},
            {"blocks", Json::array()}};
  for (int64_t unit = 0; unit < reader.task().num_units(); ++unit) {
    Json block{{"first_layer", reader.task().layers(unit).first},
               {"end_layer", reader.task().layers(unit).last},
               {"step", reader.checkpoints().steps()[unit]}};
    if (task.method == tasks::Method::kDiffusionBlocks) {
      const noise::Interval interval = reader.task().partition().interval(unit);
      block["sigma_low"] = interval.low;
      block["sigma_high"] = interval.high;
    }
    json["blocks"].push_back(block);
  }
  return json;
}

ExitCode export_run(const CommonFlags& flags,
                    const std::string& run,
                    const std::string& out,
                    const std::vector<std::string>& overrides) {
  prepare_process(flags);
  const RunContext context = open_run(run, overrides, at::kCPU);
  const train::RunReader reader(context.setup, train::RunFolder(run));
  const Hash128 hash = train::export_weights(
      reader, out, model_json(context, reader).dump(2) + "\n");
  print_line(fmt::format("{} {}", hash.hex(), out));
  return ExitCode::kDone;
}

}  // namespace

void add_export(CLI::App& app, CommonFlags& flags, Action& action) {
  struct Arguments {
    std::string run, out;
    std::vector<std::string> overrides;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "export", "Write a run's weights as one safetensors file");
  verb->add_option("run", arguments->run, "Folder of the run")->required();
  verb->add_option("--out", arguments->out,
                   "File to write; its name with .model.json goes beside it")
      ->required();
  add_set_flag(*verb, arguments->overrides,
               "Override a key that does not change weights, for instance "
               "optim.ema_evaluate: a.b=c");
  add_common_flags(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] {
      return export_run(flags, arguments->run, arguments->out,
                        arguments->overrides);
    };
  });
}

}  // namespace dblocks::cli
