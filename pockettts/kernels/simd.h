/* Vector types and operations of each instruction set. Every #if that depends on the instruction set is here. To add one: add a branch
 * to each ladder below, a name in `cpu_supports`, a line of compiler flags in setup.py, and a name in `_FASTEST_FIRST` in ops.py.
 *
 * The code is written with the vector types of GCC and Clang, so one source serves SSE, AVX2, AVX-512 and NEON. `_ops.pyx` is
 * compiled once for each instruction set and includes these headers:
 *
 *   simd.h     this file: vector types and what differs between instruction sets
 *   rows.h     operations on rows: sums, activations, softmax, dot products, int8 quantization
 *   bf16_12.h  bf16 weights in 12 bits
 *   gemm.h     matrix products in register tiles
 *   threads.h  number of threads of a kernel
 *
 *   VL  floats in a vector
 *   NV  vectors across a panel of weights
 *   NR  outputs in a panel, VL * NV
 *   MR  rows of x in the tallest tile: MR * NV sums, NV weights and a broadcast value fit the registers
 */
#ifndef POCKETTTS_SIMD_H
#define POCKETTTS_SIMD_H

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

/* --- sizes of vectors and tiles --- */

#if defined(__AVX512F__) || defined(EMULATE_512) /* EMULATE_512: its sizes without its instructions, see scripts/test_emulated.sh */
#define VL 16
#define NV 2
#define MR 14
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
#if NV == 2 /* The number of panels that one row of x is multiplied by at a time: 8 independent sums hide the latency of a multiply-add. */
#define MAX_PANELS 4
#else
#define MAX_PANELS 2
#endif

/* --- compilers --- */

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
/* Keeps the compiler from fusing the multiplication before it with the addition after it. It might fuse them in one tile and not in
 * another, and the bits would depend on the tile. */
#if defined(EMULATE_512)
#define ROUNDED(r) __asm__("" : "+m"(r))
#elif defined(__x86_64__) || defined(__i386__)
#define ROUNDED(r) __asm__("" : "+x"(r))
#elif defined(__aarch64__)
#define ROUNDED(r) __asm__("" : "+w"(r))
#else
#define ROUNDED(r)
#endif

/* --- vector types --- */

typedef float vf __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef int8_t v8 __attribute__((vector_size(VL)));
#define REG (VL * 4) /* bytes in a register */
typedef uint8_t vb __attribute__((vector_size(REG)));
typedef uint16_t vh __attribute__((vector_size(REG)));
/* For unaligned access; memcpy is several times slower with AVX2 on GCC 12. */
typedef float vf_mem __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint32_t vu_mem __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint8_t vb_mem __attribute__((vector_size(REG), aligned(1), may_alias));
typedef uint32_t word __attribute__((may_alias));

INLINE vf load(const float *p) { return (vf) * (const vf_mem *)p; }
INLINE vu load_u32(const uint32_t *p) { return (vu) * (const vu_mem *)p; }
INLINE vb load_u8(const void *p) { return (vb) * (const vb_mem *)p; }
INLINE void store(float *p, vf v) { *(vf_mem *)p = v; }
INLINE void store_u8(void *p, vb v) { *(vb_mem *)p = v; }
INLINE vf select_f32(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); } /* mask ? a : b */

/* --- max and min: b if a or b is NaN --- */

#if defined(__AVX512F__) && VL == 16
#define NATIVE(OP, a, b) _mm512_##OP##_ps((__m512)(a), (__m512)(b))
#elif defined(__AVX2__) && VL == 8
#define NATIVE(OP, a, b) _mm256_##OP##_ps((__m256)(a), (__m256)(b))
#elif defined(__SSE__) && VL == 4
#define NATIVE(OP, a, b) _mm_##OP##_ps((__m128)(a), (__m128)(b))
#elif defined(__aarch64__)
#define NATIVE(OP, a, b) v##OP##q_f32((float32x4_t)(a), (float32x4_t)(b))
#endif
#ifdef NATIVE
INLINE vf max_f32(vf a, vf b) { return (vf)NATIVE(max, a, b); }
INLINE vf min_f32(vf a, vf b) { return (vf)NATIVE(min, a, b); }
#else
INLINE vf max_f32(vf a, vf b) { return select_f32(a > b, a, b); }
INLINE vf min_f32(vf a, vf b) { return select_f32(a < b, a, b); }
#endif

