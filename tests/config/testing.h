// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "dblocks/core/error.h"

namespace dblocks::config {

/// The message of the ConfigError that `action` throws; a failure and "" if it
/// throws none.
template <class Action>
std::string config_error(Action action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no ConfigError";
  return "";
}

}  // namespace dblocks::config
