/* The inner loops that a compiler will not find by itself, on GCC/Clang vector types, so that one source serves SSE, AVX2,
 * AVX-512 and NEON. `_ops.pyx` is compiled once per instruction set (see setup.py) and includes this file.
 *
 *   VL  floats in a vector            NV  vectors across a panel            NR = VL * NV  outputs in a panel
 *   MR  rows of x in a full tile: MR * NV accumulators, NV weights and a broadcast fit the register file
 *
 * Arithmetic is strict: every output is acc = fma(w[k], x[k], acc) for k = 0, 1, 2, ..., whatever the tile's shape. So a row's
 * result has the same bits alone or among others, on any number of threads, and with f32 or (the same) bf16 weights.
 */
#ifndef POCKETTTS_TILE_H
#define POCKETTTS_TILE_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

#if defined(__AVX512F__)
#define VL 16
#define NV 2
#define MR 8
#elif defined(__AVX2__)
#define VL 8
#define NV 2
#define MR 6
#elif defined(__ARM_NEON)
#define VL 4
#define NV 4
#define MR 6
#else
#define VL 4
#define NV 2
#define MR 6
#endif
#define NR (VL * NV)
#if NV == 2 /* panels side by side for one row: 8 independent sums hide the latency of an FMA */
#define MAX_PANELS 4
#else
#define MAX_PANELS 2
#endif

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__ /* which does not know GCC's way */
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_ALL UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_ALL _Pragma("GCC unroll 32")
#endif
/* Keeps the compiler from making one FMA of what comes before and after in one tile and not in another. */
#if defined(__x86_64__) || defined(__i386__)
#define ROUNDED(r) __asm__("" : "+x"(r))
#elif defined(__aarch64__)
#define ROUNDED(r) __asm__("" : "+w"(r))
#else
#define ROUNDED(r)
#endif

typedef float vf __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef int8_t v8 __attribute__((vector_size(VL)));
/* Unaligned access through vector types; memcpy is several times slower with AVX2 on GCC 12. */
typedef float vf_mem __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint32_t vu_mem __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint32_t word __attribute__((may_alias));

INLINE vf load(const float *p) { return (vf) * (const vf_mem *)p; }
INLINE vu load_u32(const uint32_t *p) { return (vu) * (const vu_mem *)p; }
INLINE void store(float *p, vf v) { *(vf_mem *)p = v; }
INLINE vf pick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); } /* mask ? a : b */
/* The greater and the lesser; b, where it is no number. */
#if defined(__AVX512F__)
#define NATIVE(OP, a, b) _mm512_##OP##_ps((__m512)(a), (__m512)(b))
#elif defined(__AVX2__)
#define NATIVE(OP, a, b) _mm256_##OP##_ps((__m256)(a), (__m256)(b))
#elif defined(__SSE__)
#define NATIVE(OP, a, b) _mm_##OP##_ps((__m128)(a), (__m128)(b))
#elif defined(__aarch64__)
#define NATIVE(OP, a, b) v##OP##q_f32((float32x4_t)(a), (float32x4_t)(b))
#endif
#ifdef NATIVE
INLINE vf greater(vf a, vf b) { return (vf)NATIVE(max, a, b); }
INLINE vf lesser(vf a, vf b) { return (vf)NATIVE(min, a, b); }
#else
INLINE vf greater(vf a, vf b) { return pick(a > b, a, b); }
INLINE vf lesser(vf a, vf b) { return pick(a < b, a, b); }
#endif

/* What happens to a tile on its way to memory: y = (x w + bias) * scale + add. A null pointer leaves its step out. */
typedef struct {
    const float *bias;  /* [N] */
    const float *scale; /* [1 or T, N] */
    const float *add;   /* [T, N] */
    long ld_scale, ld_add;
} Epilogue;

/* acc[m][v] = sum over k of P[k][v] * x[m][k] for `mr` rows and `np` neighbouring panels; mr and np are literals at every call.
 * On the way lines are fetched into the cache for later: from `ahead` on, `stride` bytes further at each k. */
INLINE void tile_f32(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, long K,
                     const char *ahead, long stride, vf acc[][NV * MAX_PANELS]) {
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] = (vf){0};
    for (long k = 0; k < K; k++, ahead += stride) {
        vf w[NV * MAX_PANELS];
        UNROLL for (int p = 0; p < np; p++) {
            __builtin_prefetch(ahead + p * panel * 4);
            UNROLL for (int v = 0; v < NV; v++) w[p * NV + v] = load((const float *)P + p * panel + k * NR + v * VL);
        }
        UNROLL for (int m = 0; m < mr; m++) {
            const float xk = x[m * ldx + k];
            UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] += w[v] * xk;
        }
    }
}

/* In bf16 a 32-bit lane of weights is those of two outputs: c in the low half, c + NR / 2 in the high one. (Two neighbouring k in a lane
 * would need twice the registers, which leaves too few for six rows on AVX2.) */
INLINE void widen(const vu *pairs, vf w[NV]) {
    UNROLL for (int v = 0; v < NV / 2; v++) w[v] = (vf)(pairs[v] << 16), w[NV / 2 + v] = (vf)(pairs[v] & 0xffff0000u);
}

INLINE void step_bf16(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, vf acc[][NV * MAX_PANELS]) {
    vf w[NV * MAX_PANELS];
    UNROLL for (int p = 0; p < np; p++) {
        vu pairs[NV / 2];
        UNROLL for (int v = 0; v < NV / 2; v++) pairs[v] = load_u32(P + p * panel + v * VL);
        widen(pairs, w + p * NV);
    }
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] += w[v] * x[m * ldx];
}

