// Attention of many queries, as in a prompt. It is bound by arithmetic: queries stand side by side in vectors, and both
// products are small matrix products on blocks of keys that stay in the caches, as in FlashAttention (Dao et al., 2022).
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "attention.h"
#include "parallel_for.h"

namespace {

constexpr int QUERY_BLOCK = 64;  // queries side by side
constexpr double PREFILL_PRODUCTS_PER_NS = 5 * LANES;  // about what one thread does

// c[N][VECTORS] += a[N][depth] * b[depth][VECTORS]
template <int N, int VECTORS>
ALWAYS_INLINE inline void matmul_panel(const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step,
                                       int64_t depth, float* c, int64_t c_row) {
    VecF32 sum[N][VECTORS];
    unroll<N>([&](auto i) ALWAYS_INLINE {
        unroll<VECTORS>([&](auto v) ALWAYS_INLINE { sum[i][v] = load_f32(c + i * c_row + v * LANES); });
    });
    for (int64_t t = 0; t < depth; t++, a += a_step, b += b_step) {
        VecF32 line[VECTORS];
        unroll<VECTORS>([&](auto v) ALWAYS_INLINE { line[v] = load_f32(b + v * LANES); });
        unroll<N>([&](auto i) ALWAYS_INLINE {
            const VecF32 factor = splat(a[i * a_row]);
            unroll<VECTORS>([&](auto v) ALWAYS_INLINE { sum[i][v] = fmadd(factor, line[v], sum[i][v]); });
        });
    }
    unroll<N>([&](auto i) ALWAYS_INLINE {
        unroll<VECTORS>([&](auto v) ALWAYS_INLINE { store_f32(c + i * c_row + v * LANES, sum[i][v]); });
    });
}

// c[rows][columns] += a[rows][depth] * b[depth][columns], columns a multiple of LANES.
inline void add_matmul(const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step, int64_t depth,
                       float* c, int64_t c_row, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j += 2 * LANES) {
        for (int64_t i = 0; i < rows; i += PANEL_ROWS) {
            with_constant<PANEL_ROWS>((int)std::min<int64_t>(PANEL_ROWS, rows - i), [&](auto n) {
                const float* from = a + i * a_row;
                float* to = c + i * c_row + j;
                if (columns - j > LANES)
                    matmul_panel<n, 2>(from, a_row, a_step, b + j, b_step, depth, to, c_row);
                else
                    matmul_panel<n, 1>(from, a_row, a_step, b + j, b_step, depth, to, c_row);
            });
        }
    }
}

// `count` keys or values [dim] from `at` on, in fp32.
template <int DTYPE>
void widen_vectors(const void* from, int64_t at, int64_t step, int64_t count, int64_t dim, float* to) {
    for (int64_t t = 0; t < count; t++)
        for (int64_t d = 0; d < dim; d += LANES) store_f32(to + t * dim + d, load<DTYPE>(from, at + t * step + d));
}

constexpr int64_t BLOCK_WORKSPACE = 3 * QUERY_BLOCK * MAX_HEAD_DIM + KEY_BLOCK * QUERY_BLOCK;  // floats
static_assert(KEY_BLOCK <= QUERY_BLOCK);

// At most QUERY_BLOCK of one KV head's queries, from `first` on.
template <int DTYPE> void attend_query_block(const Attention& a, int64_t h, int64_t first, float* workspace) {
    constexpr int W = QUERY_BLOCK;
    const int64_t n = std::min<int64_t>(W, a.queries() - first);
    float *queries = workspace, *wide = queries + W * MAX_HEAD_DIM, *acc = wide + W * MAX_HEAD_DIM;
    float* score = acc + W * MAX_HEAD_DIM;
    alignas(64) float row_max[W], sum[W], rescale[W];
    int64_t visible[W], min_visible = a.kv_len, max_visible = 0;
    memset(queries, 0, a.dim * W * sizeof(float));
    memset(acc, 0, a.dim * W * sizeof(float));
    for (int64_t i = 0; i < W; i++) {
        row_max[i] = -INFINITY, sum[i] = 0, visible[i] = i < n ? a.visible_keys(first + i) : a.kv_len;
        if (i >= n) continue;
        min_visible = std::min(min_visible, visible[i]), max_visible = std::max(max_visible, visible[i]);
        for (int64_t d = 0; d < a.dim; d++)
            queries[d * W + i] = load_element<DTYPE>(a.q, a.q_offset(h, first + i) + d) * a.scale;
    }
    const int64_t padded = (n + LANES - 1) / LANES * LANES;
    for (int64_t t = 0; t < max_visible; t += KEY_BLOCK) {
        const int64_t count = std::min<int64_t>(KEY_BLOCK, max_visible - t);
        widen_vectors<DTYPE>(a.k, h * a.k_head_stride + t * a.k_token_stride, a.k_token_stride, count, a.dim, wide);
        memset(score, 0, count * W * sizeof(float));
        add_matmul(wide, a.dim, 1, queries, W, a.dim, score, W, count, padded);
        if (t + count > min_visible)
            for (int64_t k = 0; k < count; k++)
                for (int64_t i = 0; i < n; i++)
                    if (t + k >= visible[i]) score[k * W + i] = -INFINITY;
        for (int64_t i = 0; i < padded; i += LANES) {
            VecF32 new_max = load_f32(row_max + i);
            for (int64_t k = 0; k < count; k++) new_max = max(new_max, load_f32(score + k * W + i));
            const VecF32 factor = exp_nonpositive(sub(load_f32(row_max + i), new_max));
            VecF32 new_sum = mul(load_f32(sum + i), factor);
            for (int64_t k = 0; k < count; k++) {
                const VecF32 weight = exp_nonpositive(sub(load_f32(score + k * W + i), new_max));
                store_f32(score + k * W + i, weight);
                new_sum = add(new_sum, weight);
            }
            store_f32(row_max + i, new_max);
            store_f32(sum + i, new_sum);
            store_f32(rescale + i, factor);
        }
        for (int64_t i = 0; i < n; i++)
            for (int64_t d = 0; d < a.dim; d += LANES)
                store_f32(acc + i * a.dim + d, mul(load_f32(acc + i * a.dim + d), splat(rescale[i])));
        widen_vectors<DTYPE>(a.v, h * a.v_head_stride + t * a.v_token_stride, a.v_token_stride, count, a.dim, wide);
        add_matmul(score, 1, W, wide, a.dim, count, acc, a.dim, n, a.dim);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < a.dim; d++)
            store_element<DTYPE>(a.y, a.y_offset(h, first + i) + d, acc[i * a.dim + d] / sum[i]);
}

template <int DTYPE> int attend_blocks(const Attention& a, int threads) {
    const int64_t blocks = (a.queries() + QUERY_BLOCK - 1) / QUERY_BLOCK, tasks = a.kv_heads * blocks;
    threads = (int)std::max<int64_t>(1, std::min<int64_t>(threads, tasks));
    float* workspace = (float*)aligned_alloc(64, threads * BLOCK_WORKSPACE * sizeof(float));
    if (!workspace) return 1;
    const Cost cost = {2.0 * a.heads * a.q_len * a.kv_len * a.dim / PREFILL_PRODUCTS_PER_NS, a.on_openmp()};
    parallel_for(threads, tasks, cost, [&](int64_t task, int64_t thread) {
        attend_query_block<DTYPE>(a, task / blocks, task % blocks * QUERY_BLOCK, workspace + thread * BLOCK_WORKSPACE);
    });
    free(workspace);
    return 0;
}

}  // namespace
