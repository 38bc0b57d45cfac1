// y = x @ w for one GPTQ linear on x86-64 with AVX2 or better; a plain C interface, so that it compiles in seconds.
//
// Activations become integers of 16 bits, one scale per row and block of at most 128 input features; codes are widened
// to 16 bits in registers, and pairs of products are summed in 32 bits (vpdpwssd, or vpmaddwd and vpaddd), which is
// exact. Zero points are subtracted in integers too. What is rounded is the activation, to one part in 65534 of the
// block's largest, and the fp32 sum over blocks. Every path adds the same numbers in the same order, so the result for a
// row does not depend on how many rows come with it.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "flash_attention.h"
#include "dtypes.h"
#include "repack.h"
#include "simd.h"
#include "weight_layout.h"
#include "openmp_pool.h"

namespace {

constexpr int MAX_BLOCK = 128;         // input features that share one scale of the activations
constexpr int ROWS_AT_ONCE = 256;      // whose sums for one tile stay in the second-level cache
constexpr int VECTORS = TILE / LANES;  // of one tile
constexpr int TOGETHER = 2;            // vectors that one inner loop works on
constexpr int AHEAD = 2048;            // bytes

// Asks for `bytes` of what will be read soon: the hardware's own prefetching stops at the border of each page.
template <int BYTES> INLINE inline void prefetch(const void* p) {
    each<(BYTES + 63) / 64>([&](auto i) INLINE { _mm_prefetch((const char*)p + AHEAD + i * 64, _MM_HINT_T0); });
}

// A word widened: vector j holds codes j and j + CODES / 2 of each column in its 16-bit halves.
template <int BITS> constexpr int PAIRS = 16 / BITS;
template <int BITS> inline void widen(Ints word, Ints* out) {
    const Ints mask = splat16((1 << BITS) - 1);
    out[0] = both(word, mask);
    if constexpr (BITS == 4) {
        out[1] = both(shift16<4>(word), mask);
        out[2] = both(shift16<8>(word), mask);
        out[3] = shift16<12>(word);
    } else {
        out[1] = shift16<8>(word);
    }
}

// The quantised activations of some rows: panels of `panel` rows (the last has fewer), each [inputs / 2][rows] pairs.
struct Rows {
    int32_t* pairs;
    float* scales;  // [panels][blocks][rows]
    int32_t* sums;  // likewise: of a block's integers
    int64_t count;
    int panel;
};

// One row's block into integers. Values that are not finite make the scale NaN, and with it the row's result.
template <int TYPE, int BITS>
void quantise(const Weight& w, const Rows& to, const void* x, int64_t row, int64_t block) {
    const int64_t first = row / to.panel * to.panel, at = block * w.block, n = w.block;
    const int64_t rows = std::min<int64_t>(to.panel, to.count - first), r = row - first;
    alignas(64) float value[MAX_BLOCK];
    if (w.order) {
        for (int64_t i = 0; i < n; i++) value[i] = read<TYPE>(x, row * w.inputs + w.order[at + i]);
    } else {
        for (int64_t i = 0; i < n; i++) value[i] = read<TYPE>(x, row * w.inputs + at + i);
    }
    // As integers, magnitudes order as the floats do, and what is not finite comes out on top.
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, value + i, 4);
        most = std::max(most, bits & 0x7FFFFFFF);
    }
    float largest;
    memcpy(&largest, &most, 4);
    const bool finite = most < 0x7F800000;
    const float scale = largest / 32767, inverse = largest > 1e-30f && finite ? 32767 / largest : 0;
    alignas(64) int32_t whole[MAX_BLOCK];
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i += 8) {
        const __m256 scaled = _mm256_mul_ps(_mm256_load_ps(value + i), _mm256_set1_ps(inverse));
        _mm256_store_si256((__m256i*)(whole + i), finite ? _mm256_cvtps_epi32(scaled) : _mm256_setzero_si256());
    }
    for (int64_t i = 0; i < n; i++) {
        whole[i] = std::max(-32767, std::min(32767, whole[i]));
        sum += whole[i];
    }
    // In the order in which widen() puts the codes.
    int32_t* pairs = to.pairs + first * (w.inputs / 2) + at / 2 * rows + r;
    constexpr int half = PAIRS<BITS>, codes = 2 * half;
    for (int64_t i = 0; i < n; i += codes)
        for (int j = 0; j < half; j++, pairs += rows)
            *pairs = (int32_t)((uint32_t)(uint16_t)whole[i + j] | (uint32_t)whole[i + j + half] << 16);
    const int64_t place = (first * w.blocks()) + block * rows + r;
    to.scales[place] = finite ? scale : NAN;
    to.sums[place] = sum;
}

