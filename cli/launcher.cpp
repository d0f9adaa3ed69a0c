// SPDX-License-Identifier: Apache-2.0
// dblocks: what a user starts. Loading LibTorch takes a third of a second, so
// help, the version and verbs that only read files are answered here, and
// everything else becomes dblocks-engine (same process, same arguments), which
// has all verbs and would give the same answers.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/program.h"

namespace {

namespace fs = std::filesystem;
using dblocks::cli::HelpText;

/// The help that `words`, the arguments, ask for; null if they ask for more.
const char* help_asked_for(const std::vector<std::string_view>& words) {
  if (words.back() != "--help" && words.back() != "-h") {
    return nullptr;
  }
  std::string verb;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    verb += (verb.empty() ? "" : " ") + std::string(words[i]);
  }
  const auto texts = dblocks::cli::help_texts();
  const auto found = std::ranges::find(texts, verb, &HelpText::verb);
  return found == texts.end() ? nullptr : found->text;
}

int become_engine(char** argv) {
  std::error_code error;
  const fs::path home = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path installed = home / "../libexec/dblocks/dblocks-engine";
  fs::path engine = home / "dblocks-engine";
  if (!fs::exists(engine, error) && fs::exists(installed, error)) {
    engine = installed;
  }
  execv(engine.c_str(), argv);
  const int error_number = errno;
  const std::string message =
      "[dblocks] expected to start " + engine.string() +
      ", found: " + std::generic_category().message(error_number) +
      ". Hint: build or install both programs, dblocks and dblocks-engine";
  return dblocks::cli::report_error(dblocks::ExitCode::kInternal,
                                    message.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::fputs(dblocks::cli::overview_text(), stderr);
    return static_cast<int>(dblocks::ExitCode::kConfig);
  }
  if (const char* text = help_asked_for(words)) {
    return std::fputs(text, stdout) < 0 || std::fflush(stdout) != 0 ? 1 : 0;
  }
  CLI::App app;
  dblocks::cli::name_program(app);
  dblocks::cli::CommonFlags flags;
  dblocks::cli::Action action;
  dblocks::cli::add_inspect(app, flags, action);
  dblocks::cli::add_verify(app, flags, action);
  const bool is_ours = words[0] == "inspect" || words[0] == "verify" ||
                       (words[0] == "--version" && words.size() == 1);
  return is_ours ? dblocks::cli::run_program(app, flags, action, argc, argv)
                 : become_engine(argv);
}
