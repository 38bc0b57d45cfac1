// Attention of few queries, as in decoding. It is bound by memory: keys and values are read once, widened in registers, and a
// long cache is split among threads, as in "Flash-Decoding" (Dao et al., 2023).
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "attention.h"
#include "parallel_for.h"

namespace {

constexpr int SPLIT_KEYS = 512;  // keys of one task, whatever the number of threads
constexpr double READ_BYTES_PER_NS = 26, DECODE_PRODUCTS_PER_NS = 1.7 * LANES;  // about what one thread does

// Of one query: the largest score so far, the sum of the weights, the weighted values acc [dim].
struct SoftmaxState {
    float max, sum;
    float* acc;
};

// One query by `count` keys of a block, at most KEY_BLOCK.
template <int DTYPE>
void attend_key_block(const Attention& a, const float* q, const void* k, int64_t k_at, const void* v, int64_t v_at,
                      int64_t count, SoftmaxState& state) {
    alignas(64) float score[KEY_BLOCK];
    for (int i = 0; i < KEY_BLOCK; i++) score[i] = -INFINITY;
    for (int64_t t = 0; t < count; t += 8) {
        with_constant<8>((int)std::min<int64_t>(8, count - t), [&](auto n) {
            VecF32 sum[n];
            unroll<n>([&](auto i) ALWAYS_INLINE { sum[i] = splat(0.0f); });
            const int64_t at = k_at + t * a.k_token_stride;
            unroll<n>([&](auto i) ALWAYS_INLINE { prefetch_vector<DTYPE>(v, v_at + (t + i) * a.v_token_stride, a.dim); });
            for (int64_t d = 0; d < a.dim; d += LANES) {
                const VecF32 query = load_f32(q + d);
                unroll<n>([&](auto i) ALWAYS_INLINE {
                    sum[i] = fmadd(query, load<DTYPE>(k, at + i * a.k_token_stride + d), sum[i]);
                });
            }
            unroll<n>([&](auto i) ALWAYS_INLINE { score[t + i] = hsum(sum[i]); });
        });
    }
    VecF32 block_max = splat(state.max);
    for (int i = 0; i < KEY_BLOCK; i += LANES) block_max = max(block_max, load_f32(score + i));
    const float new_max = hmax(block_max);
    VecF32 sum = splat(0.0f);
    for (int i = 0; i < KEY_BLOCK; i += LANES) {
        const VecF32 weight = exp_nonpositive(sub(load_f32(score + i), splat(new_max)));
        store_f32(score + i, weight);
        sum = add(sum, weight);
    }
    alignas(64) float lanes[LANES];
    store_f32(lanes, exp_nonpositive(splat(state.max - new_max)));
    const float rescale = state.sum ? lanes[0] : 0;
    state.max = new_max;
    state.sum = state.sum * rescale + hsum(sum);
    for (int64_t d = 0; d < a.dim; d += 8 * LANES) {
        with_constant<8>((int)std::min<int64_t>(8, (a.dim - d) / LANES), [&](auto n) {
            VecF32 acc[n];
            unroll<n>([&](auto i) ALWAYS_INLINE {
                acc[i] = mul(load_f32(state.acc + d + i * LANES), splat(rescale));
            });
            int64_t at = v_at + d;
            for (int64_t t = 0; t < count; t++, at += a.v_token_stride) {
                const VecF32 weight = splat(score[t]);
                if (d == 0) prefetch_vector<DTYPE>(k, k_at + (t + KEY_BLOCK) * a.k_token_stride, a.dim);
                unroll<n>([&](auto i) ALWAYS_INLINE { acc[i] = fmadd(weight, load<DTYPE>(v, at + i * LANES), acc[i]); });
            }
            unroll<n>([&](auto i) ALWAYS_INLINE { store_f32(state.acc + d + i * LANES, acc[i]); });
        });
    }
}

template <int DTYPE> int attend_few(const Attention& a, int threads) {
    const int64_t n = a.queries(), splits = (a.kv_len + SPLIT_KEYS - 1) / SPLIT_KEYS, tasks = a.kv_heads * splits;
    const int64_t state_size = a.dim + LANES;  // acc, max, sum
    float* workspace =
        (float*)aligned_alloc(64, (tasks * n * state_size + a.heads * a.q_len * a.dim) * sizeof(float) / 64 * 64 + 64);
    if (!workspace) return 1;
    float* queries = workspace + tasks * n * state_size;
    for (int64_t h = 0; h < a.kv_heads; h++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t d = 0; d < a.dim; d++)
                queries[(h * n + i) * a.dim + d] = load_element<DTYPE>(a.q, a.q_offset(h, i) + d) * a.scale;
    const double read = 2.0 * a.kv_heads * a.kv_len * a.dim * ITEM_BYTES<DTYPE>, products = 2.0 * a.heads * a.q_len * a.kv_len * a.dim;
    const Cost cost = {std::max(read / READ_BYTES_PER_NS, products / DECODE_PRODUCTS_PER_NS), a.on_openmp()};
    parallel_for(threads, tasks, cost, [&](int64_t task, int64_t) {
        const int64_t h = task / splits, first = task % splits * SPLIT_KEYS, end = std::min(first + SPLIT_KEYS, a.kv_len);
        float* states = workspace + task * n * state_size;
        for (int64_t i = 0; i < n; i++) {
            memset(states + i * state_size, 0, state_size * sizeof(float));
            states[i * state_size + a.dim] = -INFINITY;
        }
        for (int64_t t = first; t < end; t += KEY_BLOCK) {
            for (int64_t i = 0; i < n; i++) {
                const int64_t count = std::min<int64_t>(KEY_BLOCK, std::min(end, a.visible_keys(i)) - t);
                if (count <= 0) continue;
                float* at = states + i * state_size;
                SoftmaxState state = {at[a.dim], at[a.dim + 1], at};
                attend_key_block<DTYPE>(a, queries + (h * n + i) * a.dim, a.k, h * a.k_head_stride + t * a.k_token_stride,
                                        a.v, h * a.v_head_stride + t * a.v_token_stride, count, state);
                at[a.dim] = state.max, at[a.dim + 1] = state.sum;
            }
        }
    });
    for (int64_t h = 0; h < a.kv_heads; h++) {
        for (int64_t i = 0; i < n; i++) {
            const float* first = workspace + (h * splits * n + i) * state_size;
            float max = -INFINITY, sum = 0;
            alignas(64) float acc[MAX_HEAD_DIM] = {};
            for (int64_t s = 0; s < splits; s++)
                if (!(first[s * n * state_size + a.dim] <= max)) max = first[s * n * state_size + a.dim];  // keeps a NaN
            for (int64_t s = 0; s < splits; s++) {
                const float* split = first + s * n * state_size;
                if (split[a.dim + 1] == 0) continue;  // none of its keys is visible
                const float factor = expf(split[a.dim] - max);
                sum += factor * split[a.dim + 1];
                for (int64_t d = 0; d < a.dim; d++) acc[d] += factor * split[d];
            }
            for (int64_t d = 0; d < a.dim; d++) store_element<DTYPE>(a.y, a.y_offset(h, i) + d, acc[d] / sum);
        }
    }
    free(workspace);
    return 0;
}

}  // namespace