inline Floats load_scales(const Weight& w, int64_t at) {
    return w.scales_are_fp32 ? load_floats((const float*)w.scales + at) : load_halves((const uint16_t*)w.scales + at);
}

// One panel of ROWS rows by one tile, codes widened as they are read: for few rows.
template <int ROWS, int BITS>
void few_rows(const Weight& w, const Rows& rows, int64_t first, int64_t tile, float* sums) {
    constexpr int P = PAIRS<BITS>;
    constexpr int CHAINS = LATENCY == 1 ? 1 : ROWS == 1 ? P : ROWS == 2 ? 2 : 1;  // independent sums, to hide latency
    const int64_t words = w.block / (2 * P), blocks = w.blocks();
    const int32_t* x = rows.pairs + first * (w.inputs / 2);
    const float* x_scales = rows.scales + first * blocks;
    const int32_t* x_sums = rows.sums + first * blocks;
    const uint32_t* codes = w.codes + tile * w.words() * TILE;
    Floats total[VECTORS / TOGETHER][ROWS][TOGETHER];
    each<VECTORS / TOGETHER>([&](auto v) INLINE {
        each<ROWS>([&](auto r) INLINE { each<TOGETHER>([&](auto t) INLINE { total[v][r][t] = splat(0.0f); }); });
    });
    for (int64_t b = 0; b < blocks; b++, codes += words * TILE, x += words * P * ROWS) {
        const int64_t group = (tile * w.groups() + b * w.block / w.group_size) * TILE;
        each<VECTORS / TOGETHER>([&](auto v) INLINE {
            Ints sum[ROWS][TOGETHER][CHAINS];
            each<ROWS>([&](auto r) INLINE {
                each<TOGETHER>([&](auto t) INLINE { each<CHAINS>([&](auto c) INLINE { sum[r][t][c] = splat(0); }); });
            });
            const uint32_t* line = codes + v * TOGETHER * LANES;
            const int32_t* xs = x;
            for (int64_t i = 0; i < words; i++, line += TILE, xs += P * ROWS) {
                if constexpr (v == 0) prefetch<TILE * 4>(line);
                each<TOGETHER>([&](auto t) INLINE {
                    Ints wide[P];
                    widen<BITS>(load_ints(line + t * LANES), wide);
                    each<P>([&](auto j) INLINE {
                        each<ROWS>([&](auto r) INLINE {
                            constexpr int c = j % CHAINS;
                            sum[r][t][c] = dot(sum[r][t][c], wide[j], xs + j * ROWS + r);
                        });
                    });
                });
            }
            each<TOGETHER>([&](auto t) INLINE {
                const int64_t at = group + (v * TOGETHER + t) * LANES;
                const Ints zero = load_bytes(w.zeros + at);
                const Floats scale = load_scales(w, at);
                each<ROWS>([&](auto r) INLINE {
                    Ints all = sum[r][t][0];
                    each<CHAINS - 1>([&](auto c) INLINE { all = add(all, sum[r][t][c + 1]); });
                    all = subtract(all, multiply(zero, splat(x_sums[b * ROWS + r])));
                    const Floats part = multiply(to_floats(all), splat(x_scales[b * ROWS + r]));
                    total[v][r][t] = multiply_add(scale, part, total[v][r][t]);
                });
            });
        });
    }
    each<VECTORS / TOGETHER>([&](auto v) INLINE {
        each<ROWS>([&](auto r) INLINE {
            each<TOGETHER>([&](auto t) INLINE {
                store_floats(sums + r * TILE + (v * TOGETHER + t) * LANES, total[v][r][t]);
            });
        });
    });
}