/* As tile_f32, of lanes in bf16, two steps of which are a line. */
INLINE void tile_bf16(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, long K,
                      const char *ahead, long stride, vf acc[][NV * MAX_PANELS]) {
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] = (vf){0};
    long k = 0;
    for (; k + 1 < K; k += 2, ahead += 2 * stride, P += NR) {
        UNROLL for (int p = 0; p < np; p++) __builtin_prefetch(ahead + p * panel * 4);
        step_bf16(mr, np, P, panel, x + k, ldx, acc);
        step_bf16(mr, np, P + NR / 2, panel, x + k + 1, ldx, acc);
    }
    if (k < K) step_bf16(mr, np, P, panel, x + k, ldx, acc);
}

/* bf16 in 12 bits, for rows that come one at a time and wait for memory: the low byte of each weight, which is noise, as it is, and a
 * code of 4 bits for the other, of sign and exponent, of which a panel has hardly more than 16. Nothing is lost, since a row of weights
 * (one k of a panel) with a byte that has no code is kept aside as well. A panel:
 *
 *   CODED_HEAD words   the table: the byte of each code; then how many words further its odd rows are
 *   K / UNIT units     REG low bytes, REG more, and REG codes: of the first in the low halves, of the others in the high ones.
 *                      Interleaved with low bytes, what codes stand for makes the 32-bit lanes of UNIT rows as above
 *
 * and an odd row: its k, then its NR / 2 lanes; after the last one, NO_ROW.
 */
#define REG (VL * 4)                            /* bytes in a register */
#define UNIT (8 / NV)
#define CODED_HEAD 16
#define CODED_PANEL(K) (CODED_HEAD + (K) / UNIT * (3 * VL))
#define CAN_CODE(K) ((K) % UNIT == 0 && (K) <= (1 << 17) / NR) /* a panel of bf16 fits a thread's stack: 256 KB */
#define ODD_ROW (1 + NR / 2)
#define NO_ROW 0xffffffffu
typedef uint8_t vb __attribute__((vector_size(REG)));
typedef uint8_t vb_mem __attribute__((vector_size(REG), aligned(1), may_alias));
typedef uint16_t vh __attribute__((vector_size(REG)));

INLINE vb load_bytes(const void *p) { return (vb) * (const vb_mem *)p; }
INLINE void store_bytes(void *p, vb v) { *(vb_mem *)p = v; }
/* Quarters are of 16 bytes. A table in each quarter of a register. */
INLINE vb table_of(const uint32_t *p) {
    vb r;
    for (int i = 0; i < REG; i += 16) memcpy((char *)&r + i, p, 16);
    return r;
}
/* What a table has for each code; two registers interleaved, quarter by quarter: their lower halves, and the upper ones; and back: the
 * bytes of two registers of words below 256, quarter by quarter. */
#if defined(__AVX512BW__) && VL == 16
#define BYTES(OP, a, b) ((vb)_mm512_##OP((__m512i)(a), (__m512i)(b)))
#elif defined(__AVX2__) && VL == 8
#define BYTES(OP, a, b) ((vb)_mm256_##OP((__m256i)(a), (__m256i)(b)))
#elif defined(__SSSE3__) && VL == 4
#define BYTES(OP, a, b) ((vb)_mm_##OP((__m128i)(a), (__m128i)(b)))
#endif
#ifdef BYTES
INLINE vb look_up(vb table, vb codes) { return BYTES(shuffle_epi8, table, codes); }
INLINE vb lower(vb a, vb b) { return BYTES(unpacklo_epi8, a, b); }
INLINE vb upper(vb a, vb b) { return BYTES(unpackhi_epi8, a, b); }
INLINE vb packed(vh a, vh b) { return BYTES(packus_epi16, a, b); }
#elif defined(__aarch64__)
INLINE vb look_up(vb table, vb codes) { return (vb)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)codes); }
INLINE vb lower(vb a, vb b) { return (vb)vzip1q_u8((uint8x16_t)a, (uint8x16_t)b); }
INLINE vb upper(vb a, vb b) { return (vb)vzip2q_u8((uint8x16_t)a, (uint8x16_t)b); }
INLINE vb packed(vh a, vh b) { return (vb)vuzp1q_u8((uint8x16_t)a, (uint8x16_t)b); }
#else
INLINE vb look_up(vb table, vb codes) {
    for (int i = 0; i < REG; i++) codes[i] = table[codes[i]];
    return codes;
}
INLINE vb interleaved(vb a, vb b, int from) {
    vb r;
    for (int i = 0; i < REG; i++) r[i] = i % 2 ? b[from + i / 2] : a[from + i / 2];
    return r;
}
INLINE vb lower(vb a, vb b) { return interleaved(a, b, 0); }
INLINE vb upper(vb a, vb b) { return interleaved(a, b, REG / 2); }
INLINE vb packed(vh a, vh b) {
    vb r;
    for (int i = 0; i < REG; i++) r[i] = i < REG / 2 ? a[i] : b[i - REG / 2];
    return r;
}
#endif
INLINE vb evens(vb a, vb b) { return packed((vh)a & 255, (vh)b & 255); }
INLINE vb odds(vb a, vb b) { return packed((vh)a >> 8, (vh)b >> 8); }

/* The lanes of a unit. */
INLINE void decode(const uint32_t *unit, vb table, vu pairs[4]) {
    const vb low = load_bytes(unit), more = load_bytes(unit + VL), codes = load_bytes(unit + 2 * VL);
    const vb high = look_up(table, codes & 15), higher = look_up(table, codes >> 4);
    pairs[0] = (vu)lower(low, high), pairs[1] = (vu)upper(low, high);
    pairs[2] = (vu)lower(more, higher), pairs[3] = (vu)upper(more, higher);
}

