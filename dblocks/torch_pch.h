// SPDX-License-Identifier: Apache-2.0
// Private precompiled header of the sources and tests that use LibTorch. Never
// included by hand: every file still includes what it uses.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
