// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/log.h"

#include <spdlog/sinks/null_sink.h>

#include <memory>

namespace dblocks {

spdlog::logger& log() {
  static spdlog::logger logger("dblocks",
                               std::make_shared<spdlog::sinks::null_sink_mt>());
  return logger;
}

}  // namespace dblocks
