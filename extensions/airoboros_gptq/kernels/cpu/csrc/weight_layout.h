// How one linear's weight lies in memory, for K input and N output features.
#pragma once
#include <stdint.h>

namespace {

constexpr int TILE = 32;  // columns that one thread computes together

// Tiles of TILE columns, so that a thread reads from front to end; columns beyond N hold zeros. Codes of 2 and 3 bits are
// stored in 4.
struct Weight {
    const uint32_t* codes;  // [tiles][K * bits / 32][TILE]: 32 / bits inputs of one column in a word, lowest bits first
    const void* scales;     // fp16 or fp32 [tiles][groups][TILE]
    const uint8_t* zeros;   // [tiles][groups][TILE]
    const int32_t* order;   // [K]: the input feature of each row, with act-order, which sorts rows by group; else null
    int64_t inputs, outputs, group_size;
    int64_t block;  // inputs that share one scale of the quantised activations, all of one group
    int bits, scales_are_fp32;
    int64_t groups() const { return (inputs + group_size - 1) / group_size; }
    int64_t tiles() const { return (outputs + TILE - 1) / TILE; }
    int64_t words() const { return inputs * bits / 32; }
    int64_t blocks() const { return inputs / block; }
};

}  // namespace