/* UNIT steps, from k on, of panel p; with odd rows there may be some in it, which take their places: the next one is at *odd. */
INLINE void steps_coded(const int mr, const int p, const int odd_rows, const uint32_t *P, vb table, const uint32_t **odd, long k,
                        const float *x, long ldx, vf acc[][NV * MAX_PANELS]) {
    vu unit[4];
    decode(P, table, unit);
    if (odd_rows)
        for (; (*odd)[0] < k + UNIT; *odd += ODD_ROW) memcpy((word *)unit + ((*odd)[0] - k) * (NR / 2), *odd + 1, NR / 2 * 4);
    UNROLL for (int j = 0; j < UNIT; j++) {
        vf w[NV];
        widen(unit + j * NV / 2, w);
        UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV; v++) acc[m][p * NV + v] += w[v] * x[m * ldx + j];
    }
}

/* As tile_bf16, of panels in 12 bits: up to the next unit with an odd row, then that one, and so on. */
INLINE void tile_coded(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, long K,
                       const char *ahead, long stride, vf acc[][NV * MAX_PANELS]) {
    vb table[MAX_PANELS];
    const uint32_t *odd[MAX_PANELS];
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] = (vf){0};
    UNROLL for (int p = 0; p < np; p++) table[p] = table_of(P + p * panel), odd[p] = P + p * panel + P[p * panel + 4];
    P += CODED_HEAD;
    for (long k = 0; k < K; k += UNIT, ahead += UNIT * stride, P += 3 * VL) {
        long stop = K;
        UNROLL for (int p = 0; p < np; p++) stop = odd[p][0] < stop ? odd[p][0] / UNIT * UNIT : stop;
        for (; k < stop; k += UNIT, ahead += UNIT * stride, P += 3 * VL) {
            UNROLL for (int p = 0; p < np; p++) {
                __builtin_prefetch(ahead + p * panel * 4);
                steps_coded(mr, p, 0, P + p * panel, table[p], &odd[p], k, x + k, ldx, acc);
            }
        }
        if (k == K) break;
        UNROLL for (int p = 0; p < np; p++) steps_coded(mr, p, 1, P + p * panel, table[p], &odd[p], k, x + k, ldx, acc);
    }
}

/* The lanes of a panel, [K][NR/2]. */
static void decode_panel(const uint32_t *P, long K, vu *lanes) {
    const vb table = table_of(P);
    const uint32_t *odd = P + P[4];
    P += CODED_HEAD;
    for (long k = 0; k < K; k += UNIT, P += 3 * VL) decode(P, table, lanes + k * NR / 2 / VL);
    for (; odd[0] != NO_ROW; odd += ODD_ROW) memcpy((word *)lanes + odd[0] * (NR / 2), odd + 1, NR / 2 * 4);
}

/* Whether every weight of a row has a code; tops: what codes stand for, as the upper bytes of words without sign. */
INLINE int has_codes(const uint32_t *row, const vh tops[8]) {
    uint64_t known[REG / 8], all = ~(uint64_t)0;
    for (int v = 0; v < NV / 2; v++) {
        const vh words = (vh)load_u32(row + v * VL) & 0x7f00;
        vh found = {0};
        for (int i = 0; i < 8; i++) found |= (vh)(words == tops[i]);
        memcpy(known, &found, REG);
        for (int i = 0; i < REG / 8; i++) all &= known[i];
    }
    return all == ~(uint64_t)0;
}

INLINE void tops_of(const uint8_t *table, vh tops[8]) {
    for (int i = 0; i < 8; i++) tops[i] = (vh){0} + (uint16_t)(table[i] << 8);
}

/* The number of odd rows of a panel of bf16, `lanes`; and its table: the most frequent upper bytes, without sign and with it. */
static long choose_codes(const uint32_t *lanes, long K, uint8_t table[16]) {
    int counts[4][128] = {{0}};                                /* by place, since to count the same again at once takes longer */
    long odd = 0;
    vh tops[8];
    for (long i = 0; i < K * NR / 2; i++) {
        counts[i & 1][lanes[i] >> 8 & 127]++;
        counts[2 + (i & 1)][lanes[i] >> 24 & 127]++;
    }
    for (int b = 0; b < 128; b++) counts[0][b] += counts[1][b] + counts[2][b] + counts[3][b];
    for (int code = 0; code < 8; code++) {
        int most = 0;
        for (int b = 1; b < 128; b++) most = counts[0][b] > counts[0][most] ? b : most;
        table[code] = most, table[code + 8] = most | 128;
        counts[0][most] = -1;
    }
    tops_of(table, tops);
    for (long k = 0; k < K; k++) odd += !has_codes(lanes + k * (NR / 2), tops);
    return odd;
}

/* The codes of upper bytes; any, where there is none. */
INLINE vb codes_of(vb bytes, const uint8_t *table) {
    vb codes = bytes >> 7 << 3;
    for (int i = 1; i < 8; i++) codes |= (vb)((bytes & 127) == table[i]) & (uint8_t)i;
    return codes;
}

