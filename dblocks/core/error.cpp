// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/error.h"

namespace dblocks::internal {

void throw_internal_error(const char* condition,
                          const char* file,
                          int line,
                          const std::string& detail) {
  throw InternalError(
      fmt::format("[internal] {} (broken: {}, {}:{}). This is a mistake in "
                  "dblocks; please report it with the command and the recipe.",
                  detail, condition, file, line));
}

}  // namespace dblocks::internal
