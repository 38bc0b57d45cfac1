// Elements of the dtypes that tensors have, single and as vectors.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

namespace {

enum Dtype { F32 = 0, F16 = 1, BF16 = 2 };  // as cpu/dtypes.py numbers them

template <int DTYPE> constexpr int ITEM_BYTES = DTYPE == F32 ? 4 : 2;

template <int DTYPE> inline float load_element(const void* p, int64_t i) {
    if constexpr (DTYPE == F32) return ((const float*)p)[i];
    if constexpr (DTYPE == F16) return _cvtsh_ss(((const uint16_t*)p)[i]);
    uint32_t bits = (uint32_t)((const uint16_t*)p)[i] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

template <int DTYPE> inline void store_element(void* p, int64_t i, float value) {
    if constexpr (DTYPE == F32) {
        ((float*)p)[i] = value;
    } else if constexpr (DTYPE == F16) {
        ((uint16_t*)p)[i] = _cvtss_sh(value, 0);
    } else {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;  // to nearest, ties to even
        ((uint16_t*)p)[i] = (bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded;
    }
}

// LANES elements from the i-th on.
template <int DTYPE> ALWAYS_INLINE inline VecF32 load(const void* p, int64_t i) {
    if constexpr (DTYPE == F32) return load_f32((const float*)p + i);
    if constexpr (DTYPE == F16) return load_f16((const uint16_t*)p + i);
    return load_bf16((const uint16_t*)p + i);
}

}  // namespace
