// Attention of few queries over many keys, as in decoding and at the start of a later turn; all of it in fp32.
//
// One or a few queries wait for memory: keys and values are widened as they are read, each once. Many queries wait for
// arithmetic: they stand side by side in vectors, and both products are small matrix products on blocks of keys that stay
// in the caches. Either way the softmax goes on from block to block, so that no row of scores is ever stored.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "dtypes.h"
#include "simd.h"
#include "openmp_pool.h"

namespace {

// The queries are those of the last `rows` keys: each sees what stands before it and itself. Strides are in elements.
struct Attention {
    const void *q, *k, *v;  // [heads][rows][dim], [kv_heads][keys][dim], likewise
    void* y;                // [rows][heads][dim], without gaps
    int64_t heads, kv_heads, rows, dim, keys;
    int64_t q_head, q_row, k_head, k_key, v_head, v_key;
    float scale;
    int64_t shared() const { return heads / kv_heads; }           // heads with the same keys
    int64_t queries() const { return shared() * rows; }           // with the same keys: [shared][rows]
    int64_t sees(int64_t i) const { return keys - rows + i % rows + 1; }  // keys, of query i
    int64_t q_at(int64_t kv_head, int64_t i) const { return (kv_head * shared() + i / rows) * q_head + i % rows * q_row; }
    int64_t y_at(int64_t kv_head, int64_t i) const { return (i % rows * heads + kv_head * shared() + i / rows) * dim; }
};

constexpr int KEYS = 64;         // of one block
constexpr int PART = 512;        // keys that one thread reads for few queries, whatever the number of threads
constexpr int SIDE_BY_SIDE = 64;  // queries, where they are many
constexpr int MANY = 16;         // queries that are worth it
constexpr int MOST_DIM = 256;

// e^x for x <= 0, to a few parts in 10^7; what is below e^-86 is about that.
inline Floats exponential(Floats x) {
    x = larger(splat(-86.0f), x);
    const Floats n = nearest(multiply(x, splat(1.44269504f)));
    Floats r = multiply_add(n, splat(-0.693359375f), x);
    r = multiply_add(n, splat(2.12194440e-4f), r);
    Floats p = splat(1.9875691500e-4f);
    p = multiply_add(p, r, splat(1.3981999507e-3f));
    p = multiply_add(p, r, splat(8.3334519073e-3f));
    p = multiply_add(p, r, splat(4.1665795894e-2f));
    p = multiply_add(p, r, splat(1.6666665459e-1f));
    p = multiply_add(p, r, splat(5.0000001201e-1f));
    p = add(multiply_add(p, multiply(r, r), r), splat(1.0f));
    return times_power_of_2(p, n);
}

template <int TYPE> INLINE inline Floats load(const void* p, int64_t i) {
    if constexpr (TYPE == F32) return load_floats((const float*)p + i);
    if constexpr (TYPE == F16) return load_halves((const uint16_t*)p + i);
    return load_brains((const uint16_t*)p + i);
}

// Asks for one key or value that will be read soon.
template <int TYPE> INLINE inline void ask_for(const void* p, int64_t at, int64_t dim) {
    constexpr int64_t size = TYPE == F32 ? 4 : 2;
    for (int64_t d = 0; d < dim * size; d += 64) _mm_prefetch((const char*)p + at * size + d, _MM_HINT_T0);
}

// A query of few, and what it has gathered: the largest score, the sum of weights, the weighted values [dim].
struct Gathered {
    float most, sum;
    float* values;
};

// One query by `count` keys of a block, at most KEYS.
template <int TYPE>
void one_query(const Attention& a, const float* q, const void* k, int64_t k_at, const void* v, int64_t v_at, int64_t count,
               Gathered& to) {
    alignas(64) float score[KEYS];
    for (int i = 0; i < KEYS; i++) score[i] = -INFINITY;
    for (int64_t t = 0; t < count; t += 8) {
        with_rows<8>((int)std::min<int64_t>(8, count - t), [&](auto n) {
            Floats sum[n];
            each<n>([&](auto i) INLINE { sum[i] = splat(0.0f); });
            const int64_t at = k_at + t * a.k_key;
            each<n>([&](auto i) INLINE { ask_for<TYPE>(v, v_at + (t + i) * a.v_key, a.dim); });
            for (int64_t d = 0; d < a.dim; d += LANES) {
                const Floats query = load_floats(q + d);
                each<n>([&](auto i) INLINE { sum[i] = multiply_add(query, load<TYPE>(k, at + i * a.k_key + d), sum[i]); });
            }
            each<n>([&](auto i) INLINE { score[t + i] = total(sum[i]); });
        });
    }
    Floats most = splat(to.most);
    for (int i = 0; i < KEYS; i += LANES) most = larger(most, load_floats(score + i));
    const float peak = largest(most);
    Floats sum = splat(0.0f);
    for (int i = 0; i < KEYS; i += LANES) {
        const Floats weight = exponential(subtract(load_floats(score + i), splat(peak)));
        store_floats(score + i, weight);
        sum = add(sum, weight);
    }
    alignas(64) float lanes[LANES];
    store_floats(lanes, exponential(splat(to.most - peak)));
    const float shrink = to.sum ? lanes[0] : 0;
    to.most = peak;
    to.sum = to.sum * shrink + total(sum);
    for (int64_t d = 0; d < a.dim; d += 8 * LANES) {
        with_rows<8>((int)std::min<int64_t>(8, (a.dim - d) / LANES), [&](auto n) {
            Floats mixed[n];
            each<n>([&](auto i) INLINE {
                mixed[i] = multiply(load_floats(to.values + d + i * LANES), splat(shrink));
            });
            int64_t at = v_at + d;
            for (int64_t t = 0; t < count; t++, at += a.v_key) {
                const Floats weight = splat(score[t]);
                if (d == 0) ask_for<TYPE>(k, k_at + (t + KEYS) * a.k_key, a.dim);
                each<n>([&](auto i) INLINE { mixed[i] = multiply_add(weight, load<TYPE>(v, at + i * LANES), mixed[i]); });
            }
            each<n>([&](auto i) INLINE { store_floats(to.values + d + i * LANES, mixed[i]); });
        });
    }
}

template <int TYPE> int attend_few(const Attention& a, int threads) {
    const int64_t n = a.queries(), parts = (a.keys + PART - 1) / PART, pieces = a.kv_heads * parts;
    const int64_t line = a.dim + LANES;  // values, then the largest score and the sum
    float* room = (float*)aligned_alloc(64, (pieces * n * line + a.heads * a.rows * a.dim) * sizeof(float) / 64 * 64 + 64);
    if (!room) return 1;
    float* queries = room + pieces * n * line;
    for (int64_t h = 0; h < a.kv_heads; h++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t d = 0; d < a.dim; d++)
                queries[(h * n + i) * a.dim + d] = read<TYPE>(a.q, a.q_at(h, i) + d) * a.scale;
    on_threads(std::min<int64_t>(threads, pieces), [&](int64_t me, int64_t team) {
        for (int64_t piece = pieces * me / team; piece < pieces * (me + 1) / team; piece++) {
            const int64_t h = piece / parts, first = piece % parts * PART, end = std::min(first + PART, a.keys);
            float* own = room + piece * n * line;
            for (int64_t i = 0; i < n; i++) {
                memset(own + i * line, 0, line * sizeof(float));
                own[i * line + a.dim] = -INFINITY;
            }
            for (int64_t t = first; t < end; t += KEYS) {
                for (int64_t i = 0; i < n; i++) {
                    const int64_t count = std::min<int64_t>(KEYS, std::min(end, a.sees(i)) - t);
                    if (count <= 0) continue;
                    float* at = own + i * line;
                    Gathered to = {at[a.dim], at[a.dim + 1], at};
                    one_query<TYPE>(a, queries + (h * n + i) * a.dim, a.k, h * a.k_head + t * a.k_key, a.v,
                                    h * a.v_head + t * a.v_key, count, to);
                    at[a.dim] = to.most, at[a.dim + 1] = to.sum;
                }
            }
        }
    });
    for (int64_t h = 0; h < a.kv_heads; h++) {
        for (int64_t i = 0; i < n; i++) {
            const float* part = room + (h * parts * n + i) * line;
            float most = -INFINITY, sum = 0;
            alignas(64) float mixed[MOST_DIM] = {};
            // Comparing so that a NaN is kept.
            for (int64_t p = 0; p < parts; p++)
                if (!(part[p * n * line + a.dim] <= most)) most = part[p * n * line + a.dim];
            for (int64_t p = 0; p < parts; p++) {
                const float* from = part + p * n * line;
                if (from[a.dim + 1] == 0) continue;  // none of its keys is seen
                const float share = expf(from[a.dim] - most);
                sum += share * from[a.dim + 1];
                for (int64_t d = 0; d < a.dim; d++) mixed[d] += share * from[d];
            }
            for (int64_t d = 0; d < a.dim; d++) write<TYPE>(a.y, a.y_at(h, i) + d, mixed[d] / sum);
        }
    }
    free(room);
    return 0;
}

// c[N][VECTORS] += a[N][depth] * b[depth][VECTORS]
template <int N, int VECTORS>
INLINE inline void product(const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step, int64_t depth,
                           float* c, int64_t c_row) {
    Floats sum[N][VECTORS];
    each<N>([&](auto i) INLINE {
        each<VECTORS>([&](auto v) INLINE { sum[i][v] = load_floats(c + i * c_row + v * LANES); });
    });
    for (int64_t t = 0; t < depth; t++, a += a_step, b += b_step) {
        Floats line[VECTORS];
        each<VECTORS>([&](auto v) INLINE { line[v] = load_floats(b + v * LANES); });
        each<N>([&](auto i) INLINE {
            const Floats factor = splat(a[i * a_row]);
            each<VECTORS>([&](auto v) INLINE { sum[i][v] = multiply_add(factor, line[v], sum[i][v]); });
        });
    }
    each<N>([&](auto i) INLINE {
        each<VECTORS>([&](auto v) INLINE { store_floats(c + i * c_row + v * LANES, sum[i][v]); });
    });
}

// c[rows][columns] += a[rows][depth] * b[depth][columns], columns a multiple of LANES.
inline void add_product(const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step, int64_t depth, float* c,
                        int64_t c_row, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j += 2 * LANES) {
        for (int64_t i = 0; i < rows; i += PANEL) {
            with_rows<PANEL>((int)std::min<int64_t>(PANEL, rows - i), [&](auto n) {
                const float* from = a + i * a_row;
                float* to = c + i * c_row + j;
                if (columns - j > LANES)
                    product<n, 2>(from, a_row, a_step, b + j, b_step, depth, to, c_row);
                else
                    product<n, 1>(from, a_row, a_step, b + j, b_step, depth, to, c_row);
            });
        }
    }
}

