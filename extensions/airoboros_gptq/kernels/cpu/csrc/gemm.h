// y = x @ w for one GPTQ linear.
//
// Activations are integers of 16 bits (activations.h); codes are widened to 16 bits in registers, and pairs of products are
// summed in 32 bits (vpdpwssd, or vpmaddwd and vpaddd), which is exact. Zero points are subtracted in integers too. What is
// rounded is the activation, to one part in 65534 of the block's largest, and the fp32 sum over blocks. Every path adds the
// same numbers in the same order, so the result for a row does not depend on how many rows come with it.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "activations.h"
#include "dtypes.h"
#include "parallel_for.h"
#include "simd.h"
#include "weight_layout.h"

namespace {

constexpr int ROW_BLOCK = 256;           // rows whose sums for one tile stay in the second-level cache
constexpr int VECTORS = TILE / LANES;    // of one tile
constexpr int LOOP_VECTORS = 2;          // of those, how many one inner loop works on
constexpr int PREFETCH_DISTANCE = 2048;  // bytes
constexpr int MAX_GEMV_ROWS = 4;         // rows of a panel whose sums gemv_panel() keeps in registers

// About what one thread does, to tell small jobs from large ones.
constexpr double BYTES_PER_NS = 32, PRODUCTS_PER_NS = 12 * LANES, QUANTIZE_NS = 0.5;

// Prefetches weights: the hardware's own prefetching stops at the border of each page.
template <int BYTES> ALWAYS_INLINE inline void prefetch(const void* p) {
    unroll<(BYTES + 63) / 64>(
        [&](auto i) ALWAYS_INLINE { _mm_prefetch((const char*)p + PREFETCH_DISTANCE + i * 64, _MM_HINT_T0); });
}

// One word of each column: out[j] holds codes j and j + PAIRS in its 16-bit halves.
template <int BITS> inline void unpack_codes(VecI32 word, VecI32* out) {
    const VecI32 mask = splat_i16((1 << BITS) - 1);
    out[0] = bit_and(word, mask);
    if constexpr (BITS == 4) {
        out[1] = bit_and(shift_right_u16<4>(word), mask);
        out[2] = bit_and(shift_right_u16<8>(word), mask);
        out[3] = shift_right_u16<12>(word);
    } else {
        out[1] = shift_right_u16<8>(word);
    }
}

inline VecF32 load_scales(const Weight& w, int64_t at) {
    return w.scales_are_fp32 ? load_f32((const float*)w.scales + at) : load_f16((const uint16_t*)w.scales + at);
}

// One panel of ROWS rows by one tile, to sums [ROWS][TILE]; codes are unpacked as they are read. For few rows.
template <int ROWS, int BITS>
void gemv_panel(const Weight& w, const Activations& x, int64_t first, int64_t tile, float* sums) {
    constexpr int P = PAIRS<BITS>;
    constexpr int CHAINS = DOT_LATENCY == 1 ? 1 : ROWS == 1 ? P : ROWS == 2 ? 2 : 1;  // independent sums, to hide latency
    const int64_t words = w.block / (2 * P), blocks = w.blocks();
    const int32_t* pairs = x.pairs + first * (w.inputs / 2);
    const float* x_scales = x.scales + first * blocks;
    const int32_t* x_sums = x.sums + first * blocks;
    const uint32_t* codes = w.codes + tile * w.words() * TILE;
    VecF32 acc[VECTORS / LOOP_VECTORS][ROWS][LOOP_VECTORS];
    unroll<VECTORS / LOOP_VECTORS>([&](auto v) ALWAYS_INLINE {
        unroll<ROWS>([&](auto r) ALWAYS_INLINE {
            unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE { acc[v][r][t] = splat(0.0f); });
        });
    });
    for (int64_t b = 0; b < blocks; b++, codes += words * TILE, pairs += words * P * ROWS) {
        const int64_t group = (tile * w.groups() + b * w.block / w.group_size) * TILE;
        unroll<VECTORS / LOOP_VECTORS>([&](auto v) ALWAYS_INLINE {
            VecI32 sum[ROWS][LOOP_VECTORS][CHAINS];
            unroll<ROWS>([&](auto r) ALWAYS_INLINE {
                unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE {
                    unroll<CHAINS>([&](auto c) ALWAYS_INLINE { sum[r][t][c] = splat(0); });
                });
            });
            const uint32_t* line = codes + v * LOOP_VECTORS * LANES;
            const int32_t* xs = pairs;
            for (int64_t i = 0; i < words; i++, line += TILE, xs += P * ROWS) {
                if constexpr (v == 0) prefetch<TILE * 4>(line);
                unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE {
                    VecI32 unpacked[P];
                    unpack_codes<BITS>(load_i32(line + t * LANES), unpacked);
                    unroll<P>([&](auto j) ALWAYS_INLINE {
                        unroll<ROWS>([&](auto r) ALWAYS_INLINE {
                            constexpr int c = j % CHAINS;
                            sum[r][t][c] = dot_i16(sum[r][t][c], unpacked[j], xs + j * ROWS + r);
                        });
                    });
                });
            }
            unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE {
                const int64_t at = group + (v * LOOP_VECTORS + t) * LANES;
                const VecI32 zero = load_u8(w.zeros + at);
                const VecF32 scale = load_scales(w, at);
                unroll<ROWS>([&](auto r) ALWAYS_INLINE {
                    VecI32 dot = sum[r][t][0];
                    unroll<CHAINS - 1>([&](auto c) ALWAYS_INLINE { dot = add(dot, sum[r][t][c + 1]); });
                    dot = sub(dot, mul(zero, splat(x_sums[b * ROWS + r])));
                    const VecF32 part = mul(to_f32(dot), splat(x_scales[b * ROWS + r]));
                    acc[v][r][t] = fmadd(scale, part, acc[v][r][t]);
                });
            });
        });
    }
    unroll<VECTORS / LOOP_VECTORS>([&](auto v) ALWAYS_INLINE {
        unroll<ROWS>([&](auto r) ALWAYS_INLINE {
            unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE {
                store_f32(sums + r * TILE + (v * LOOP_VECTORS + t) * LANES, acc[v][r][t]);
            });
        });
    });
}