/* A panel in 12 bits, with a table for all but its odd rows, which go to `odd`. */
static void encode(const uint32_t *lanes, long K, uint32_t *panel, uint32_t *odd) {
    const uint8_t *table = (const uint8_t *)panel;
    vh tops[8];
    tops_of(table, tops);
    memset(panel + 4, 0, (CODED_HEAD - 4) * 4);
    panel[4] = odd - panel;
    for (long k = 0; k < K; k++) {
        if (has_codes(lanes + k * (NR / 2), tops)) continue;
        odd[0] = k;
        memcpy(odd + 1, lanes + k * (NR / 2), NR / 2 * 4);
        odd += ODD_ROW;
    }
    odd[0] = NO_ROW;
    panel += CODED_HEAD;
    for (long k = 0; k < K; k += UNIT, lanes += 4 * VL, panel += 3 * VL) {
        const vb a = load_bytes(lanes), b = load_bytes(lanes + VL), c = load_bytes(lanes + 2 * VL), d = load_bytes(lanes + 3 * VL);
        store_bytes(panel, evens(a, b));
        store_bytes(panel + VL, evens(c, d));
        store_bytes(panel + 2 * VL, codes_of(odds(a, b), table) | codes_of(odds(c, d), table) << 4);
    }
}

/* Whether the odd rows of a panel, of which `room` words follow its start, are where they can be. */
static int odd_rows_fit(const uint32_t *panel, long room, long K) {
    long at = panel[4], last = -1;
    for (; at < room && panel[at] != NO_ROW; last = panel[at], at += ODD_ROW)
        if (panel[at] >= K || (long)panel[at] <= last) return 0;
    return at < room;
}

/* int8: a 32-bit lane holds four consecutive k as signed bytes within -127 .. 127. A panel of weights is [K/4 + 1][NR] lanes, the last
 * row being the scale of each output, a float; a row of x is ROW8(K) words: K/4 of them, its scale, and the sum of its bytes.
 * Sums of bytes are exact in int32 up to K = MAX_K8, so a result does not depend on the order, nor on the instruction set.
 *
 *   dot4(acc, w, x)  acc += w[0] x[0] + w[1] x[1] + w[2] x[2] + w[3] x[3] in each lane
 *   WEIGHT_OFFSET    what dot4 adds to each w, because its instruction wants one side unsigned: taken back through the sum of x
 */
#define DEPTH8(K) (((K) + 3) / 4)
#define ROW8(K) (DEPTH8(K) + 2)
#define MAX_K8 65536
#define WEIGHT_OFFSET 0
#if defined(__AVX512VNNI__) && VL == 16
#undef WEIGHT_OFFSET
#define WEIGHT_OFFSET 128
INLINE vi dot4(vi acc, vi w, vi x) {
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)(w ^ (int32_t)0x80808080), (__m512i)x);
}
#elif defined(__AVXVNNI__) && VL == 8
#undef WEIGHT_OFFSET
#define WEIGHT_OFFSET 128
INLINE vi dot4(vi acc, vi w, vi x) {
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)(w ^ (int32_t)0x80808080), (__m256i)x);
}
#elif defined(__AVX512BW__) && VL == 16 /* |x| times w with the sign of x: a pair is at most 2 * 127 * 127, which 16 bits hold */
INLINE vi dot4(vi acc, vi w, vi x) {
    const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi16(1);
    const __m512i wx = _mm512_mask_sub_epi8((__m512i)w, _mm512_movepi8_mask((__m512i)x), zero, (__m512i)w);
    return acc + (vi)_mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_abs_epi8((__m512i)x), wx), one);
}
#elif defined(__AVX2__) && VL == 8
INLINE vi dot4(vi acc, vi w, vi x) {
    const __m256i xw = _mm256_sign_epi8((__m256i)x, (__m256i)w);
    return acc + (vi)_mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), xw), _mm256_set1_epi16(1));
}
#elif defined(__SSSE3__) && VL == 4
INLINE vi dot4(vi acc, vi w, vi x) {
    const __m128i xw = _mm_sign_epi8((__m128i)x, (__m128i)w);
    return acc + (vi)_mm_madd_epi16(_mm_maddubs_epi16(_mm_abs_epi8((__m128i)w), xw), _mm_set1_epi16(1));
}
#elif defined(__ARM_FEATURE_DOTPROD)
INLINE vi dot4(vi acc, vi w, vi x) { return (vi)vdotq_s32((int32x4_t)acc, (int8x16_t)w, (int8x16_t)x); }
#elif defined(__aarch64__)
INLINE vi dot4(vi acc, vi w, vi x) {
    const int16x8_t low = vmull_s8(vget_low_s8((int8x16_t)w), vget_low_s8((int8x16_t)x));
    const int16x8_t high = vmull_high_s8((int8x16_t)w, (int8x16_t)x);
    return (vi)vpadalq_s16((int32x4_t)acc, vpaddq_s16(low, high));
}
#else
INLINE vi dot4(vi acc, vi w, vi x) {
    UNROLL for (int i = 0; i < 32; i += 8) acc += ((w << (24 - i)) >> 24) * ((x << (24 - i)) >> 24);
    return acc;
}
#endif

/* Whole numbers within -127 .. 127 as bytes. */
INLINE v8 narrowed(vi whole) {
#if defined(__AVX2__) && VL == 8 /* GCC 12 would take them out one by one */
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)whole), _mm256_extracti128_si256((__m256i)whole, 1));
    return (v8)_mm_cvtsi128_si64(_mm_packs_epi16(words, words));
#else
    return __builtin_convertvector(whole, v8);
#endif
}

/* Floats within -127 .. 127 as whole numbers, the first `n` of them also as bytes at q. */
INLINE vi rounded(vf v, int8_t *q, long n) {
    ROUNDED(v);
    const vi whole = (vi)(v + 12582912.0f) - 0x4b400000; /* 1.5 * 2^23: no room for a fraction, which is rounded to even */
    const v8 bytes = narrowed(whole);
    memcpy(q, &bytes, n);
    return whole;
}

