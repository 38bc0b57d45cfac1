// Single numbers of the types that tensors have.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace {

enum Type { F32 = 0, F16 = 1, BF16 = 2 };

template <int TYPE> inline float read(const void* p, int64_t i) {
    if constexpr (TYPE == F32) return ((const float*)p)[i];
    if constexpr (TYPE == F16) return _cvtsh_ss(((const uint16_t*)p)[i]);
    uint32_t bits = (uint32_t)((const uint16_t*)p)[i] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

template <int TYPE> inline void write(void* p, int64_t i, float value) {
    if constexpr (TYPE == F32) {
        ((float*)p)[i] = value;
    } else if constexpr (TYPE == F16) {
        ((uint16_t*)p)[i] = _cvtss_sh(value, 0);
    } else {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
        ((uint16_t*)p)[i] = (bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded;
    }
}

}  // namespace
