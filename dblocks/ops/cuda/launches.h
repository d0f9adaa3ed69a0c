// SPDX-License-Identifier: Apache-2.0
// The functions behind the table of kernels.h, each in the file of its name.
#pragma once

#include "dblocks/ops/cuda/kernels.h"

namespace dblocks::ops::cuda {

const char* norm(const RowShape&,
                 const float*,
                 const NormVectors&,
                 float,
                 Element,
                 void*,
                 float*,
                 float*,
                 void*);
const char* norm_backward(const RowShape&,
                          Element,
                          const void*,
                          const float*,
                          const NormVectors&,
                          const float*,
                          const float*,
                          float*,
                          float*,
                          float*,
                          void*);
const char* gate(const RowShape&,
                 const float*,
                 Element,
                 const void*,
                 const float*,
                 int64_t,
                 float*,
                 void*);
const char* gate_backward(const RowShape&,
                          const float*,
                          Element,
                          const void*,
                          const float*,
                          int64_t,
                          void*,
                          float*,
                          void*);
const char* gelu(bool, Element, int64_t, const void*, void*, void*, void*);
const char* drop(
    const DropRule&, int64_t, Element, int64_t, const void*, void*, void*);
const char* fill_normal(uint64_t, uint32_t, uint32_t, int64_t, float*, void*);
const char* gradient_norm(const float*, int64_t, double*, double*, void*);
const char* clip(const double*,
                 const double*,
                 const double*,
                 double,
                 UpdateFactors*,
                 double*,
                 void*);
const char* adamw(const FlatBuffers&, const UpdateFactors*, void*);
const char* adamw_int8(const FlatBuffers&,
                       const CodeTables&,
                       const UpdateFactors*,
                       void*);

}  // namespace dblocks::ops::cuda