/* K floats as a row of bytes (see above): x is about byte * scale. The same bits on every machine; a row of zeros has scale 0. */
static void quantize_row(const float *x, long K, uint32_t *row) {
    const long D = DEPTH8(K), vectors = K / VL * VL;
    int8_t *q = (int8_t *)row;
    vf top = {0}, tail = {0};
    vi total = {0};
    memcpy(&tail, x + vectors, (K - vectors) * sizeof(float));
    for (long k = 0; k < vectors; k += VL) top = greater((vf)((vi)load(x + k) & 0x7fffffff), top);
    top = greater((vf)((vi)tail & 0x7fffffff), top);
    float most = 0;
    for (int i = 0; i < VL; i++) most = top[i] > most ? top[i] : most;
    const float scale = most > 1e-30f ? most / 127 : 0;
    const float inverse = most > 1e-30f ? 127 / most : 0;
    for (long k = 0; k < vectors; k += VL) total += rounded(load(x + k) * inverse, q + k, VL);
    total += rounded(tail * inverse, q + vectors, 4 * D - vectors);
    int32_t sum = 0;
    for (int i = 0; i < VL; i++) sum += total[i];
    memcpy(row + D, &scale, 4);
    memcpy(row + D + 1, &sum, 4);
}

/* As the others, but that x is rows of bytes. */
INLINE void tile_int8(const int mr, const int np, const uint32_t *P, long panel, const float *rows, long ldx, long K,
                      const char *ahead, long stride, vf acc[][NV * MAX_PANELS]) {
    const word *x = (const word *)rows;
    const long D = DEPTH8(K);
    vi total[MR][NV * MAX_PANELS];
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++)
        total[m][v] = (vi){0} - (int32_t)x[m * ldx + D + 1] * WEIGHT_OFFSET;
    for (long k = 0; k < D; k++, ahead += stride) {
        vi w[NV * MAX_PANELS];
        UNROLL for (int p = 0; p < np; p++) {
            __builtin_prefetch(ahead + p * panel * 4);
            UNROLL for (int v = 0; v < NV; v++) w[p * NV + v] = (vi)load_u32(P + p * panel + k * NR + v * VL);
        }
        UNROLL for (int m = 0; m < mr; m++) {
            const vi four = (vi){0} + (int32_t)x[m * ldx + k];
            UNROLL for (int v = 0; v < NV * np; v++) total[m][v] = dot4(total[m][v], w[v], four);
        }
    }
    UNROLL for (int m = 0; m < mr; m++) {
        const float scale = rows[m * ldx + D];
        UNROLL for (int p = 0; p < np; p++) UNROLL for (int v = 0; v < NV; v++) {
            const vf scales = load((const float *)(P + p * panel + D * NR + v * VL));
            vf r = __builtin_convertvector(total[m][p * NV + v], vf) * scales * scale;
            ROUNDED(r);
            acc[m][p * NV + v] = r;
        }
    }
}

/* Finish and store `mr` rows of one panel, of which `n` columns exist (the last panel may be padded). */
INLINE void finish(const int mr, const int first, vf acc[][NV * MAX_PANELS], const Epilogue *e, float *y, long ldy, long n) {
    UNROLL for (int v = 0; v < NV; v++) {
        const long at = v * VL;
        if (at + VL <= n) {
            UNROLL for (int m = 0; m < mr; m++) {
                vf r = acc[m][first + v];
                if (e->bias) r += load(e->bias + at);
                if (e->scale) r *= load(e->scale + m * e->ld_scale + at);
                ROUNDED(r);
                if (e->add) r += load(e->add + m * e->ld_add + at);
                store(y + m * ldy + at, r);
            }
        } else {
            UNROLL for (int m = 0; m < mr; m++) {
                float part[VL];
                store(part, acc[m][first + v]);
                for (long c = at; c < n; c++) {
                    float r = part[c - at];
                    if (e->bias) r += e->bias[c];
                    if (e->scale) r *= e->scale[m * e->ld_scale + c];
                    ROUNDED(r);
                    if (e->add) r += e->add[m * e->ld_add + c];
                    y[m * ldy + c] = r;
                }
            }
        }
    }
}

INLINE Epilogue epilogue_at(const Epilogue *e, long row, long col) {
    Epilogue r = *e;
    if (r.bias) r.bias += col;
    if (r.scale) r.scale += row * r.ld_scale + col;
    if (r.add) r.add += row * r.ld_add + col;
    return r;
}

/* A tile, finished and stored: `rows` rows times `np` neighbouring panels, n columns in all. Each is a function of its own, since
 * GCC runs out of registers once it has inlined them into one another. */
#define DEFINE_TILE(LOOP, ROWS, PANELS) DEFINE_TILE_(LOOP, ROWS, PANELS)
#define DEFINE_TILE_(LOOP, ROWS, PANELS)                                                                                      \
    static __attribute__((noinline)) void LOOP##_##ROWS##x##PANELS(                                                           \
        const uint32_t *P, long panel, const float *x, long ldx, long K, const char *ahead, long stride, const Epilogue *e,   \
        float *y, long ldy, long n) {                                                                                         \
        vf acc[ROWS][NV * MAX_PANELS];                                                                                        \
        LOOP(ROWS, PANELS, P, panel, x, ldx, K, ahead, stride, acc);                                                          \
        for (int p = 0; p < PANELS; p++) {                                                                                    \
            const Epilogue at = epilogue_at(e, 0, p * NR);                                                                    \
            finish(ROWS, p * NV, acc, &at, y + p * NR, ldy, n - p * NR < NR ? n - p * NR : NR);                               \
        }                                                                                                                     \
    }

