/* The inner loops that a compiler will not find by itself, on GCC/Clang vector types, so that one source serves SSE, AVX2,
 * AVX-512 and NEON. `_ops.pyx` is compiled once per instruction set (see setup.py) and includes this file.
 *
 *   VL  floats in a vector            NV  vectors across a panel            NR = VL * NV  outputs in a panel
 *   MR  rows of x in a full tile: MR * NV accumulators, NV weights and a broadcast fit the register file
 *   MR_BF16  the same with 2 NV weights, since bf16 come in pairs
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
#define MR_BF16 8
#elif defined(__AVX2__)
#define VL 8
#define NV 2
#define MR 6
#define MR_BF16 5
#elif defined(__ARM_NEON)
#define VL 4
#define NV 4
#define MR 6
#define MR_BF16 5
#else
#define VL 4
#define NV 2
#define MR 6
#define MR_BF16 5
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

/* What happens to a tile on its way to memory: y = (x w + bias) * scale + add. A null pointer leaves its step out. */
typedef struct {
    const float *bias;  /* [N] */
    const float *scale; /* [1 or T, N] */
    const float *add;   /* [T, N] */
    long ld_scale, ld_add;
} Epilogue;

/* acc[m][v] = sum over k of P[k][v] * x[m][k] for `mr` rows and `np` neighbouring panels; mr and np are literals at every call.
 * Weights are 32-bit lanes: an f32, or two bf16 (k even in the low half, k odd in the high half). */
INLINE void tile_f32(const int mr, const int np, const float *P, long panel, const float *x, long ldx, long K,
                     vf acc[][NV * MAX_PANELS]) {
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] = (vf){0};
    for (long k = 0; k < K; k++) {
        vf w[NV * MAX_PANELS];
        UNROLL for (int p = 0; p < np; p++) {
            const float *at = P + p * panel + k * NR;
            __builtin_prefetch((const char *)at + 4096);
            UNROLL for (int v = 0; v < NV; v++) w[p * NV + v] = load(at + v * VL);
        }
        UNROLL for (int m = 0; m < mr; m++) {
            const float xk = x[m * ldx + k];
            UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] += w[v] * xk;
        }
    }
}

