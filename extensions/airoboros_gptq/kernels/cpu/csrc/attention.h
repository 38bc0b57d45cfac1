// Causal attention of the last tokens over a KV cache, as flash_decoding.h and flash_attention.h compute it: all of it in
// fp32, with an online softmax, so that no row of scores is ever stored.
#pragma once
#include <stdint.h>

#include "dtypes.h"
#include "parallel_for.h"
#include "simd.h"

namespace {

// The queries are those of the last q_len of kv_len tokens: each sees the keys up to its own. Strides are in elements.
struct Attention {
    const void *q, *k, *v;  // [heads][q_len][dim], [kv_heads][kv_len][dim], likewise
    void* y;                // [q_len][heads][dim], contiguous
    int64_t heads, kv_heads, q_len, dim, kv_len;
    int64_t q_head_stride, q_token_stride, k_head_stride, k_token_stride, v_head_stride, v_token_stride;
    float scale;
    bool on_openmp() const { return is_prompt(q_len, heads * dim); }
    int64_t heads_per_kv() const { return heads / kv_heads; }
    int64_t queries() const { return heads_per_kv() * q_len; }  // of one KV head: [heads_per_kv][q_len]
    int64_t visible_keys(int64_t i) const { return kv_len - q_len + i % q_len + 1; }  // of query i
    int64_t q_offset(int64_t kv_head, int64_t i) const {
        return (kv_head * heads_per_kv() + i / q_len) * q_head_stride + i % q_len * q_token_stride;
    }
    int64_t y_offset(int64_t kv_head, int64_t i) const {
        return (i % q_len * heads + kv_head * heads_per_kv() + i / q_len) * dim;
    }
};

constexpr int KEY_BLOCK = 64;  // keys between two updates of the softmax
constexpr int MAX_HEAD_DIM = 256;

// e^x for x <= 0, to a few parts in 10^7; below -86 it is about e^-86. Source: Cephes' expf.
inline VecF32 exp_nonpositive(VecF32 x) {
    x = max(splat(-86.0f), x);
    const VecF32 n = round_nearest(mul(x, splat(1.44269504f)));
    VecF32 r = fmadd(n, splat(-0.693359375f), x);
    r = fmadd(n, splat(2.12194440e-4f), r);
    VecF32 p = splat(1.9875691500e-4f);
    p = fmadd(p, r, splat(1.3981999507e-3f));
    p = fmadd(p, r, splat(8.3334519073e-3f));
    p = fmadd(p, r, splat(4.1665795894e-2f));
    p = fmadd(p, r, splat(1.6666665459e-1f));
    p = fmadd(p, r, splat(5.0000001201e-1f));
    p = add(fmadd(p, mul(r, r), r), splat(1.0f));
    return scale_by_power_of_2(p, n);
}

// Prefetches one key or value [dim].
template <int DTYPE> ALWAYS_INLINE inline void prefetch_vector(const void* p, int64_t at, int64_t dim) {
    constexpr int64_t size = ITEM_BYTES<DTYPE>;
    for (int64_t d = 0; d < dim * size; d += 64) _mm_prefetch((const char*)p + at * size + d, _MM_HINT_T0);
}

}  // namespace