typedef void (*Tile)(const uint32_t *, long, const float *, long, long, const char *, long, const Epilogue *, float *, long, long);
#if MR == 8
#define TALL_TILES(LOOP) DEFINE_TILE(LOOP, 7, 1) DEFINE_TILE(LOOP, 8, 1)
#define TALL_NAMES(LOOP) , LOOP##_7x1, LOOP##_8x1
#else
#define TALL_TILES(LOOP)
#define TALL_NAMES(LOOP)
#endif
/* y[0:T, 0:n] = rows of x times one panel, in blocks of at most MR rows, which are as equal as can be: 16 rows are 6 + 5 + 5, not
 * 6 + 6 + 4. Each block fetches a part of the panel at `next`, of `step` bytes a k, which memory has that much longer to bring. */
#define DEFINE_BLOCKS(NAME, LOOP)                                                                                             \
    DEFINE_TILE(LOOP, 1, 1)                                                                                                   \
    DEFINE_TILE(LOOP, 2, 1)                                                                                                   \
    DEFINE_TILE(LOOP, 3, 1)                                                                                                   \
    DEFINE_TILE(LOOP, 4, 1)                                                                                                   \
    DEFINE_TILE(LOOP, 5, 1)                                                                                                   \
    DEFINE_TILE(LOOP, 6, 1)                                                                                                   \
    TALL_TILES(LOOP)                                                                                                          \
    static void NAME##_blocks(const uint32_t *P, const float *x, long ldx, long T, long K, const char *next, long step,       \
                              const Epilogue *e, float *y, long ldy, long n) {                                                \
        static const Tile tiles[] = {                                                                                         \
            0, LOOP##_1x1, LOOP##_2x1, LOOP##_3x1, LOOP##_4x1, LOOP##_5x1, LOOP##_6x1 TALL_NAMES(LOOP)};                      \
        const long blocks = (T + MR - 1) / MR;                                                                                \
        for (long b = 0, t = 0; b < blocks; b++) {                                                                            \
            const long rows = (T - t + blocks - b - 1) / (blocks - b);                                                        \
            const Epilogue at = epilogue_at(e, t, 0);                                                                         \
            tiles[rows](P, 0, x + t * ldx, ldx, K, next + K * step / blocks * b, step / blocks, &at, y + t * ldy, ldy, n);    \
            t += rows;                                                                                                        \
        }                                                                                                                     \
    }

#define AHEAD 512
#define WIDE(LOOP, PANELS) WIDE_(LOOP, PANELS) /* one more level, so that MAX_PANELS becomes its number */
#define WIDE_(LOOP, PANELS) LOOP##_1x##PANELS
/* The same of `panels` neighbouring panels, of STEP bytes a k: MAX_PANELS of them if T is 1, for which weights are fetched AHEAD bytes
 * before they are needed. */
#define DEFINE_PANELS(NAME, LOOP, STEP)                                                                                       \
    DEFINE_TILE(LOOP, 1, MAX_PANELS)                                                                                          \
    static void NAME(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K, const Epilogue *e, \
                     float *y, long ldy, long n) {                                                                            \
        if (panels == MAX_PANELS) {                                                                                           \
            WIDE(LOOP, MAX_PANELS)(P, panel, x, ldx, K, (const char *)P + AHEAD, STEP, e, y, ldy, n);                         \
            return;                                                                                                           \
        }                                                                                                                     \
        for (long p = 0; p < panels; p++, P += panel, y += NR, n -= NR) {                                                     \
            const Epilogue at = epilogue_at(e, 0, p * NR);                                                                    \
            NAME##_blocks(P, x, ldx, T, K, (const char *)(P + panel), STEP, &at, y, ldy, n < NR ? n : NR);                    \
        }                                                                                                                     \
    }

DEFINE_BLOCKS(panels_f32, tile_f32)
DEFINE_BLOCKS(panels_bf16, tile_bf16)
DEFINE_BLOCKS(panels_int8, tile_int8)
DEFINE_PANELS(panels_f32, tile_f32, NR * 4)
DEFINE_PANELS(panels_bf16, tile_bf16, NR * 2)
DEFINE_PANELS(panels_int8, tile_int8, NR * 4)

/* Of panels in 12 bits. For more than a few rows one is written out first. */
DEFINE_TILE(tile_coded, 1, 1)
DEFINE_TILE(tile_coded, 2, 1)
DEFINE_TILE(tile_coded, 3, 1)
static void panels_coded_blocks(const uint32_t *P, const float *x, long ldx, long T, long K, const char *next, long step,
                                const Epilogue *e, float *y, long ldy, long n) {
    static const Tile tiles[] = {0, tile_coded_1x1, tile_coded_2x1, tile_coded_3x1};
    if (T <= 3) {
        tiles[T](P, 0, x, ldx, K, next, step, e, y, ldy, n);
    } else {
        vu lanes[K * NR / 2 / VL];
        decode_panel(P, K, lanes);
        panels_bf16_blocks((const uint32_t *)lanes, x, ldx, T, K, next, step, e, y, ldy, n);
    }
}
DEFINE_PANELS(panels_coded, tile_coded, NR * 3 / 2)

/* Sums in VL lanes, then over the lanes by halves, then the tail: an order that depends on n alone. */
INLINE float lanes(vf v) {
    UNROLL for (int half = VL / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; i++) v[i] += v[i + half];
    return v[0];
}

INLINE float sum(const float *a, long n) {
    vf s = {0};
    long i = 0;
    for (; i + VL <= n; i += VL) s += load(a + i);
    float r = lanes(s);
    for (; i < n; i++) r += a[i];
    return r;
}

/* sum of (a - mean)^2 */
INLINE float sum_of_squares(const float *a, float mean, long n) {
    vf s = {0};
    long i = 0;
    for (; i + VL <= n; i += VL) {
        const vf d = load(a + i) - mean;
        s += d * d;
    }
    float r = lanes(s);
    for (; i < n; i++) r += (a[i] - mean) * (a[i] - mean);
    return r;
}

/* exp of x <= 88 to within 1.5 ulp: 2^n * e^r with a degree-6 polynomial (Cephes' coefficients). Adding 1.5 * 2^23 leaves no room for
 * a fraction: the last bits of `rounded` are n, which go straight into the exponent. */
INLINE vf exp_v(vf x) {
    const vf zero = {0}, shift = zero + 12582912.0f;
    x = greater(zero - 87.0f, x);
    const vf rounded = x * 1.44269504f + shift, n = rounded - shift;
    const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (vf)((vu)p + ((vu)rounded << 23));
}

/* 1 / (1 + exp(-x)) times y */
INLINE vf sigmoid_times(vf x, vf y) {
    const vf zero = {0};
    return y / (exp_v(lesser(zero + 88.0f, -x)) + 1.0f);
}
INLINE vf silu_v(vf x) { return sigmoid_times(x, x); }
/* The tanh form: x / 2 * (1 + tanh(u)) = x * sigmoid(2 u). */
INLINE vf gelu_v(vf x) { return sigmoid_times((x * x * x * 0.044715f + x) * 1.5957691216f, x); }
INLINE vf elu_v(vf x) {
    const vf zero = {0};
    return greater(zero, x) + (exp_v(lesser(zero, x)) - 1.0f);
}

/* y = f(x) for n floats, y may be x; the tail goes through the same vector code, so an element's place does not matter. */
#define DEFINE_ROW(NAME, F)                                                                                                   \
    static void NAME(const float *x, float *y, long n) {                                                                      \
        long i = 0;                                                                                                           \
        for (; i + VL <= n; i += VL) store(y + i, F(load(x + i)));                                                            \
        if (i < n) {                                                                                                          \
            float tail[VL] = {0};                                                                                             \
            memcpy(tail, x + i, (n - i) * sizeof(float));                                                                     \
            store(tail, F(load(tail)));                                                                                       \
            memcpy(y + i, tail, (n - i) * sizeof(float));                                                                     \
        }                                                                                                                     \
    }
DEFINE_ROW(silu_row, silu_v)
DEFINE_ROW(gelu_row, gelu_v)
DEFINE_ROW(elu_row, elu_v)

/* w[p] = exp(w[p] - the greatest of them) for n weights; returns their sum. */
static float exp_weights(float *w, long n) {
    const vf zero = {0};
    vf top = zero - 3.4e38f, total = zero, tail = zero;
    long i = 0;
    for (; i + VL <= n; i += VL) top = greater(load(w + i), top);
    float most = top[0];
    for (int j = 1; j < VL; j++) most = top[j] > most ? top[j] : most;
    for (long j = i; j < n; j++) most = w[j] > most ? w[j] : most;
    for (i = 0; i + VL <= n; i += VL) {
        const vf e = exp_v(load(w + i) - most);
        store(w + i, e);
        total += e;
    }
    float r = lanes(total);
    memcpy(&tail, w + i, (n - i) * sizeof(float));
    tail = exp_v(tail - most);
    memcpy(w + i, &tail, (n - i) * sizeof(float));
    for (; i < n; i++) r += w[i];
    return r;
}

/* scores[p] = scale * dot(q, keys[p]) for n rows of width D, which begin ld floats apart. Several rows at a time: their sums overlap, and their lanes are added up
 * together, in the same order as by `lanes`. */
#ifdef __has_builtin /* GCC 12, Clang */
#if __has_builtin(__builtin_shufflevector)
#define SUMS
#endif
#endif
#ifdef SUMS
/* Lanes i0 .. i3 of each quarter of a and b put together, those of b counted from 4. */
#if VL == 16
#define B(i, q) ((i) < 4 ? (i) + 4 * (q) : (i) + 12 + 4 * (q))
#define QUARTERS(a, b, i0, i1, i2, i3)                                                                                        \
    __builtin_shufflevector(a, b, B(i0, 0), B(i1, 0), B(i2, 0), B(i3, 0), B(i0, 1), B(i1, 1), B(i2, 1), B(i3, 1),             \
                            B(i0, 2), B(i1, 2), B(i2, 2), B(i3, 2), B(i0, 3), B(i1, 3), B(i2, 3), B(i3, 3))
#elif VL == 8
#define B(i, q) ((i) < 4 ? (i) + 4 * (q) : (i) + 4 + 4 * (q))
#define QUARTERS(a, b, i0, i1, i2, i3)                                                                                        \
    __builtin_shufflevector(a, b, B(i0, 0), B(i1, 0), B(i2, 0), B(i3, 0), B(i0, 1), B(i1, 1), B(i2, 1), B(i3, 1))
#else
#define QUARTERS(a, b, i0, i1, i2, i3) __builtin_shufflevector(a, b, i0, i1, i2, i3)
#endif

/* VL vectors -> a vector of their sums. */
INLINE vf sums(const vf s[VL]) {
    vf r[4], t[2];
#if VL == 16
    vf h[8];
    UNROLL for (int i = 0; i < 8; i++)
        h[i] = __builtin_shufflevector(s[i], s[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               __builtin_shufflevector(s[i], s[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    UNROLL for (int i = 0; i < 4; i++)
        r[i] = __builtin_shufflevector(h[i], h[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) +
               __builtin_shufflevector(h[i], h[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
#elif VL == 8
    UNROLL for (int i = 0; i < 4; i++)
        r[i] = __builtin_shufflevector(s[i], s[i + 4], 0, 1, 2, 3, 8, 9, 10, 11) +
               __builtin_shufflevector(s[i], s[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
#else
    UNROLL for (int i = 0; i < 4; i++) r[i] = s[i];
#endif
    UNROLL for (int i = 0; i < 2; i++)
        t[i] = QUARTERS(r[2 * i], r[2 * i + 1], 0, 1, 4, 5) + QUARTERS(r[2 * i], r[2 * i + 1], 2, 3, 6, 7);
    return QUARTERS(t[0], t[1], 0, 2, 4, 6) + QUARTERS(t[0], t[1], 1, 3, 5, 7);
}
#endif

static void score(const float *q, const float *keys, long n, long ld, long D, float scale, float *scores) {
    long p = 0;
#ifdef SUMS
    if (D % VL == 0)
        for (; p + VL <= n; p += VL) {
            const float *k = keys + p * ld;
            vf s[VL];
            UNROLL for (int j = 0; j < VL; j++) s[j] = (vf){0};
            for (long i = 0; i < D; i += VL) {
                const vf x = load(q + i);
                UNROLL for (int j = 0; j < VL; j++) s[j] += x * load(k + j * ld + i);
            }
            store(scores + p, sums(s) * scale);
        }
#endif
    for (; p < n; p++) {
        const float *k = keys + p * ld;
        vf s = {0};
        long i = 0;
        for (; i + VL <= D; i += VL) s += load(q + i) * load(k + i);
        float r = lanes(s);
        for (; i < D; i++) r += q[i] * k[i];
        scores[p] = r * scale;
    }
}

/* y += sum over p of w[p] * values[p], of n rows of width D; up to 8 vectors of y stay in registers over all rows. */
#define MIX(COUNT)                                                                                                            \
    for (; i + (COUNT) * VL <= D; i += (COUNT) * VL) {                                                                        \
        vf s[COUNT];                                                                                                          \
        UNROLL for (int v = 0; v < (COUNT); v++) s[v] = load(y + i + v * VL);                                                 \
        for (long p = 0; p < n; p++) {                                                                                        \
            UNROLL for (int v = 0; v < (COUNT); v++) s[v] += load(values + p * D + i + v * VL) * w[p];                        \
        }                                                                                                                     \
        UNROLL for (int v = 0; v < (COUNT); v++) store(y + i + v * VL, s[v]);                                                 \
    }
static void mix(const float *w, const float *values, long n, long D, float *y) {
    long i = 0;
    MIX(8)
    MIX(2)
    MIX(1)
    for (; i < D; i++)
        for (long p = 0; p < n; p++) y[i] += w[p] * values[p * D + i];
}

/* What the machine gives to code that does nothing else, for bench.py: reads, summed up in 8 vectors; FMAs and products of bytes, summed
 * up in the MR * NV vectors of a full tile. */
static float read_probe(const float *x, long n) {
    vf s[8] = {{0}};
    __asm__ volatile("" ::: "memory"); /* each time anew */
    for (long i = 0; i + 8 * VL <= n; i += 8 * VL) UNROLL for (int v = 0; v < 8; v++) s[v] += load(x + i + v * VL);
    for (int v = 1; v < 8; v++) s[0] += s[v];
    return lanes(s[0]);
}

static float fma_probe(long rounds) { /* MR * NR FMAs a round */
    vf s[MR * NV];
    const vf zero = {0}, a = zero + 0.999f, b = zero + 0.001f;
    UNROLL_ALL for (int v = 0; v < MR * NV; v++) s[v] = zero + (float)v;
    for (long i = 0; i < rounds; i++) UNROLL_ALL for (int v = 0; v < MR * NV; v++) s[v] = s[v] * a + b;
    UNROLL_ALL for (int v = 1; v < MR * NV; v++) s[0] += s[v];
    return lanes(s[0]);
}

static float dot_probe(long rounds) { /* MR * NR times 4 products of bytes a round */
    vi s[MR * NV] = {{0}}, w[NV];
    int32_t x[64 + MR] = {0}, other[NR] = {0};
    __asm__ volatile("" : : "r"(x), "r"(other) : "memory"); /* who knows what is in there */
    UNROLL for (int v = 0; v < NV; v++) w[v] = (vi)load_u32((const uint32_t *)other + v * VL);
    for (long i = 0; i < rounds; i++) {
        UNROLL for (int v = 0; v < NV; v++) w[v] += 1;
        UNROLL for (int m = 0; m < MR; m++) {
            const vi four = (vi){0} + x[(i & 63) + m];
            UNROLL for (int v = 0; v < NV; v++) s[m * NV + v] = dot4(s[m * NV + v], w[v], four);
        }
    }
    UNROLL_ALL for (int v = 1; v < MR * NV; v++) s[0] += s[v];
    return lanes(__builtin_convertvector(s[0], vf));
}

/* Does this CPU run that instruction set? Asked of the plainest build, before another one is loaded. */
static int cpu_runs(const char *isa) {
#if defined(__x86_64__) || defined(__i386__)
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl") && avx2;
    if (!strcmp(isa, "avx512vnni")) return avx512 && __builtin_cpu_supports("avx512vnni");
    if (!strcmp(isa, "avx512")) return avx512;
    /* GCC 11 and earlier do not know the name. */
    if (!strcmp(isa, "avxvnni")) return avx2 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
    if (!strcmp(isa, "avx2")) return avx2;
#elif defined(__aarch64__) && defined(__APPLE__)
    return !strcmp(isa, "dotprod"); /* from the first M1 on */
#elif defined(__aarch64__) && defined(__linux__)
    return !strcmp(isa, "dotprod") && (getauxval(AT_HWCAP) >> 20 & 1); /* HWCAP_ASIMDDP */
#endif
    return 0;
}

#endif