INLINE void tile_bf16(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, long K,
                      vf acc[][NV * MAX_PANELS]) {
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] = (vf){0};
    for (long k = 0; k + 1 < K; k += 2) {
        UNROLL for (int p = 0; p < np; p++) {
            const uint32_t *at = P + p * panel + (k >> 1) * NR;
            vf w[2][NV];
            __builtin_prefetch((const char *)at + 4096);
            UNROLL for (int v = 0; v < NV; v++) {
                const vu pair = load_u32(at + v * VL);
                w[0][v] = (vf)(pair << 16);
                w[1][v] = (vf)(pair & 0xffff0000u);
            }
            UNROLL for (int half = 0; half < 2; half++) UNROLL for (int m = 0; m < mr; m++) {
                const float xk = x[m * ldx + k + half];
                UNROLL for (int v = 0; v < NV; v++) acc[m][p * NV + v] += w[half][v] * xk;
            }
        }
    }
    if (K & 1) {
        UNROLL for (int p = 0; p < np; p++) UNROLL for (int v = 0; v < NV; v++) {
            const vf even = (vf)(load_u32(P + p * panel + (K >> 1) * NR + v * VL) << 16);
            UNROLL for (int m = 0; m < mr; m++) acc[m][p * NV + v] += even * x[m * ldx + K - 1];
        }
    }
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
    const __m256i wx = _mm256_sign_epi8((__m256i)w, (__m256i)x);
    return acc + (vi)_mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)x), wx), _mm256_set1_epi16(1));
}
#elif defined(__SSSE3__) && VL == 4
INLINE vi dot4(vi acc, vi w, vi x) {
    const __m128i wx = _mm_sign_epi8((__m128i)w, (__m128i)x);
    return acc + (vi)_mm_madd_epi16(_mm_maddubs_epi16(_mm_abs_epi8((__m128i)x), wx), _mm_set1_epi16(1));
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

/* K floats as a row of bytes (see above): x is about byte * scale. The same bits on every machine; a row of zeros has scale 0. */
static void quantize_row(const float *x, long K, uint32_t *row) {
    const long D = DEPTH8(K);
    int8_t *q = (int8_t *)row;
    vf top = {0}, tail = {0};
    vi total = {0};
    memcpy(&tail, x + K / VL * VL, K % VL * sizeof(float));
    for (long k = 0; k < K; k += VL) {
        const vf v = k + VL <= K ? load(x + k) : tail, size = pick(v < 0, -v, v);
        top = pick(size > top, size, top);
    }
    float most = 0;
    for (int i = 0; i < VL; i++) most = top[i] > most ? top[i] : most;
    const float scale = most > 1e-30f ? most / 127 : 0;
    const float inverse = most > 1e-30f ? 127 / most : 0;
    for (long k = 0; k < K; k += VL) {
        vf v = (k + VL <= K ? load(x + k) : tail) * inverse;
        ROUNDED(v);
        const vi whole = (vi)(v + 12582912.0f) - 0x4b400000; /* 1.5 * 2^23: no room for a fraction, which is rounded to even */
        const v8 bytes = __builtin_convertvector(whole, v8);
        memcpy(q + k, &bytes, k + VL <= 4 * D ? VL : 4 * D - k);
        total += whole;
    }
    int32_t sum = 0;
    for (int i = 0; i < VL; i++) sum += total[i];
    memcpy(row + D, &scale, 4);
    memcpy(row + D + 1, &sum, 4);
}

/* As the others, but that x is rows of bytes. */
INLINE void tile_int8(const int mr, const int np, const uint32_t *P, long panel, const float *rows, long ldx, long K,
                      vf acc[][NV * MAX_PANELS]) {
    const word *x = (const word *)rows;
    const long D = DEPTH8(K);
    vi total[MR][NV * MAX_PANELS];
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++)
        total[m][v] = (vi){0} - (int32_t)x[m * ldx + D + 1] * WEIGHT_OFFSET;
    for (long k = 0; k < D; k++) {
        vi w[NV * MAX_PANELS];
        UNROLL for (int p = 0; p < np; p++) {
            const uint32_t *at = P + p * panel + k * NR;
            __builtin_prefetch((const char *)at + 4096);
            UNROLL for (int v = 0; v < NV; v++) w[p * NV + v] = (vi)load_u32(at + v * VL);
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
#define DEFINE_TILE(LOOP, WORD, ROWS, PANELS) DEFINE_TILE_(LOOP, WORD, ROWS, PANELS)
#define DEFINE_TILE_(LOOP, WORD, ROWS, PANELS)                                                                                 \
    static __attribute__((noinline)) void LOOP##_##ROWS##x##PANELS(                                                           \
        const WORD *P, long panel, const float *x, long ldx, long K, const Epilogue *e, float *y, long ldy, long n) {         \
        vf acc[ROWS][NV * MAX_PANELS];                                                                                        \
        LOOP(ROWS, PANELS, P, panel, x, ldx, K, acc);                                                                         \
        for (int p = 0; p < PANELS; p++) {                                                                                    \
            const Epilogue at = epilogue_at(e, 0, p * NR);                                                                    \
            finish(ROWS, p * NV, acc, &at, y + p * NR, ldy, n - p * NR < NR ? n - p * NR : NR);                               \
        }                                                                                                                     \
    }

/* y[0:T, 0:n] = rows of x times `panels` neighbouring panels: MAX_PANELS of them if T is 1, else one.
 * Blocks of at most TALLEST rows are as equal as can be: 16 rows are 6 + 5 + 5, not 6 + 6 + 4. */
#define DEFINE_PRODUCT(NAME, LOOP, WORD, TALLEST)                                                                             \
    DEFINE_TILE(LOOP, WORD, 1, 1)                                                                                             \
    DEFINE_TILE(LOOP, WORD, 2, 1)                                                                                             \
    DEFINE_TILE(LOOP, WORD, 3, 1)                                                                                             \
    DEFINE_TILE(LOOP, WORD, 4, 1)                                                                                             \
    DEFINE_TILE(LOOP, WORD, 5, 1)                                                                                             \
    DEFINE_TILE(LOOP, WORD, 6, 1)                                                                                             \
    TALL_TILES(LOOP, WORD)                                                                                                    \
    DEFINE_TILE(LOOP, WORD, 1, MAX_PANELS)                                                                                    \
    static void NAME(const WORD *P, long panel, long panels, const float *x, long ldx, long T, long K, const Epilogue *e,     \
                     float *y, long ldy, long n) {                                                                            \
        static void (*const tiles[])(const WORD *, long, const float *, long, long, const Epilogue *, float *, long, long) = {\
            0, LOOP##_1x1, LOOP##_2x1, LOOP##_3x1, LOOP##_4x1, LOOP##_5x1, LOOP##_6x1 TALL_NAMES(LOOP)};                      \
        if (panels == MAX_PANELS) {                                                                                           \
            WIDE(LOOP, MAX_PANELS)(P, panel, x, ldx, K, e, y, ldy, n);                                                        \
            return;                                                                                                           \
        }                                                                                                                     \
        for (long p = 0; p < panels; p++) {                                                                                   \
            const long cols = n - p * NR < NR ? n - p * NR : NR, blocks = (T + TALLEST - 1) / TALLEST;                        \
            for (long b = 0, t = 0; b < blocks; b++) {                                                                        \
                const long rows = (T - t + blocks - b - 1) / (blocks - b);                                                    \
                const Epilogue at = epilogue_at(e, t, p * NR);                                                                \
                tiles[rows](P + p * panel, panel, x + t * ldx, ldx, K, &at, y + t * ldy + p * NR, ldy, cols);                 \
                t += rows;                                                                                                    \
            }                                                                                                                 \
        }                                                                                                                     \
    }
#define WIDE(LOOP, PANELS) WIDE_(LOOP, PANELS) /* one more level, so that MAX_PANELS becomes its number */
#define WIDE_(LOOP, PANELS) LOOP##_1x##PANELS
#if MR == 8
#define TALL_TILES(LOOP, WORD) DEFINE_TILE(LOOP, WORD, 7, 1) DEFINE_TILE(LOOP, WORD, 8, 1)
#define TALL_NAMES(LOOP) , LOOP##_7x1, LOOP##_8x1
#else
#define TALL_TILES(LOOP, WORD)
#define TALL_NAMES(LOOP)
#endif
DEFINE_PRODUCT(panels_f32, tile_f32, float, MR)
DEFINE_PRODUCT(panels_bf16, tile_bf16, uint32_t, MR_BF16)
DEFINE_PRODUCT(panels_int8, tile_int8, uint32_t, MR)

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

/* exp to within 1.5 ulp: 2^n * e^r with a degree-6 polynomial (Cephes' coefficients). */
INLINE vf exp_v(vf x) {
    const vf zero = {0}, low = zero - 87.0f, high = zero + 88.0f;
    x = pick(x < low, low, x);
    x = pick(x > high, high, x);
    const vf z = x * 1.44269504f;
    const vi n = __builtin_convertvector(z + pick(z < zero, zero - 0.5f, zero + 0.5f), vi);
    const vf whole = __builtin_convertvector(n, vf);
    const vf r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * (vf)((n + 127) << 23);
}

INLINE vf silu_v(vf x) { return x / (exp_v(-x) + 1.0f); }
/* The tanh form: x / 2 * (1 + tanh(u)) = x * sigmoid(2 u). */
INLINE vf gelu_v(vf x) { return x / (exp_v((x * x * x * 0.044715f + x) * -1.5957691216f) + 1.0f); }
INLINE vf elu_v(vf x) {
    const vf zero = {0};
    return pick(x > zero, x, exp_v(pick(x < zero, x, zero)) - 1.0f);
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
DEFINE_ROW(exp_row, exp_v)
DEFINE_ROW(silu_row, silu_v)
DEFINE_ROW(gelu_row, gelu_v)
DEFINE_ROW(elu_row, elu_v)

/* scores[p] = scale * dot(q, keys[p]) for n rows of width D, four rows at a time so that their sums overlap. */
static void score(const float *q, const float *keys, long n, long D, float scale, float *scores) {
    long p = 0;
    for (; p + 4 <= n; p += 4) {
        const float *k = keys + p * D;
        vf s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        long i = 0;
        for (; i + VL <= D; i += VL) {
            const vf x = load(q + i);
            s0 += x * load(k + i);
            s1 += x * load(k + D + i);
            s2 += x * load(k + 2 * D + i);
            s3 += x * load(k + 3 * D + i);
        }
        float r[4] = {lanes(s0), lanes(s1), lanes(s2), lanes(s3)};
        for (; i < D; i++)
            for (int j = 0; j < 4; j++) r[j] += q[i] * k[j * D + i];
        for (int j = 0; j < 4; j++) scores[p + j] = scale * r[j];
    }
    for (; p < n; p++) {
        const float *k = keys + p * D;
        vf s = {0};
        long i = 0;
        for (; i + VL <= D; i += VL) s += load(q + i) * load(k + i);
        float r = lanes(s);
        for (; i < D; i++) r += q[i] * k[i];
        scores[p] = scale * r;
    }
}

/* y = sum over p of w[p] * values[p], of n rows of width D; up to 8 vectors of y stay in registers over all rows. */
#define MIX(COUNT)                                                                                                            \
    for (; i + (COUNT) * VL <= D; i += (COUNT) * VL) {                                                                        \
        vf s[COUNT];                                                                                                          \
        UNROLL for (int v = 0; v < (COUNT); v++) s[v] = (vf){0};                                                              \
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
    for (; i < D; i++) {
        float s = 0;
        for (long p = 0; p < n; p++) s += w[p] * values[p * D + i];
        y[i] = s;
    }
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
    vi s[MR * NV] = {{0}}, w[NV] = {{0}};
    int32_t x[64] = {0};
    __asm__ volatile("" : : "r"(x) : "memory"); /* who knows what is in there */
    for (long i = 0; i < rounds; i++) {
        UNROLL for (int v = 0; v < NV; v++) w[v] += 1;
        UNROLL for (int m = 0; m < MR; m++) {
            const vi four = (vi){0} + x[(i + m) & 63];
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
