// Vectors of 32-bit integers and floats: 512 bits where the compiler may use AVX-512, else 256.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#include <type_traits>

#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "a processor with AVX2, FMA and F16C is needed"
#endif

#define ALWAYS_INLINE __attribute__((always_inline))

namespace {

// f(0) ... f(N - 1) with constants, so that arrays indexed by them stay in registers; GCC unrolls loops too late for that.
template <int N, class F> ALWAYS_INLINE inline void unroll(F f) {
    if constexpr (N > 0) {
        unroll<N - 1>(f);
        f(std::integral_constant<int, N - 1>());
    }
}

// f(n) with `n`, from 1 to MAX, as a constant.
template <int MAX, class F> inline void with_constant(int n, F f) {
    if constexpr (MAX > 1)
        if (n < MAX) return with_constant<MAX - 1>(n, f);
    f(std::integral_constant<int, MAX>());
}

// PANEL_ROWS: rows whose sums fit in registers beside a tile's codes.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
constexpr int LANES = 16, PANEL_ROWS = 8;
typedef __m512i VecI32;
typedef __m512 VecF32;
inline VecI32 load_i32(const void* p) { return _mm512_loadu_si512(p); }
inline void store_i32(void* p, VecI32 v) { _mm512_storeu_si512(p, v); }
inline VecI32 splat(int32_t v) { return _mm512_set1_epi32(v); }
inline VecI32 splat_i16(int16_t v) { return _mm512_set1_epi16(v); }
inline VecI32 bit_and(VecI32 a, VecI32 b) { return _mm512_and_si512(a, b); }
template <int n> inline VecI32 shift_right_u16(VecI32 a) { return _mm512_srli_epi16(a, n); }
inline VecI32 add(VecI32 a, VecI32 b) { return _mm512_add_epi32(a, b); }
inline VecI32 sub(VecI32 a, VecI32 b) { return _mm512_sub_epi32(a, b); }
inline VecI32 sub_i16(VecI32 a, VecI32 b) { return _mm512_sub_epi16(a, b); }
inline VecI32 mul(VecI32 a, VecI32 b) { return _mm512_mullo_epi32(a, b); }
inline VecI32 load_u8(const uint8_t* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)); }
inline VecI32 repeat_u16(VecI32 v) { return _mm512_or_si512(v, _mm512_slli_epi32(v, 16)); }
inline VecF32 to_f32(VecI32 v) { return _mm512_cvtepi32_ps(v); }
inline VecF32 load_f32(const float* p) { return _mm512_loadu_ps(p); }
inline VecF32 load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
inline void store_f32(float* p, VecF32 v) { _mm512_storeu_ps(p, v); }
inline VecF32 splat(float v) { return _mm512_set1_ps(v); }
inline VecF32 mul(VecF32 a, VecF32 b) { return _mm512_mul_ps(a, b); }
inline VecF32 fmadd(VecF32 a, VecF32 b, VecF32 c) { return _mm512_fmadd_ps(a, b, c); }
inline VecF32 load_bf16(const uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
}
inline VecF32 add(VecF32 a, VecF32 b) { return _mm512_add_ps(a, b); }
inline VecF32 sub(VecF32 a, VecF32 b) { return _mm512_sub_ps(a, b); }
inline VecF32 max(VecF32 a, VecF32 b) { return _mm512_max_ps(a, b); }  // b where either is NaN
inline VecF32 round_nearest(VecF32 a) { return _mm512_roundscale_ps(a, 0); }
inline VecF32 scale_by_power_of_2(VecF32 a, VecF32 n) { return _mm512_scalef_ps(a, n); }
inline float hsum(VecF32 a) { return _mm512_reduce_add_ps(a); }
inline float hmax(VecF32 a) { return _mm512_reduce_max_ps(a); }
#else
constexpr int LANES = 8, PANEL_ROWS = 6;
typedef __m256i VecI32;
typedef __m256 VecF32;
inline VecI32 load_i32(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
inline void store_i32(void* p, VecI32 v) { _mm256_storeu_si256((__m256i*)p, v); }
inline VecI32 splat(int32_t v) { return _mm256_set1_epi32(v); }
inline VecI32 splat_i16(int16_t v) { return _mm256_set1_epi16(v); }
inline VecI32 bit_and(VecI32 a, VecI32 b) { return _mm256_and_si256(a, b); }
template <int n> inline VecI32 shift_right_u16(VecI32 a) { return _mm256_srli_epi16(a, n); }
inline VecI32 add(VecI32 a, VecI32 b) { return _mm256_add_epi32(a, b); }
inline VecI32 sub(VecI32 a, VecI32 b) { return _mm256_sub_epi32(a, b); }
inline VecI32 sub_i16(VecI32 a, VecI32 b) { return _mm256_sub_epi16(a, b); }
inline VecI32 mul(VecI32 a, VecI32 b) { return _mm256_mullo_epi32(a, b); }
inline VecI32 load_u8(const uint8_t* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)); }
inline VecI32 repeat_u16(VecI32 v) { return _mm256_or_si256(v, _mm256_slli_epi32(v, 16)); }
inline VecF32 to_f32(VecI32 v) { return _mm256_cvtepi32_ps(v); }
inline VecF32 load_f32(const float* p) { return _mm256_loadu_ps(p); }
inline VecF32 load_f16(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
inline void store_f32(float* p, VecF32 v) { _mm256_storeu_ps(p, v); }
inline VecF32 splat(float v) { return _mm256_set1_ps(v); }
inline VecF32 mul(VecF32 a, VecF32 b) { return _mm256_mul_ps(a, b); }
inline VecF32 fmadd(VecF32 a, VecF32 b, VecF32 c) { return _mm256_fmadd_ps(a, b, c); }
inline VecF32 load_bf16(const uint16_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
inline VecF32 add(VecF32 a, VecF32 b) { return _mm256_add_ps(a, b); }
inline VecF32 sub(VecF32 a, VecF32 b) { return _mm256_sub_ps(a, b); }
inline VecF32 max(VecF32 a, VecF32 b) { return _mm256_max_ps(a, b); }  // b where either is NaN
inline VecF32 round_nearest(VecF32 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline VecF32 scale_by_power_of_2(VecF32 a, VecF32 n) {
    const VecI32 exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent));
}
inline float hsum(VecF32 a) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
inline float hmax(VecF32 a) {
    __m128 top = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    top = _mm_max_ps(top, _mm_movehl_ps(top, top));
    return _mm_cvtss_f32(_mm_max_ss(top, _mm_movehdup_ps(top)));
}
#endif

// sum + a.low * b.low + a.high * b.high per lane, low and high being its signed 16-bit halves; b may be one pair for all
// lanes. Inline assembly: with intrinsics GCC spills the sums of the inner loops to memory, which halves their speed.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
constexpr int DOT_LATENCY = 4;  // cycles from sum to result
ALWAYS_INLINE inline VecI32 dot_i16(VecI32 sum, VecI32 a, VecI32 b) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
ALWAYS_INLINE inline VecI32 dot_i16(VecI32 sum, VecI32 a, const int32_t* b) {
    asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*b));
    return sum;
}
#else
constexpr int DOT_LATENCY = 1;
ALWAYS_INLINE inline VecI32 dot_i16(VecI32 sum, VecI32 a, VecI32 b) {
    VecI32 product;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(sum), "=&v"(product) : "v"(a), "v"(b));
    return sum;
}
ALWAYS_INLINE inline VecI32 dot_i16(VecI32 sum, VecI32 a, const int32_t* b) {
    VecI32 product;
    asm("vpbroadcastd %3, %1\n\tvpmaddwd %1, %2, %1\n\tvpaddd %1, %0, %0"
        : "+v"(sum), "=&v"(product)
        : "v"(a), "m"(*b));
    return sum;
}
#endif

}  // namespace