/* --- bytes, in lanes of 16 ---
 *
 *   lookup(table, i)   table[i[j]] for each byte j, i < 16; every 16-byte lane of `table` holds the same 16 bytes
 *   unpack_lo, _hi     interleave the bytes of a and b from the lower (upper) half of each lane
 *   pack(a, b)         the inverse: 16-bit words below 256 as bytes; each lane holds a's, then b's
 */

#if defined(__AVX512BW__) && VL == 16
#define BYTES(OP, a, b) ((vb)_mm512_##OP((__m512i)(a), (__m512i)(b)))
#elif defined(__AVX2__) && VL == 8
#define BYTES(OP, a, b) ((vb)_mm256_##OP((__m256i)(a), (__m256i)(b)))
#elif defined(__SSSE3__) && VL == 4
#define BYTES(OP, a, b) ((vb)_mm_##OP((__m128i)(a), (__m128i)(b)))
#endif
#ifdef BYTES
INLINE vb lookup(vb table, vb i) { return BYTES(shuffle_epi8, table, i); }
INLINE vb unpack_lo(vb a, vb b) { return BYTES(unpacklo_epi8, a, b); }
INLINE vb unpack_hi(vb a, vb b) { return BYTES(unpackhi_epi8, a, b); }
INLINE vb pack(vh a, vh b) { return BYTES(packus_epi16, a, b); }
#elif defined(__aarch64__)
INLINE vb lookup(vb table, vb i) { return (vb)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)i); }
INLINE vb unpack_lo(vb a, vb b) { return (vb)vzip1q_u8((uint8x16_t)a, (uint8x16_t)b); }
INLINE vb unpack_hi(vb a, vb b) { return (vb)vzip2q_u8((uint8x16_t)a, (uint8x16_t)b); }
INLINE vb pack(vh a, vh b) { return (vb)vuzp1q_u8((uint8x16_t)a, (uint8x16_t)b); }
#else
INLINE vb lookup(vb table, vb i) {
    for (int j = 0; j < REG; j++) i[j] = table[i[j]];
    return i;
}
INLINE vb interleave(vb a, vb b, int from) {
    vb r;
    for (int i = 0; i < REG; i++) r[i] = i % 2 ? b[from + i / 2] : a[from + i / 2];
    return r;
}
INLINE vb unpack_lo(vb a, vb b) { return interleave(a, b, 0); }
INLINE vb unpack_hi(vb a, vb b) { return interleave(a, b, REG / 2); }
INLINE vb pack(vh a, vh b) {
    vb r;
    for (int i = 0; i < REG; i++) r[i] = i < REG / 2 ? a[i] : b[i - REG / 2];
    return r;
}
#endif

/* --- products of signed bytes within -127 .. 127 ---
 *
 *   dot4(acc, w, x)  acc += w[0] x[0] + w[1] x[1] + w[2] x[2] + w[3] x[3] in each 32-bit lane, exact
 *   WEIGHT_OFFSET    dot4 adds it to each w if the instruction has an unsigned operand; the caller subtracts WEIGHT_OFFSET * sum(x)
 */

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
#elif defined(__AVX512BW__) && VL == 16 /* |x| times w with the sign of x: a pair is at most 2 * 127 * 127, which fits 16 bits */
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

/* --- matrix units for signed bytes: ARM's i8mm, Intel's AMX ---
 *
 *   DEPTH_UNIT  words that they process at a time: rows of bytes are padded with zeros to a multiple of it
 */