// One block of one tile, zero points subtracted: int16 pairs [block / 2][TILE].
template <int BITS> void unpack_block(const Weight& w, int64_t tile, int64_t block, int32_t* unpacked) {
    constexpr int P = PAIRS<BITS>;
    const int64_t words = w.block / (2 * P);
    const uint32_t* codes = w.codes + (tile * w.words() + block * words) * TILE;
    const uint8_t* zeros = w.zeros + (tile * w.groups() + block * w.block / w.group_size) * TILE;
    for (int v = 0; v < VECTORS; v++) {
        const VecI32 zero = repeat_u16(load_u8(zeros + v * LANES));
        for (int64_t i = 0; i < words; i++) {
            VecI32 out[P];
            unpack_codes<BITS>(load_i32(codes + i * TILE + v * LANES), out);
            for (int j = 0; j < P; j++) store_i32(unpacked + (i * P + j) * TILE + v * LANES, sub_i16(out[j], zero));
        }
    }
}

// One panel of ROWS rows by one unpacked block of a tile, added to sums [ROWS][TILE]. For many rows.
template <int ROWS>
void gemm_panel(const int32_t* pairs, const float* x_scale, const int32_t* unpacked, const Weight& w, int64_t group,
                float* sums) {
    for (int v = 0; v < VECTORS; v += LOOP_VECTORS) {
        VecI32 sum[ROWS][LOOP_VECTORS];
        unroll<ROWS>([&](auto r) ALWAYS_INLINE {
            unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE { sum[r][t] = splat(0); });
        });
        const int32_t *xs = pairs, *codes = unpacked + v * LANES;
        for (int64_t i = 0; i < w.block / 2; i++, xs += ROWS, codes += TILE) {
            VecI32 c[LOOP_VECTORS];
            unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE { c[t] = load_i32(codes + t * LANES); });
            unroll<ROWS>([&](auto r) ALWAYS_INLINE {
                const VecI32 value = splat(xs[r]);
                unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE { sum[r][t] = dot_i16(sum[r][t], c[t], value); });
            });
        }
        unroll<LOOP_VECTORS>([&](auto t) ALWAYS_INLINE {
            const VecF32 scale = load_scales(w, group + (v + t) * LANES);
            unroll<ROWS>([&](auto r) ALWAYS_INLINE {
                float* at = sums + r * TILE + (v + t) * LANES;
                store_f32(at, fmadd(scale, mul(to_f32(sum[r][t]), splat(x_scale[r])), load_f32(at)));
            });
        });
    }
}

