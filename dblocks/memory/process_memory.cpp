// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <string>

#include "dblocks/memory/meter.h"

namespace dblocks::memory {
namespace {

// The field of /proc/self/status named `key`, given there in units of 1024
// bytes.
int64_t status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word) {
    int64_t kibibytes = 0;
    if (word == key && file >> kibibytes) {
      return kibibytes * 1024;
    }
  }
  return 0;
}

}  // namespace

int64_t process_resident_bytes() {
  return status_bytes("VmRSS:");
}

int64_t process_peak_resident_bytes() {
  return status_bytes("VmHWM:");
}

}  // namespace dblocks::memory