#if defined(__ARM_FEATURE_MATMUL_INT8)
#define HAVE_MMLA 1
#define HAVE_AMX 0
#define DEPTH_UNIT 2
/* Two rows of x and two outputs, 8 k: acc[2 i + j] += dot(x[i], w[j]). */
INLINE vi mmla(vi acc, vi x, vi w) { return (vi)vmmlaq_s32((int32x4_t)acc, (int8x16_t)x, (int8x16_t)w); }
INLINE vi two_rows(const word *x0, const word *x1) { /* 8 bytes each */
    return (vi)vcombine_s32(vld1_s32((const int32_t *)x0), vld1_s32((const int32_t *)x1));
}
/* Words of four outputs at k and at the next four k -> outputs 0 and 1, outputs 2 and 3. */
INLINE vi outputs01(vu k0, vu k1) { return (vi)vzip1q_u32((uint32x4_t)k0, (uint32x4_t)k1); }
INLINE vi outputs23(vu k0, vu k1) { return (vi)vzip2q_u32((uint32x4_t)k0, (uint32x4_t)k1); }
/* Sums of outputs 0, 1 and of 2, 3 for two rows -> those of the first row, of the second row. */
INLINE vi first_row(vi a, vi b) { return (vi)vzip1q_s64((int64x2_t)a, (int64x2_t)b); }
INLINE vi second_row(vi a, vi b) { return (vi)vzip2q_s64((int64x2_t)a, (int64x2_t)b); }
#elif (defined(__AMX_INT8__) && VL == 16) || defined(EMULATE_AMX)
#define HAVE_MMLA 0
#define HAVE_AMX 1
#define DEPTH_UNIT 16
#ifdef EMULATE_AMX /* AMX instructions in C, to test the code that uses them */
static __thread struct {
    int rows[8], colsb[8];
    uint8_t data[8][16][64];
} tiles_;
static void emulated_loadconfig(const void *config) {
    memset(&tiles_, 0, sizeof tiles_);
    for (int t = 0; t < 8; t++) {
        uint16_t colsb;
        memcpy(&colsb, (const char *)config + 16 + 2 * t, 2);
        tiles_.colsb[t] = colsb, tiles_.rows[t] = ((const uint8_t *)config)[48 + t];
    }
}
static void emulated_release(void) { memset(&tiles_, 255, sizeof tiles_); }
static void emulated_loadd(int t, const void *p, long stride) {
    memset(tiles_.data[t], 0, sizeof tiles_.data[t]);
    for (int r = 0; r < tiles_.rows[t]; r++) memcpy(tiles_.data[t][r], (const char *)p + r * stride, tiles_.colsb[t]);
}
static void emulated_stored(int t, void *p, long stride) {
    for (int r = 0; r < tiles_.rows[t]; r++) memcpy((char *)p + r * stride, tiles_.data[t][r], tiles_.colsb[t]);
}
static void emulated_dpbssd(int c, int a, int b) {
    for (int m = 0; m < tiles_.rows[c]; m++)
        for (int k = 0; k < tiles_.colsb[a] / 4; k++)
            for (int n = 0; n < tiles_.colsb[c] / 4; n++)
                for (int i = 0; i < 4; i++)
                    ((int32_t *)tiles_.data[c][m])[n] += (int8_t)tiles_.data[a][m][4 * k + i] * (int8_t)tiles_.data[b][k][4 * n + i];
}
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#define _tile_loadconfig emulated_loadconfig
#define _tile_release emulated_release
#define _tile_loadd emulated_loadd
#define _tile_stored emulated_stored
#define _tile_dpbssd emulated_dpbssd
#endif
typedef struct { /* the operand of ldtilecfg */
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16]; /* bytes in a row of each tile */
    uint8_t rows[16];
} TileConfig;

/* sums[m][c] = sum over k of x[m][k] w[k][c], exact, for r0 + r1 <= 16 + 16 rows of x and the 32 outputs of a panel of int8 weights. D is
 * the depth in words, a multiple of 16. Tiles 0 .. 3 hold sums, 4 and 5 rows of x, 6 and 7 weights. */
static void amx_multiply(const int r0, const int r1, const word *x, long ldx, const uint32_t *w, long D, int32_t sums[][32]) {
    TileConfig config __attribute__((aligned(64)));
    memset(&config, 0, sizeof config);
    config.palette = 1;
    for (int t = 0; t < 8; t++) {
        config.rows[t] = t > 5 ? 16 : t == 2 || t == 3 || t == 5 ? r1 : r0;
        config.colsb[t] = config.rows[t] ? 64 : 0;
    }
    __asm__ volatile("" ::: "memory"); /* GCC's intrinsics do not say what memory they read */
    _tile_loadconfig(&config);         /* zeroes all tiles */
    for (long k = 0; k < D; k += 16) {
        _tile_loadd(6, w + k * 32, 128);
        _tile_loadd(7, w + k * 32 + 16, 128);
        _tile_loadd(4, x + k, ldx * 4);
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        if (r1) {
            _tile_loadd(5, x + 16 * ldx + k, ldx * 4);
            _tile_dpbssd(2, 5, 6);
            _tile_dpbssd(3, 5, 7);
        }
    }
    _tile_stored(0, sums[0], 128);
    _tile_stored(1, sums[0] + 16, 128);
    if (r1) {
        _tile_stored(2, sums[16], 128);
        _tile_stored(3, sums[16] + 16, 128);
    }
    _tile_release();
}
#else
#define HAVE_MMLA 0
#define HAVE_AMX 0
#define DEPTH_UNIT 1
#endif

/* Convert integers within -127 .. 127 to bytes. */
INLINE v8 narrow(vi v) {
#if defined(__AVX2__) && VL == 8 /* GCC 12 would extract them one by one */
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
    return (v8)_mm_cvtsi128_si64(_mm_packs_epi16(words, words));
#else
    return __builtin_convertvector(v, v8);
#endif
}