// All rows of x by one tile, to sums [rows][TILE]. `unpacked` has room for one block of a tile.
template <int BITS> void gemm_tile(const Weight& w, const Activations& x, int64_t tile, float* sums, int32_t* unpacked) {
    if (x.panel <= MAX_GEMV_ROWS) {
        for (int64_t first = 0; first < x.count; first += x.panel)
            with_constant<MAX_GEMV_ROWS>((int)std::min<int64_t>(x.panel, x.count - first), [&](auto n) {
                gemv_panel<n, BITS>(w, x, first, tile, sums + first * TILE);
            });
        return;
    }
    memset(sums, 0, x.count * TILE * sizeof(float));
    for (int64_t b = 0; b < w.blocks(); b++) {
        unpack_block<BITS>(w, tile, b, unpacked);
        const int64_t group = (tile * w.groups() + b * w.block / w.group_size) * TILE;
        for (int64_t first = 0; first < x.count; first += x.panel) {
            const int n = (int)std::min<int64_t>(x.panel, x.count - first);
            const int32_t* pairs = x.pairs + first * (w.inputs / 2) + b * (w.block / 2) * n;
            const float* x_scale = x.scales + first * w.blocks() + b * n;
            with_constant<PANEL_ROWS>(n, [&](auto c) { gemm_panel<c>(pairs, x_scale, unpacked, w, group, sums + first * TILE); });
        }
    }
}

// x [rows, inputs] to y [rows, outputs], ROW_BLOCK rows at a time. Returns 0, or 1 where memory ran out.
template <int DTYPE, int BITS> int gemm(const Weight& w, const void* x, void* y, int64_t rows, int threads) {
    const int64_t max_rows = std::min<int64_t>(rows, ROW_BLOCK), tiles = w.tiles(), blocks = w.blocks();
    const auto aligned = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
    const int64_t pairs = aligned(max_rows * w.inputs * 2), scales = aligned(max_rows * blocks * 4);
    const int64_t sums = aligned(max_rows * TILE * 4), unpacked = MAX_BLOCK / 2 * TILE * 4;
    threads = (int)std::max<int64_t>(1, std::min<int64_t>(threads, tiles));
    char* workspace = (char*)aligned_alloc(64, pairs + 2 * scales + threads * (sums + unpacked));
    if (!workspace) return 1;
    const int size = ITEM_BYTES<DTYPE>;
    for (int64_t start = 0; start < rows; start += ROW_BLOCK) {
        const int64_t n = std::min<int64_t>(rows - start, ROW_BLOCK);
        // Up to twice MAX_GEMV_ROWS rows are faster as two panels of gemv_panel().
        const int panel = n <= 2 * MAX_GEMV_ROWS ? (int)std::min<int64_t>(n, MAX_GEMV_ROWS) : PANEL_ROWS;
        const Activations activations = {(int32_t*)workspace, (float*)(workspace + pairs),
                                         (int32_t*)(workspace + pairs + scales), n, panel};
        const char* from = (const char*)x + start * w.inputs * size;
        char* to = (char*)y + start * w.outputs * size;
        const bool on_openmp = is_prompt(n, std::max(w.inputs, w.outputs));
        parallel_for(threads, n * blocks, {n * w.inputs * QUANTIZE_NS, on_openmp}, [&](int64_t i, int64_t) {
            quantize_block<DTYPE, BITS>(w, activations, from, i / blocks, i % blocks);
        });
        const double weight_bytes = (double)w.words() * 4 * w.outputs, products = (double)n * w.inputs * w.outputs;
        const Cost cost = {std::max(weight_bytes / BYTES_PER_NS, products / PRODUCTS_PER_NS), on_openmp};
        parallel_for(threads, tiles, cost, [&](int64_t tile, int64_t thread) {
            float* tile_sums = (float*)(workspace + pairs + 2 * scales + thread * (sums + unpacked));
            gemm_tile<BITS>(w, activations, tile, tile_sums, (int32_t*)((char*)tile_sums + sums));
            const int64_t column = tile * TILE, columns = std::min<int64_t>(TILE, w.outputs - column);
            for (int64_t r = 0; r < n; r++)
                for (int64_t c = 0; c < columns; c++)
                    store_element<DTYPE>(to, r * w.outputs + column + c, tile_sums[r * TILE + c]);
        });
    }
    free(workspace);
    return 0;
}

}  // namespace