// `count` keys or values of `dim` from `at` on, as floats.
template <int TYPE> void widen_rows(const void* from, int64_t at, int64_t step, int64_t count, int64_t dim, float* to) {
    for (int64_t t = 0; t < count; t++)
        for (int64_t d = 0; d < dim; d += LANES) store_floats(to + t * dim + d, load<TYPE>(from, at + t * step + d));
}

constexpr int64_t MANY_ROOM = 3 * SIDE_BY_SIDE * MOST_DIM + KEYS * SIDE_BY_SIDE;  // floats
static_assert(KEYS <= SIDE_BY_SIDE);

// At most SIDE_BY_SIDE queries, from `first` on, of those that share one head of keys.
template <int TYPE> void side_by_side(const Attention& a, int64_t h, int64_t first, float* room) {
    constexpr int W = SIDE_BY_SIDE;
    const int64_t n = std::min<int64_t>(W, a.queries() - first);
    float *queries = room, *wide = queries + W * MOST_DIM, *mixed = wide + W * MOST_DIM, *score = mixed + W * MOST_DIM;
    alignas(64) float most[W], sum[W], shrink[W];
    int64_t sees[W], least = a.keys, furthest = 0;
    memset(queries, 0, a.dim * W * sizeof(float));
    memset(mixed, 0, a.dim * W * sizeof(float));
    for (int64_t i = 0; i < W; i++) {
        most[i] = -INFINITY, sum[i] = 0, sees[i] = i < n ? a.sees(first + i) : a.keys;
        if (i >= n) continue;
        least = std::min(least, sees[i]), furthest = std::max(furthest, sees[i]);
        for (int64_t d = 0; d < a.dim; d++) queries[d * W + i] = read<TYPE>(a.q, a.q_at(h, first + i) + d) * a.scale;
    }
    const int64_t across = (n + LANES - 1) / LANES * LANES;
    for (int64_t t = 0; t < furthest; t += KEYS) {
        const int64_t count = std::min<int64_t>(KEYS, furthest - t);
        widen_rows<TYPE>(a.k, h * a.k_head + t * a.k_key, a.k_key, count, a.dim, wide);
        memset(score, 0, count * W * sizeof(float));
        add_product(wide, a.dim, 1, queries, W, a.dim, score, W, count, across);
        if (t + count > least)
            for (int64_t k = 0; k < count; k++)
                for (int64_t i = 0; i < n; i++)
                    if (t + k >= sees[i]) score[k * W + i] = -INFINITY;
        for (int64_t i = 0; i < across; i += LANES) {
            Floats peak = load_floats(most + i);
            for (int64_t k = 0; k < count; k++) peak = larger(peak, load_floats(score + k * W + i));
            const Floats shrunk = exponential(subtract(load_floats(most + i), peak));
            Floats all = multiply(load_floats(sum + i), shrunk);
            for (int64_t k = 0; k < count; k++) {
                const Floats weight = exponential(subtract(load_floats(score + k * W + i), peak));
                store_floats(score + k * W + i, weight);
                all = add(all, weight);
            }
            store_floats(most + i, peak);
            store_floats(sum + i, all);
            store_floats(shrink + i, shrunk);
        }
        for (int64_t i = 0; i < n; i++)
            for (int64_t d = 0; d < a.dim; d += LANES)
                store_floats(mixed + i * a.dim + d, multiply(load_floats(mixed + i * a.dim + d), splat(shrink[i])));
        widen_rows<TYPE>(a.v, h * a.v_head + t * a.v_key, a.v_key, count, a.dim, wide);
        add_product(score, 1, W, wide, a.dim, count, mixed, a.dim, n, a.dim);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < a.dim; d++) write<TYPE>(a.y, a.y_at(h, first + i) + d, mixed[i * a.dim + d] / sum[i]);
}

template <int TYPE> int attend_many(const Attention& a, int threads) {
    const int64_t panels = (a.queries() + SIDE_BY_SIDE - 1) / SIDE_BY_SIDE, pieces = a.kv_heads * panels;
    threads = (int)std::max<int64_t>(1, std::min<int64_t>(threads, pieces));
    float* room = (float*)aligned_alloc(64, threads * MANY_ROOM * sizeof(float));
    if (!room) return 1;
    on_threads(threads, [&](int64_t me, int64_t team) {
        for (int64_t piece = pieces * me / team; piece < pieces * (me + 1) / team; piece++)
            side_by_side<TYPE>(a, piece / panels, piece % panels * SIDE_BY_SIDE, room + me * MANY_ROOM);
    });
    free(room);
    return 0;
}

template <int TYPE> int attend(const Attention& a, int threads) {
    return a.queries() < MANY ? attend_few<TYPE>(a, threads) : attend_many<TYPE>(a, threads);
}

}  // namespace
