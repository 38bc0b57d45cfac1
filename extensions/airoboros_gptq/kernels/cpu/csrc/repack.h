// From the tensors of a file into the layout of weight_layout.h, without a copy in between.
#pragma once
#include <stdint.h>
#include <string.h>

#include <algorithm>

#include "parallel_for.h"
#include "weight_layout.h"

namespace {

constexpr double REPACK_NS = 0.2;  // of a code, about

// The code of input k in column n of a file's qweight [K * bits / 32][N].
template <int BITS> inline uint32_t code_at(const uint32_t* qweight, int64_t columns, int64_t k, int64_t n) {
    if constexpr (BITS == 3) {
        const int64_t bit = k * 3, word = bit / 32, shift = bit % 32;
        uint32_t value = qweight[word * columns + n] >> shift;
        if (shift > 29) value |= qweight[(word + 1) * columns + n] << (32 - shift);
        return value & 7;
    } else {
        constexpr int per_word = 32 / BITS;
        return qweight[k / per_word * columns + n] >> (k % per_word * BITS) & ((1 << BITS) - 1);
    }
}

template <int BITS>
void repack_codes(const uint32_t* qweight, const int32_t* order, int64_t inputs, int64_t outputs, uint32_t* codes,
                  int threads) {
    constexpr int stored_bits = BITS == 8 ? 8 : 4, per_word = 32 / stored_bits;
    constexpr int64_t STRIP = 8;  // tiles that are written together, so that whole cache lines of qweight are read
    const int64_t words = inputs / per_word, tiles = (outputs + TILE - 1) / TILE, strips = (tiles + STRIP - 1) / STRIP;
    const auto repack_strip = [&](int64_t strip, int64_t) {
        for (int64_t word = 0; word < words; word++)
            for (int64_t tile = strip * STRIP; tile < std::min(tiles, strip * STRIP + STRIP); tile++) {
                uint32_t* to = codes + (tile * words + word) * TILE;
                const int64_t column = tile * TILE, columns = std::min<int64_t>(TILE, outputs - column);
                if (BITS == stored_bits && !order) {
                    memcpy(to, qweight + word * outputs + column, columns * 4);
                } else {
                    alignas(64) uint32_t packed[TILE] = {0};
                    for (int i = 0; i < per_word; i++) {
                        const int64_t k = order ? order[word * per_word + i] : word * per_word + i;
                        for (int64_t c = 0; c < columns; c++)
                            packed[c] |= code_at<BITS>(qweight, outputs, k, column + c) << (i * stored_bits);
                    }
                    memcpy(to, packed, sizeof packed);
                }
                if (columns < TILE) memset(to + columns, 0, (TILE - columns) * 4);
            }
    };
    parallel_for(threads, strips, {inputs * outputs * REPACK_NS, true}, repack_strip);
}

}  // namespace

// `bits` of the file; scales are copied as they are; `zero_offset` is 1 for v1. Returns 0, or 1 for other bits.
extern "C" int gptq_repack(const uint32_t* qweight, const uint32_t* qzeros, const void* scales, const int32_t* order,
                           int64_t inputs, int64_t outputs, int64_t groups, int bits, int scales_are_fp32, int zero_offset,
                           uint32_t* codes, void* tiled_scales, uint8_t* zeros, int threads) {
    if (bits == 2) repack_codes<2>(qweight, order, inputs, outputs, codes, threads);
    else if (bits == 3) repack_codes<3>(qweight, order, inputs, outputs, codes, threads);
    else if (bits == 4) repack_codes<4>(qweight, order, inputs, outputs, codes, threads);
    else if (bits == 8) repack_codes<8>(qweight, order, inputs, outputs, codes, threads);
    else return 1;
    const int64_t tiles = (outputs + TILE - 1) / TILE, size = scales_are_fp32 ? 4 : 2, zero_words = outputs * bits / 32;
    const auto repack_groups = [&](int64_t tile, int64_t) {
        for (int64_t group = 0; group < groups; group++) {
            const int64_t at = (tile * groups + group) * TILE, column = tile * TILE;
            const int64_t columns = std::min<int64_t>(TILE, outputs - column);
            memset((char*)tiled_scales + at * size, 0, TILE * size);
            memcpy((char*)tiled_scales + at * size, (const char*)scales + (group * outputs + column) * size, columns * size);
            memset(zeros + at, 0, TILE);
            for (int64_t c = 0; c < columns; c++) {
                const int64_t bit = (column + c) * bits, word = group * zero_words + bit / 32, shift = bit % 32;
                uint64_t value = qzeros[word];
                if (shift + bits > 32) value |= (uint64_t)qzeros[word + 1] << 32;
                zeros[at + c] = (uint8_t)(((value >> shift) + zero_offset) & ((1 << bits) - 1));
            }
        }
    };
    parallel_for(threads, tiles, {groups * outputs * 2.0, true}, repack_groups);
    return 0;
}
