// Vectors of integers and floats, as wide as the compiler may make them: 512 bits, else 256.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#include <type_traits>

#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "a processor with AVX2, FMA and F16C is needed"
#endif

#define INLINE __attribute__((always_inline))

namespace {

// f(0) ... f(N - 1) with constants, so that arrays indexed by them stay in registers; GCC unrolls loops too late for that.
template <int N, class F> INLINE inline void each(F f) {
    if constexpr (N > 0) {
        each<N - 1>(f);
        f(std::integral_constant<int, N - 1>());
    }
}

// f<ROWS>() for a number of rows that is known only now, at most MOST.
template <int MOST, class F> inline void with_rows(int rows, F f) {
    if constexpr (MOST > 1)
        if (rows < MOST) return with_rows<MOST - 1>(rows, f);
    f(std::integral_constant<int, MOST>());
}

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
constexpr int LANES = 16, PANEL = 8;
typedef __m512i Ints;
typedef __m512 Floats;
inline Ints load_ints(const void* p) { return _mm512_loadu_si512(p); }
inline void store_ints(void* p, Ints v) { _mm512_storeu_si512(p, v); }
inline Ints splat(int32_t v) { return _mm512_set1_epi32(v); }
inline Ints splat16(int16_t v) { return _mm512_set1_epi16(v); }
inline Ints both(Ints a, Ints b) { return _mm512_and_si512(a, b); }
template <int n> inline Ints shift16(Ints a) { return _mm512_srli_epi16(a, n); }
inline Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Ints subtract(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
inline Ints subtract16(Ints a, Ints b) { return _mm512_sub_epi16(a, b); }
inline Ints multiply(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
inline Ints load_bytes(const uint8_t* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)); }
inline Ints pairs_of(Ints v) { return _mm512_or_si512(v, _mm512_slli_epi32(v, 16)); }
inline Floats to_floats(Ints v) { return _mm512_cvtepi32_ps(v); }
inline Floats load_floats(const float* p) { return _mm512_loadu_ps(p); }
inline Floats load_halves(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
inline void store_floats(float* p, Floats v) { _mm512_storeu_ps(p, v); }
inline Floats splat(float v) { return _mm512_set1_ps(v); }
inline Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats load_brains(const uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
}
inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
inline Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }  // b where either is NaN
inline Floats nearest(Floats a) { return _mm512_roundscale_ps(a, 0); }
inline Floats times_power_of_2(Floats a, Floats n) { return _mm512_scalef_ps(a, n); }
inline float total(Floats a) { return _mm512_reduce_add_ps(a); }
inline float largest(Floats a) { return _mm512_reduce_max_ps(a); }
#else
constexpr int LANES = 8, PANEL = 6;
typedef __m256i Ints;
typedef __m256 Floats;
inline Ints load_ints(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
inline void store_ints(void* p, Ints v) { _mm256_storeu_si256((__m256i*)p, v); }
inline Ints splat(int32_t v) { return _mm256_set1_epi32(v); }
inline Ints splat16(int16_t v) { return _mm256_set1_epi16(v); }
inline Ints both(Ints a, Ints b) { return _mm256_and_si256(a, b); }
template <int n> inline Ints shift16(Ints a) { return _mm256_srli_epi16(a, n); }
inline Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Ints subtract(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
inline Ints subtract16(Ints a, Ints b) { return _mm256_sub_epi16(a, b); }
inline Ints multiply(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
inline Ints load_bytes(const uint8_t* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)); }
inline Ints pairs_of(Ints v) { return _mm256_or_si256(v, _mm256_slli_epi32(v, 16)); }
inline Floats to_floats(Ints v) { return _mm256_cvtepi32_ps(v); }
inline Floats load_floats(const float* p) { return _mm256_loadu_ps(p); }
inline Floats load_halves(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
inline void store_floats(float* p, Floats v) { _mm256_storeu_ps(p, v); }
inline Floats splat(float v) { return _mm256_set1_ps(v); }
inline Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats load_brains(const uint16_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
inline Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
inline Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
inline Floats larger(Floats a, Floats b) { return _mm256_max_ps(a, b); }  // b where either is NaN
inline Floats nearest(Floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Floats times_power_of_2(Floats a, Floats n) {
    const Ints power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), power));
}
inline float total(Floats a) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
inline float largest(Floats a) {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}
#endif

// sum + a * b of both 16-bit halves, where b is one pair for all. Spelled out: with intrinsics GCC's choice of registers
// spills the sums of the inner loops to memory, which halves their speed.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
constexpr int LATENCY = 4;  // from sum to result, in cycles
INLINE inline Ints dot(Ints sum, Ints a, Ints b) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
INLINE inline Ints dot(Ints sum, Ints a, const int32_t* b) {
    asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*b));
    return sum;
}
#else
constexpr int LATENCY = 1;
INLINE inline Ints dot(Ints sum, Ints a, Ints b) {
    Ints product;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(sum), "=&v"(product) : "v"(a), "v"(b));
    return sum;
}
INLINE inline Ints dot(Ints sum, Ints a, const int32_t* b) {
    Ints product;
    asm("vpbroadcastd %3, %1\n\tvpmaddwd %1, %2, %1\n\tvpaddd %1, %0, %0"
        : "+v"(sum), "=&v"(product)
        : "v"(a), "m"(*b));
    return sum;
}
#endif

}  // namespace
