// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

namespace dblocks::cli {

void add_verbose_flag(CLI::App& verb, CommonFlags& flags) {
  verb.add_flag("--verbose", flags.verbose, "Say more on standard error");
}

void add_common_flags(CLI::App& verb, CommonFlags& flags) {
  verb.add_option("--device", flags.device, "cpu, cuda or cuda:N")
      ->capture_default_str();
  verb.add_option("--threads", flags.threads,
                  "Threads of the CPU; 0 = all cores")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  add_verbose_flag(verb, flags);
}

void add_json_flag(CLI::App& verb, CommonFlags& flags) {
  verb.add_flag("--json", flags.json, "Print JSON");
}

void add_set_flag(CLI::App& verb,
                  std::vector<std::string>& overrides,
                  const std::string& help) {
  // Else the words after the value, a recipe say, would be taken for more.
  verb.add_option("--set", overrides, help)->allow_extra_args(false);
}

}  // namespace dblocks::cli
