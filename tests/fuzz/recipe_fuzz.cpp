// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>

#include "dblocks/config/recipe.h"
#include "dblocks/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    dblocks::config::parse_recipe(text, "fuzz.toml");
  } catch (const dblocks::ConfigError&) {
    // Refused: fine.
  }
  try {
    const std::string set = "seed=" + text;
    dblocks::config::parse_recipe("", "fuzz.toml", {&set, 1});
  } catch (const dblocks::ConfigError&) {
    // Refused: fine.
  }
  return 0;
}
