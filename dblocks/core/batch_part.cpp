// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/batch_part.h"

namespace dblocks {
namespace {

thread_local BatchPart present;

}  // namespace

BatchPart current_batch_part() {
  return present;
}

BatchPartGuard::BatchPartGuard(const BatchPart& part) : outer_(present) {
  present = part;
}

BatchPartGuard::~BatchPartGuard() {
  present = outer_;
}

}  // namespace dblocks
