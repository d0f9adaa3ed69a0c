// SPDX-License-Identifier: Apache-2.0
// What comparisons with a PyTorch program have in common. The interpreter is
// DBLOCKS_PYTHON, else .venv's.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/file_system.h"
#include "dblocks/core/flat_state.h"

namespace dblocks::testing {

inline std::string python() {
  const char* chosen = std::getenv("DBLOCKS_PYTHON");
  return chosen ? chosen : ".venv/bin/python";
}

/// Whether the interpreter can import `module`.
inline bool can_import(const std::string& module) {
  const std::string command =
      python() + " -c 'import " + module + "' 2>/dev/null";
  return std::system(command.c_str()) == 0;
}

/// A new folder; whoever asks for it removes it.
inline std::filesystem::path make_folder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "dblocks_twin_XXXXXX").string();
  return mkdtemp(name.data()) ? name : std::string();
}

inline void save(const std::filesystem::path& file,
                 const std::map<std::string, at::Tensor>& tensors) {
  std::vector<TensorBytes> bytes;
  bytes.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    bytes.push_back(as_bytes(name, tensor));
  }
  checkpoint::write_safetensors(real_file_system(), file, bytes);
}

/// Standard output of a command, a line each.
inline std::vector<std::string> lines_of(const std::string& command) {
  std::vector<std::string> lines;
  FILE* pipe = popen(command.c_str(), "r");
  std::string line;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    if (c == '\n') {
      lines.push_back(line);
      line.clear();
    } else {
      line += static_cast<char>(c);
    }
  }
  pclose(pipe);
  return lines;
}

/// The largest deviation of our losses from the twin's, relative to those; both
/// must be as many, and ours must move, for a trace that does not would agree
/// without proving anything.
inline double largest_deviation(const std::vector<double>& ours,
                                const std::vector<double>& theirs,
                                double least_movement) {
  EXPECT_EQ(ours.size(), theirs.size());
  EXPECT_GT(std::abs(ours.front() - ours.back()), least_movement);
  double worst = 0;
  for (size_t step = 0; step < std::min(ours.size(), theirs.size()); ++step) {
    worst = std::max(worst, std::abs(ours[step] / theirs[step] - 1));
  }
  return worst;
}

}  // namespace dblocks::testing