// One block of one tile, zero points subtracted: int16 pairs [block / 2][TILE].
template <int BITS> void widen_block(const Weight& w, int64_t tile, int64_t block, int32_t* wide) {
    constexpr int P = PAIRS<BITS>;
    const int64_t words = w.block / (2 * P);
    const uint32_t* codes = w.codes + (tile * w.words() + block * words) * TILE;
    const uint8_t* zeros = w.zeros + (tile * w.groups() + block * w.block / w.group_size) * TILE;
    for (int v = 0; v < VECTORS; v++) {
        const Ints zero = pairs_of(load_bytes(zeros + v * LANES));
        for (int64_t i = 0; i < words; i++) {
            Ints out[P];
            widen<BITS>(load_ints(codes + i * TILE + v * LANES), out);
            for (int j = 0; j < P; j++)
                store_ints(wide + (i * P + j) * TILE + v * LANES, subtract16(out[j], zero));
        }
    }
}

// One panel of ROWS rows by one block of one tile, added to sums [ROWS][TILE].
template <int ROWS>
void many_rows(const int32_t* x, const float* x_scale, const int32_t* wide, const Weight& w, int64_t group, float* sums) {
    for (int v = 0; v < VECTORS; v += TOGETHER) {
        Ints sum[ROWS][TOGETHER];
        each<ROWS>([&](auto r) INLINE { each<TOGETHER>([&](auto t) INLINE { sum[r][t] = splat(0); }); });
        const int32_t *xs = x, *codes = wide + v * LANES;
        for (int64_t i = 0; i < w.block / 2; i++, xs += ROWS, codes += TILE) {
            Ints c[TOGETHER];
            each<TOGETHER>([&](auto t) INLINE { c[t] = load_ints(codes + t * LANES); });
            each<ROWS>([&](auto r) INLINE {
                const Ints value = splat(xs[r]);
                each<TOGETHER>([&](auto t) INLINE { sum[r][t] = dot(sum[r][t], c[t], value); });
            });
        }
        each<TOGETHER>([&](auto t) INLINE {
            const Floats scale = load_scales(w, group + (v + t) * LANES);
            each<ROWS>([&](auto r) INLINE {
                float* at = sums + r * TILE + (v + t) * LANES;
                store_floats(at, multiply_add(scale, multiply(to_floats(sum[r][t]), splat(x_scale[r])), load_floats(at)));
            });
        });
    }
}

constexpr int FEW = 4;  // rows whose sums few_rows() keeps in registers; up to twice as many it is the faster way

template <int BITS> void multiply_tile(const Weight& w, const Rows& rows, int64_t tile, float* sums, int32_t* wide) {
    if (rows.panel <= FEW) {
        for (int64_t first = 0; first < rows.count; first += rows.panel)
            with_rows<FEW>((int)std::min<int64_t>(rows.panel, rows.count - first),
                           [&](auto n) { few_rows<n, BITS>(w, rows, first, tile, sums + first * TILE); });
        return;
    }
    memset(sums, 0, rows.count * TILE * sizeof(float));
    for (int64_t b = 0; b < w.blocks(); b++) {
        widen_block<BITS>(w, tile, b, wide);
        const int64_t group = (tile * w.groups() + b * w.block / w.group_size) * TILE;
        for (int64_t first = 0; first < rows.count; first += rows.panel) {
            const int n = (int)std::min<int64_t>(rows.panel, rows.count - first);
            const int32_t* x = rows.pairs + first * (w.inputs / 2) + b * (w.block / 2) * n;
            const float* x_scale = rows.scales + first * w.blocks() + b * n;
            with_rows<PANEL>(n, [&](auto c) { many_rows<c>(x, x_scale, wide, w, group, sums + first * TILE); });
        }
    }
}

