// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/logger.h>

namespace dblocks {

/// The library's logger. Silent until a program gives it a sink: the library
/// itself never prints. Use as `log().warn("[data] ...", ...)`.
spdlog::logger& log();

}  // namespace dblocks
