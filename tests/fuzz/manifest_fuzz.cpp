// SPDX-License-Identifier: Apache-2.0
// The checksum is put right first: with a wrong one no text gets far.
#include <cstdlib>
#include <string>

#include "dblocks/checkpoint/manifest.h"
#include "dblocks/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dblocks::checkpoint;
  std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find("  \"checksum\"");
  if (end != std::string::npos) {
    text.resize(end);
    const std::string checksum = dblocks::hash_bytes(text).hex();
    text += "  \"checksum\": \"" + checksum + "\"\n}\n";
  }
  try {
    const Manifest manifest = parse_manifest(text, "manifest.json");
    if (parse_manifest(manifest_text(manifest), "again") != manifest) {
      std::abort();
    }
  } catch (const dblocks::CheckpointError&) {
    // Refused: fine.
  }
  return 0;
}