template <int TYPE, int BITS> int run(const Weight& w, const void* x, void* y, int64_t count, int threads) {
    const int64_t most = std::min<int64_t>(count, ROWS_AT_ONCE), tiles = w.tiles(), blocks = w.blocks();
    const auto aligned = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
    const int64_t pairs = aligned(most * w.inputs * 2), scales = aligned(most * blocks * 4), sums = aligned(most * TILE * 4);
    const int64_t wide = MAX_BLOCK / 2 * TILE * 4;
    threads = (int)std::max<int64_t>(1, std::min<int64_t>(threads, tiles));
    char* room = (char*)aligned_alloc(64, pairs + 2 * scales + threads * (sums + wide));
    if (!room) return 1;
    const int size = TYPE == F32 ? 4 : 2;
    for (int64_t start = 0; start < count; start += ROWS_AT_ONCE) {
        const int64_t n = std::min<int64_t>(count - start, ROWS_AT_ONCE);
        const Rows rows = {(int32_t*)room, (float*)(room + pairs), (int32_t*)(room + pairs + scales), n,
                           n <= 2 * FEW ? (int)std::min<int64_t>(n, FEW) : PANEL};
        const char* from = (const char*)x + start * w.inputs * size;
        char* to = (char*)y + start * w.outputs * size;
        const int64_t pieces = n * blocks;  // a few are done sooner than a thread wakes
        on_threads(pieces * w.block < 8192 ? 1 : threads, [&](int64_t me, int64_t team) {
            for (int64_t i = pieces * me / team; i < pieces * (me + 1) / team; i++)
                quantise<TYPE, BITS>(w, rows, from, i / blocks, i % blocks);
        });
        on_threads(threads, [&](int64_t me, int64_t team) {
            float* own = (float*)(room + pairs + 2 * scales + me * (sums + wide));
            for (int64_t tile = tiles * me / team; tile < tiles * (me + 1) / team; tile++) {
                multiply_tile<BITS>(w, rows, tile, own, (int32_t*)((char*)own + sums));
                const int64_t column = tile * TILE, columns = std::min<int64_t>(TILE, w.outputs - column);
                for (int64_t r = 0; r < n; r++)
                    for (int64_t c = 0; c < columns; c++) write<TYPE>(to, r * w.outputs + column + c, own[r * TILE + c]);
            }
        });
    }
    free(room);
    return 0;
}

}  // namespace

extern "C" {

int gptq_tile() { return TILE; }

// The entry points of the OpenMP runtime that PyTorch uses; without them one thread works.
void gptq_use_pool(void (*parallel)(void (*)(void*), void*, unsigned, unsigned), int (*me)(), int (*team)()) {
    pool = {parallel, me, team};
}

// What the compiler was allowed to use.
const char* gptq_instructions() {
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#ifdef __AVX512VNNI__
    return "AVX-512 VNNI";
#else
    return "AVX-512";
#endif
#else
    return "AVX2";
#endif
}

// Large pages make both the filling and the reading of weights faster. Advice: failure does no harm.
void gptq_want_large_pages(void* start, int64_t bytes) {
    const uintptr_t page = 1 << 21, first = ((uintptr_t)start + page - 1) / page * page;
    const uintptr_t last = ((uintptr_t)start + bytes) / page * page;
#ifdef MADV_HUGEPAGE
    if (last > first) madvise((void*)first, last - first, MADV_HUGEPAGE);
#endif
}

// x [rows, inputs] to y [rows, outputs], both of `type` (Type above). Returns 0, or 1 where memory ran out.
int gptq_multiply(const void* x, void* y, int64_t rows, int type, const uint32_t* codes, const void* scales,
                  const uint8_t* zeros, const int32_t* order, int64_t inputs, int64_t outputs, int64_t group_size,
                  int64_t block, int bits, int scales_are_fp32, int threads) {
    const Weight w = {codes, scales, zeros, order, inputs, outputs, group_size, block, bits, scales_are_fp32};
    if (bits == 4) {
        if (type == F32) return run<F32, 4>(w, x, y, rows, threads);
        if (type == F16) return run<F16, 4>(w, x, y, rows, threads);
        return run<BF16, 4>(w, x, y, rows, threads);
    }
    if (type == F32) return run<F32, 8>(w, x, y, rows, threads);
    if (type == F16) return run<F16, 8>(w, x, y, rows, threads);
    return run<BF16, 8>(w, x, y, rows, threads);
}

// Attention of the last `rows` tokens over all `keys` (struct Attention above), all of `type`; dim a multiple of 16, at
// most 256. Returns 0, or 1 where memory ran out.
int gptq_attend(const void* q, const void* k, const void* v, void* y, int type, const int64_t* sizes, float scale,
                int threads) {
    const auto [heads, kv_heads, rows, dim, keys, q_head, q_row, k_head, k_key, v_head, v_key] =
        *(const int64_t(*)[11])sizes;
    const Attention a = {q, k, v, y, heads, kv_heads, rows, dim, keys, q_head, q_row, k_head, k_key, v_head, v_key, scale};
    if (heads * rows * keys * dim < 65536) threads = 1;  // done sooner than a thread wakes
    if (type == F32) return attend<F32>(a, threads);
    if (type == F16) return attend<F16>(a, threads);
    return attend<BF16>(a, threads);
}
}