/* --- sum over the lanes of a vector: halves are added, in the same order on every instruction set with this VL --- */

INLINE float hsum(vf v) {
    UNROLL for (int half = VL / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; i++) v[i] += v[i + half];
    return v[0];
}

#ifdef __has_builtin /* GCC 12, Clang */
#if __has_builtin(__builtin_shufflevector)
#define HAVE_HSUMS
#endif
#endif
#ifdef HAVE_HSUMS
/* Picks elements i0 .. i3 in each 16-byte lane: 0 .. 3 are a's, 4 .. 7 are b's. */
#if VL == 16
#define AT(i, lane) ((i) < 4 ? (i) + 4 * (lane) : (i) + 12 + 4 * (lane))
#define SHUFFLE(a, b, i0, i1, i2, i3)                                                                                         \
    __builtin_shufflevector(a, b, AT(i0, 0), AT(i1, 0), AT(i2, 0), AT(i3, 0), AT(i0, 1), AT(i1, 1), AT(i2, 1), AT(i3, 1),     \
                            AT(i0, 2), AT(i1, 2), AT(i2, 2), AT(i3, 2), AT(i0, 3), AT(i1, 3), AT(i2, 3), AT(i3, 3))
#elif VL == 8
#define AT(i, lane) ((i) < 4 ? (i) + 4 * (lane) : (i) + 4 + 4 * (lane))
#define SHUFFLE(a, b, i0, i1, i2, i3)                                                                                         \
    __builtin_shufflevector(a, b, AT(i0, 0), AT(i1, 0), AT(i2, 0), AT(i3, 0), AT(i0, 1), AT(i1, 1), AT(i2, 1), AT(i3, 1))
#else
#define SHUFFLE(a, b, i0, i1, i2, i3) __builtin_shufflevector(a, b, i0, i1, i2, i3)
#endif

/* r[i] = hsum(s[i]) for VL vectors at once, in the order of `hsum`. */
INLINE vf hsums(const vf s[VL]) {
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
        t[i] = SHUFFLE(r[2 * i], r[2 * i + 1], 0, 1, 4, 5) + SHUFFLE(r[2 * i], r[2 * i + 1], 2, 3, 6, 7);
    return SHUFFLE(t[0], t[1], 0, 2, 4, 6) + SHUFFLE(t[0], t[1], 1, 3, 5, 7);
}
#endif

/* --- CPU detection: called in the "base" build, before another build is loaded --- */

#if defined(__x86_64__) && defined(__linux__)
/* Whether the CPU has AMX with int8 and Linux grants it to this process, which must ask for it. */
static int amx_granted(void) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    const int tile_and_int8 = 3 << 24, request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & tile_and_int8) == tile_and_int8 &&
           !syscall(SYS_arch_prctl, request, tile_data);
}
#else
static int amx_granted(void) { return 0; }
#endif

/* Whether this CPU supports the build for an instruction set. */
static int cpu_supports(const char *isa) {
#if defined(__x86_64__) || defined(__i386__)
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl") && avx2;
    if (!strcmp(isa, "avx512amx")) return avx512 && __builtin_cpu_supports("avx512vnni") && amx_granted();
    if (!strcmp(isa, "avx512vnni")) return avx512 && __builtin_cpu_supports("avx512vnni");
    if (!strcmp(isa, "avx512")) return avx512;
    /* cpuid, since GCC 11 and earlier do not know the name "avxvnni" */
    if (!strcmp(isa, "avxvnni")) return avx2 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
    if (!strcmp(isa, "avx2")) return avx2;
#elif defined(__aarch64__) && defined(__APPLE__)
    int i8mm = 0; /* from the M2 on */
    size_t size = sizeof i8mm;
    if (sysctlbyname("hw.optional.arm.FEAT_I8MM", &i8mm, &size, 0, 0)) i8mm = 0;
    return !strcmp(isa, "dotprod") || (!strcmp(isa, "i8mm") && i8mm);
#elif defined(__aarch64__) && defined(__linux__)
    const int dotprod = getauxval(AT_HWCAP) >> 20 & 1; /* HWCAP_ASIMDDP */
    if (!strcmp(isa, "i8mm")) return dotprod && (getauxval(AT_HWCAP2) >> 13 & 1); /* HWCAP2_I8MM */
    return !strcmp(isa, "dotprod") && dotprod;
#endif
    return 0;
}

#endif
