// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace dblocks::cli {

/// From now on SIGTERM, SIGINT and SIGUSR1 set the returned flag, so that the
/// run can end with a durable checkpoint. A second signal ends the process at
/// once with exit code 75; commits are atomic, so nothing durable is lost.
const std::atomic<bool>& stop_on_signals();

}  // namespace dblocks::cli
