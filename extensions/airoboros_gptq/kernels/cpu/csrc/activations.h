// Activations as integers of 16 bits, with one scale per row and block of at most MAX_BLOCK input features.
#pragma once
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>

#include "dtypes.h"
#include "weight_layout.h"

namespace {

constexpr int MAX_BLOCK = 128;

// Some rows of x: panels of `panel` rows (the last has fewer), each [inputs / 2][rows] pairs of int16.
struct Activations {
    int32_t* pairs;
    float* scales;  // [panels][blocks][rows]
    int32_t* sums;  // likewise: of a block's integers
    int64_t count;
    int panel;
};

// int16 pairs in a word of codes. Vector j of unpack_codes() holds codes j and j + PAIRS in its 16-bit halves.
template <int BITS> constexpr int PAIRS = 16 / BITS;

// One block of one row of x [., inputs]. A value that is not finite makes the scale NaN, and with it the row's result.
template <int DTYPE, int BITS>
void quantize_block(const Weight& w, const Activations& to, const void* x, int64_t row, int64_t block) {
    const int64_t first = row / to.panel * to.panel, start = block * w.block, n = w.block;
    const int64_t rows = std::min<int64_t>(to.panel, to.count - first), r = row - first;
    alignas(64) float value[MAX_BLOCK];
    if (w.order) {
        for (int64_t i = 0; i < n; i++) value[i] = load_element<DTYPE>(x, row * w.inputs + w.order[start + i]);
    } else {
        for (int64_t i = 0; i < n; i++) value[i] = load_element<DTYPE>(x, row * w.inputs + start + i);
    }
    // As integers, magnitudes order as the floats do, and what is not finite comes out on top.
    int32_t max_bits = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, value + i, 4);
        max_bits = std::max(max_bits, bits & 0x7FFFFFFF);
    }
    float max_magnitude;
    memcpy(&max_magnitude, &max_bits, 4);
    const bool finite = max_bits < 0x7F800000;
    const float scale = max_magnitude / 32767;
    const float inverse = max_magnitude > 1e-30f && finite ? 32767 / max_magnitude : 0;
    alignas(64) int32_t quantized[MAX_BLOCK];
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i += 8) {
        const __m256 scaled = _mm256_mul_ps(_mm256_load_ps(value + i), _mm256_set1_ps(inverse));
        _mm256_store_si256((__m256i*)(quantized + i), finite ? _mm256_cvtps_epi32(scaled) : _mm256_setzero_si256());
    }
    for (int64_t i = 0; i < n; i++) {
        quantized[i] = std::max(-32767, std::min(32767, quantized[i]));
        sum += quantized[i];
    }
    // In the order in which unpack_codes() puts the codes.
    int32_t* pairs = to.pairs + first * (w.inputs / 2) + start / 2 * rows + r;
    constexpr int half = PAIRS<BITS>, codes = 2 * half;
    for (int64_t i = 0; i < n; i += codes)
        for (int j = 0; j < half; j++, pairs += rows)
            *pairs = (int32_t)((uint32_t)(uint16_t)quantized[i + j] | (uint32_t)quantized[i + j + half] << 16);
    const int64_t at = (first * w.blocks()) + block * rows + r;
    to.scales[at] = finite ? scale : NAN;
    to.sums[at] = sum;
}

}  // namespace
