// The C interface of the CPU kernel, for x86-64 with AVX2 or better. One file is compiled, in seconds, without headers of
// Python or PyTorch; bindings.py has the signatures.
#include <stdint.h>
#include <sys/mman.h>

#include "attention.h"
#include "dense.h"
#include "dtypes.h"
#include "flash_attention.h"
#include "flash_decoding.h"
#include "gemm.h"
#include "parallel_for.h"
#include "repack.h"
#include "weight_layout.h"

namespace {

constexpr int MIN_BLOCK_QUERIES = 16;  // from here on attend_blocks() is faster than attend_few()

template <int DTYPE> int attend(const Attention& a, int threads) {
    return a.queries() < MIN_BLOCK_QUERIES ? attend_few<DTYPE>(a, threads) : attend_blocks<DTYPE>(a, threads);
}

}  // namespace

extern "C" {

int gptq_tile_columns() { return TILE; }

// The entry points of the OpenMP runtime that PyTorch uses; without them large jobs go to the helpers too.
void gptq_set_openmp(void (*parallel)(void (*)(void*), void*, unsigned, unsigned), int (*thread_num)()) {
    openmp = {parallel, thread_num};
}

// For tests: threads wait as long at each point where others may overtake them.
void gptq_delay_threads(int64_t ns) { pool.delay_ns.store(ns); }

// What the compiler was allowed to use.
const char* gptq_instruction_set() {
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

// Huge pages make both the filling and the reading of weights faster. Advice: failure does no harm.
void gptq_advise_huge_pages(void* start, int64_t bytes) {
    const uintptr_t page = 1 << 21, first = ((uintptr_t)start + page - 1) / page * page;
    const uintptr_t last = ((uintptr_t)start + bytes) / page * page;
#ifdef MADV_HUGEPAGE
    if (last > first) madvise((void*)first, last - first, MADV_HUGEPAGE);
#endif
}

// x [rows, inputs] to y [rows, outputs], both of `dtype`; the weight is that of weight_layout.h. Returns 0, or 1 where memory
// ran out.
int gptq_gemm(const void* x, void* y, int64_t rows, int dtype, const uint32_t* codes, const void* scales,
              const uint8_t* zeros, const int32_t* order, int64_t inputs, int64_t outputs, int64_t group_size,
              int64_t block, int bits, int scales_are_fp32, int threads) {
    const Weight w = {codes, scales, zeros, order, inputs, outputs, group_size, block, bits, scales_are_fp32};
    if (bits == 4) {
        if (dtype == F32) return gemm<F32, 4>(w, x, y, rows, threads);
        if (dtype == F16) return gemm<F16, 4>(w, x, y, rows, threads);
        return gemm<BF16, 4>(w, x, y, rows, threads);
    }
    if (dtype == F32) return gemm<F32, 8>(w, x, y, rows, threads);
    if (dtype == F16) return gemm<F16, 8>(w, x, y, rows, threads);
    return gemm<BF16, 8>(w, x, y, rows, threads);
}

// x [rows, inputs] to y [rows, outputs], weight [outputs, inputs], all of `dtype`. `inputs` is a multiple of DENSE_STEP. Returns
// 0, or 1 where memory ran out.
int gptq_dense(const void* x, const void* weight, void* y, int dtype, int64_t rows, int64_t inputs, int64_t outputs,
               int threads) {
    if (dtype == F32) return dense<F32>(x, weight, y, rows, inputs, outputs, threads);
    if (dtype == F16) return dense<F16>(x, weight, y, rows, inputs, outputs, threads);
    return dense<BF16>(x, weight, y, rows, inputs, outputs, threads);
}

// Attention of the last q_len of kv_len tokens (attention.h), all tensors of `dtype`; `sizes` are Attention's from `heads` on.
// dim is a multiple of 16, at most MAX_HEAD_DIM. Returns 0, or 1 where memory ran out.
int gptq_attention(const void* q, const void* k, const void* v, void* y, int dtype, const int64_t* sizes, float scale,
                   int threads) {
    const auto [heads, kv_heads, q_len, dim, kv_len, q_head, q_token, k_head, k_token, v_head, v_token] =
        *(const int64_t(*)[11])sizes;
    const Attention a = {q,      k,      v,       y,      heads,   kv_heads, q_len,   dim,
                         kv_len, q_head, q_token, k_head, k_token, v_head,   v_token, scale};
    if (dtype == F32) return attend<F32>(a, threads);
    if (dtype == F16) return attend<F16>(a, threads);
    return attend<BF16>(a, threads);
}
}
