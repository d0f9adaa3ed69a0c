// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_peers.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

namespace dblocks::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::optional<fs::path> find_script() {
  std::error_code error;
  // build/bin/dblocks-engine lies two folders below the source tree.
  const fs::path home = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& root :
       {home.parent_path().parent_path(), fs::current_path(error)}) {
    const fs::path script = root / "benchmarks/peers/bench_step.py";
    if (fs::exists(script, error)) {
      return script;
    }
  }
  return std::nullopt;
}

/// One word of a shell's command line.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) {
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return text + "'";
}

std::string command_line(const PeerOptions& options,
                         const fs::path& script,
                         const BenchShape& shape,
                         const std::string& precision) {
  const models::VitShape& vit = shape.setup.task.shape;
  std::string line = quoted(options.python) + " " + quoted(script.string());
  const auto add = [&](const char* flag, const auto& value) {
    line += fmt::format(" {} {}", flag, quoted(fmt::format("{}", value)));
  };
  add("--width", vit.options.width);
  add("--layers", vit.options.num_layers);
  add("--blocks", shape.setup.task.blocks.num_blocks);
  add("--heads", vit.options.heads);
  add("--mlp-width", vit.options.mlp_width);
  add("--image", vit.rows);
  add("--classes", vit.num_classes);
  add("--dropout", vit.options.dropout);
  add("--batch", shape.setup.loader.batch_size);
  add("--precision", precision);
  add("--device", options.flags.device);
  add("--threads", options.flags.threads);
  add("--warmup", options.warmup);
  add("--steps", options.steps);
  return line;
}

}  // namespace

Json run_peer(const PeerOptions& options,
              const BenchShape& shape,
              const std::string& precision) {
  const std::optional<fs::path> script = find_script();
  if (!script) {
    return {{"error", "benchmarks/peers/bench_step.py not found"}};
  }
  std::FILE* pipe =
      ::popen(command_line(options, *script, shape, precision).c_str(), "r");
  if (pipe == nullptr) {
    return {{"error", "cannot start a process"}};
  }
  std::string text;
  std::array<char, 4096> piece;
  while (const size_t count = std::fread(piece.data(), 1, piece.size(), pipe)) {
    text.append(piece.data(), count);
  }
  const int status = ::pclose(pipe);
  if (status != 0) {
    return {
        {"error", fmt::format("{} ended with code {}", options.python,
                              WIFEXITED(status) ? WEXITSTATUS(status) : -1)}};
  }
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("seconds_median")) {
    return {{"error", "the peer printed no result"}};
  }
  return json;
}

}  // namespace dblocks::cli
