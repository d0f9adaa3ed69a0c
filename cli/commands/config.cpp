// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "dblocks/config/dump.h"
#include "dblocks/config/explain.h"

namespace dblocks::cli {
namespace {

struct ConfigArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  bool explain = false;
};

ExitCode show_config(const CommonFlags& flags,
                     const ConfigArguments& arguments) {
  if (!arguments.recipe.empty()) {
    prepare_process(flags);
    print_line(config::dump_toml(
        open_recipe(arguments.recipe, arguments.overrides, open_device(flags))
            .loaded));
  }
  if (arguments.explain) {
    print_line(config::explain());
  }
  DBLOCKS_CHECK(arguments.explain || !arguments.recipe.empty(), ConfigError,
                "[config] expected a recipe or --explain, found neither");
  return ExitCode::kDone;
}

}  // namespace

void add_config(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<ConfigArguments>();
  CLI::App* verb = app.add_subcommand(
      "config", "Show a recipe with every value and its origin");
  verb->add_option("recipe", arguments->recipe, "Recipe, a TOML file");
  add_set_flag(*verb, arguments->overrides,
               "Override a key of the recipe: a.b=c");
  verb->add_flag("--explain", arguments->explain,
                 "List every key with default, unit and meaning");
  add_common_flags(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return show_config(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
