// y = x @ weight^T for few rows and a weight that is not quantised, as lm_head's. PyTorch's own waits for all of its threads.
#pragma once
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>

#include "dtypes.h"
#include "parallel_for.h"
#include "simd.h"

namespace {

constexpr int DENSE_OUTPUTS = 4;           // rows of the weight that are read together
constexpr int DENSE_STEP = 32;             // inputs, of which LANES divides
constexpr double DENSE_BYTES_PER_NS = 25;  // about what one thread reads

// One row of x [inputs] by N rows of the weight, to y [N]; sums are in fp32.
template <int DTYPE, int N> inline void dense_panel(const float* x, const void* weight, int64_t first, int64_t inputs, float* y) {
    constexpr int VECTORS = DENSE_STEP / LANES;
    VecF32 sum[N][VECTORS];
    unroll<N>([&](auto i) ALWAYS_INLINE {
        unroll<VECTORS>([&](auto v) ALWAYS_INLINE { sum[i][v] = splat(0.0f); });
    });
    for (int64_t k = 0; k < inputs; k += DENSE_STEP) {
        unroll<VECTORS>([&](auto v) ALWAYS_INLINE {
            const VecF32 value = load_f32(x + k + v * LANES);
            unroll<N>([&](auto i) ALWAYS_INLINE {
                sum[i][v] = fmadd(value, load<DTYPE>(weight, (first + i) * inputs + k + v * LANES), sum[i][v]);
            });
        });
    }
    unroll<N>([&](auto i) ALWAYS_INLINE {
        VecF32 total = sum[i][0];
        unroll<VECTORS - 1>([&](auto v) ALWAYS_INLINE { total = add(total, sum[i][v + 1]); });
        y[i] = hsum(total);
    });
}

template <int DTYPE>
int dense(const void* x, const void* weight, void* y, int64_t rows, int64_t inputs, int64_t outputs, int threads) {
    float* wide = (float*)aligned_alloc(64, (rows * inputs * sizeof(float) + 63) / 64 * 64);
    if (!wide) return 1;
    for (int64_t i = 0; i < rows * inputs; i++) wide[i] = load_element<DTYPE>(x, i);
    const int64_t panels = (outputs + DENSE_OUTPUTS - 1) / DENSE_OUTPUTS;
    const Cost cost = {(double)inputs * outputs * ITEM_BYTES<DTYPE> / DENSE_BYTES_PER_NS, false};
    parallel_for(threads, panels, cost, [&](int64_t panel, int64_t) {
        const int64_t first = panel * DENSE_OUTPUTS;
        with_constant<DENSE_OUTPUTS>((int)std::min<int64_t>(DENSE_OUTPUTS, outputs - first), [&](auto n) {
            for (int64_t row = 0; row < rows; row++) {
                float sums[n];
                dense_panel<DTYPE, n>(wide + row * inputs, weight, first, inputs, sums);
                for (int i = 0; i < n; i++) store_element<DTYPE>(y, row * outputs + first + i, sums[i]);
            }
        });
    });
    free(wide);
    return 0;
}

}  // namespace
