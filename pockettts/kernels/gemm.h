/* Matrix products in register tiles:
 *
 *   y [T, N] = (x [T, K] w [N, K]^T + bias) * scale + add          float32; w packed in panels of NR outputs
 *
 * ldx is the row stride of x in floats. It may be less than K: with overlapping rows, a convolution is a matrix product.
 *
 *   format    layout of a panel, in 32-bit words
 *   f32       [K][NR]             one float each
 *   bf16      [K][NR/2]           output c in the low half, c + NR/2 in the high half. (Two k in a word would need twice the registers,
 *                                 which leaves too few for six rows on AVX2.)
 *   bf16_12   see bf16_12.h       for products with one row
 *   int8      [DEPTH8(K) + 1][NR] four consecutive k as signed bytes; the last row holds each output's scale, a float. x is rows in int8
 *                                 (see rows.h), and ldx counts words
 *
 * The order of operations is fixed: every tile computes acc = fma(w[k], x[k], acc) for k = 0, 1, 2, ... So the result for a row has the
 * same bits alone or in a batch, on any number of threads, and with f32 or the same weights in bf16.
 */
#ifndef POCKETTTS_GEMM_H
#define POCKETTTS_GEMM_H

#include "bf16_12.h"
#include "rows.h"
#include "simd.h"

#include <stdlib.h>

/* --- inner loops: acc[m][v] = sum over k of w[k][v] * x[m][k] for `mr` rows of x and `np` adjacent panels ---
 *
 * `nv` vectors are computed of each panel: NV, or NV / 2 if there are no more outputs. mr, np and nv are constants at every call, so the
 * loops over rows and vectors are unrolled, and acc stays in registers. `panel` is the size of a panel in words. The loops also prefetch
 * memory that is needed later: at `ahead`, and `stride` bytes further for each k.
 */

typedef vf Sums[NV * MAX_PANELS];

#define EACH_VECTOR(p, v) UNROLL for (int p = 0; p < np; p++) UNROLL for (int v = p * NV; v < p * NV + nv; v++)

INLINE void zero_sums(const int mr, const int np, const int nv, Sums *acc) {
    UNROLL for (int m = 0; m < mr; m++) EACH_VECTOR(p, v) acc[m][v] = (vf){0};
}

INLINE void tile_f32(const int mr, const int np, const int nv, const uint32_t *P, long panel, const float *x, long ldx, long K,
                     const char *ahead, long stride, Sums *acc) {
    zero_sums(mr, np, nv, acc);
    for (long k = 0; k < K; k++, ahead += stride) {
        vf w[NV * MAX_PANELS];
        UNROLL for (int p = 0; p < np; p++) {
            __builtin_prefetch(ahead + p * panel * 4);
            UNROLL for (int v = 0; v < nv; v++) w[p * NV + v] = load((const float *)P + p * panel + k * NR + v * VL);
        }
        UNROLL for (int m = 0; m < mr; m++) {
            const float xk = x[m * ldx + k];
            EACH_VECTOR(p, v) acc[m][v] += w[v] * xk;
        }
    }
}

/* Convert the weights of one k: words of two bf16 -> nv vectors of floats. */
INLINE void bf16_to_f32(const int nv, const vu *words, vf w[NV]) {
    UNROLL for (int v = 0; v < NV / 2; v++) {
        w[v] = (vf)(words[v] << 16);
        if (nv == NV) w[NV / 2 + v] = (vf)(words[v] & 0xffff0000u);
    }
}

INLINE void step_bf16(const int mr, const int np, const int nv, const uint32_t *P, long panel, const float *x, long ldx, Sums *acc) {
    vf w[NV * MAX_PANELS];
    UNROLL for (int p = 0; p < np; p++) {
        vu words[NV / 2];
        UNROLL for (int v = 0; v < NV / 2; v++) words[v] = load_u32(P + p * panel + v * VL);
        bf16_to_f32(nv, words, w + p * NV);
    }
    UNROLL for (int m = 0; m < mr; m++) EACH_VECTOR(p, v) acc[m][v] += w[v] * x[m * ldx];
}

INLINE void tile_bf16(const int mr, const int np, const int nv, const uint32_t *P, long panel, const float *x, long ldx, long K,
                      const char *ahead, long stride, Sums *acc) {
    zero_sums(mr, np, nv, acc);
    long k = 0;
    for (; k + 1 < K; k += 2, ahead += 2 * stride, P += NR) { /* two k fill a cache line */
        UNROLL for (int p = 0; p < np; p++) __builtin_prefetch(ahead + p * panel * 4);
        step_bf16(mr, np, nv, P, panel, x + k, ldx, acc);
        step_bf16(mr, np, nv, P + NR / 2, panel, x + k + 1, ldx, acc);
    }
    if (k < K) step_bf16(mr, np, nv, P, panel, x + k, ldx, acc);
}

/* UNIT steps of panel p, starting at k. `escapes` is 1 if some of these rows are exceptions; the next exception is at *escape. */
INLINE void step_bf16_12(const int mr, const int p, const int escapes, const uint32_t *P, vb table, const uint32_t **escape, long k,
                         const float *x, long ldx, Sums *acc) {
    vu unit[4];
    decompress_unit(P, table, unit);
    if (escapes)
        for (; (*escape)[0] < k + UNIT; *escape += ESCAPE)
            memcpy((word *)unit + ((*escape)[0] - k) * (NR / 2), *escape + 1, NR / 2 * 4);
    UNROLL for (int j = 0; j < UNIT; j++) {
        vf w[NV];
        bf16_to_f32(NV, unit + j * NV / 2, w);
        UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV; v++) acc[m][p * NV + v] += w[v] * x[m * ldx + j];
    }
}

INLINE void tile_bf16_12(const int mr, const int np, const int nv, const uint32_t *P, long panel, const float *x, long ldx, long K,
                         const char *ahead, long stride, Sums *acc) {
    vb table[MAX_PANELS];
    const uint32_t *escape[MAX_PANELS];
    zero_sums(mr, np, nv, acc);
    UNROLL for (int p = 0; p < np; p++) table[p] = load_table(P + p * panel), escape[p] = P + p * panel + P[p * panel + 4];
    P += HEAD12;
    for (long k = 0; k < K; k += UNIT, ahead += UNIT * stride, P += 3 * VL) {
        long stop = K; /* the next unit with exceptions */
        UNROLL for (int p = 0; p < np; p++) stop = escape[p][0] < stop ? escape[p][0] / UNIT * UNIT : stop;
        for (; k < stop; k += UNIT, ahead += UNIT * stride, P += 3 * VL) {
            UNROLL for (int p = 0; p < np; p++) {
                __builtin_prefetch(ahead + p * panel * 4);
                step_bf16_12(mr, p, 0, P + p * panel, table[p], &escape[p], k, x + k, ldx, acc);
            }
        }
        if (k == K) break;
        UNROLL for (int p = 0; p < np; p++) step_bf16_12(mr, p, 1, P + p * panel, table[p], &escape[p], k, x + k, ldx, acc);
    }
}

/* Exact int8 sums: total[m][v] = sum over k of w[k][v] * x[m][k]. */
INLINE void sum_int8(const int mr, const int np, const int nv, const uint32_t *P, long panel, const word *x, long ldx, long D,
                     const char *ahead, long stride, vi total[][NV * MAX_PANELS]) {
    UNROLL for (int m = 0; m < mr; m++) EACH_VECTOR(p, v) total[m][v] = (vi){0} - (int32_t)x[m * ldx + D + 1] * WEIGHT_OFFSET;
    for (long k = 0; k < D; k++, ahead += stride) {
        vi w[NV * MAX_PANELS];
        UNROLL for (int p = 0; p < np; p++) {
            __builtin_prefetch(ahead + p * panel * 4);
            UNROLL for (int v = 0; v < nv; v++) w[p * NV + v] = (vi)load_u32(P + p * panel + k * NR + v * VL);
        }
        UNROLL for (int m = 0; m < mr; m++) {
            const vi four = (vi){0} + (int32_t)x[m * ldx + k];
            EACH_VECTOR(p, v) total[m][v] = dot4(total[m][v], w[v], four);
        }
    }
}

#if HAVE_MMLA
/* The same for one panel and two or more rows, in pairs of rows and pairs of outputs, 8 k at a time. An odd row is paired with itself. */
INLINE void sum_int8_pairs(const int mr, const int nv, const uint32_t *P, const word *x, long ldx, long D, const char *ahead, long stride,
                           vi total[][NV * MAX_PANELS]) {
    vi acc[(MR + 1) / 2][2 * NV];
    UNROLL for (int i = 0; i < (mr + 1) / 2; i++) UNROLL for (int c = 0; c < 2 * nv; c++) acc[i][c] = (vi){0};
    for (long k = 0; k < D; k += 2, ahead += 2 * stride) {
        vi rows[(MR + 1) / 2];
        __builtin_prefetch(ahead);
        UNROLL for (int i = 0; i < (mr + 1) / 2; i++)
            rows[i] = two_rows(x + 2 * i * ldx + k, x + (2 * i + 1 < mr ? 2 * i + 1 : 2 * i) * ldx + k);
        UNROLL for (int v = 0; v < nv; v++) {
            const vu k0 = load_u32(P + k * NR + v * VL), k1 = load_u32(P + (k + 1) * NR + v * VL);
            UNROLL for (int i = 0; i < (mr + 1) / 2; i++) {
                acc[i][2 * v] = mmla(acc[i][2 * v], rows[i], outputs01(k0, k1));
                acc[i][2 * v + 1] = mmla(acc[i][2 * v + 1], rows[i], outputs23(k0, k1));
            }
        }
    }
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < nv; v++)
        total[m][v] = m % 2 ? second_row(acc[m / 2][2 * v], acc[m / 2][2 * v + 1]) : first_row(acc[m / 2][2 * v], acc[m / 2][2 * v + 1]);
}
#endif

/* The int8 sums, multiplied by the scales of w and of x, each product rounded. */
INLINE void tile_int8(const int mr, const int np, const int nv, const uint32_t *P, long panel, const float *rows, long ldx, long K,
                      const char *ahead, long stride, Sums *acc) {
    const long D = DEPTH8(K);
    vi total[MR][NV * MAX_PANELS];
#if HAVE_MMLA
    if (mr > 1)
        sum_int8_pairs(mr, nv, P, (const word *)rows, ldx, D, ahead, stride, total);
    else
#endif
        sum_int8(mr, np, nv, P, panel, (const word *)rows, ldx, D, ahead, stride, total);
    UNROLL for (int m = 0; m < mr; m++) {
        const float scale = rows[m * ldx + D];
        EACH_VECTOR(p, v) {
            const vf scales = load((const float *)(P + p * panel + D * NR + (v - p * NV) * VL));
            vf r = __builtin_convertvector(total[m][v], vf) * scales * scale;
            ROUNDED(r);
            acc[m][v] = r;
        }
    }
}

/* --- store a tile --- */

/* y = (sum + bias) * scale + add; a null pointer skips its step. ld is 0 if one row of scale or add serves all rows. */
typedef struct {
    const float *bias;  /* [N] */
    const float *scale; /* [1 or T, N] */
    const float *add;   /* [1 or T, N] */
    long ld_scale, ld_add;
} Epilogue;

/* The epilogue of the outputs from `row` and `col` on. */
INLINE Epilogue epilogue_at(const Epilogue *e, long row, long col) {
    Epilogue r = *e;
    if (r.bias) r.bias += col;
    if (r.scale) r.scale += row * r.ld_scale + col;
    if (r.add) r.add += row * r.ld_add + col;
    return r;
}

/* Store `mr` rows of one panel, whose sums begin at vector `first`. The panel has n columns (the last one of a matrix may be padded). */
INLINE void store_tile(const int mr, const int nv, const int first, Sums *acc, const Epilogue *e, float *y, long ldy, long n) {
    UNROLL for (int v = 0; v < nv; v++) {
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

/* --- tiles as functions: LOOP_RxP multiplies R rows with P adjacent panels, which have n columns; LOOP_Rxhalf with half a panel ---
 *
 * They are not inlined: together they would need more registers than there are. */

#define DEFINE_TILE(LOOP, ROWS, PANELS) DEFINE_TILE_(LOOP, ROWS, PANELS, PANELS, NV)
#define DEFINE_TILE_(LOOP, ROWS, NAME, PANELS, VECTORS)                                                                       \
    static __attribute__((noinline)) void LOOP##_##ROWS##x##NAME(                                                             \
        const uint32_t *P, long panel, const float *x, long ldx, long K, const char *ahead, long stride, const Epilogue *e,   \
        float *y, long ldy, long n) {                                                                                         \
        Sums acc[ROWS];                                                                                                       \
        LOOP(ROWS, PANELS, VECTORS, P, panel, x, ldx, K, ahead, stride, acc);                                                          \
        for (int p = 0; p < PANELS; p++) {                                                                                    \
            const Epilogue at = epilogue_at(e, 0, p * NR);                                                                    \
            store_tile(ROWS, VECTORS, p * NV, acc, &at, y + p * NR, ldy, n - p * NR < NR ? n - p * NR : NR);                  \
        }                                                                                                                     \
    }

typedef void (*Tile)(const uint32_t *, long, const float *, long, long, const char *, long, const Epilogue *, float *, long, long);

/* Tiles of one panel and of half a panel, 1 .. MR rows high, and tables of them. */
#define DEFINE_BOTH(LOOP, ROWS) DEFINE_TILE_(LOOP, ROWS, 1, 1, NV) DEFINE_TILE_(LOOP, ROWS, half, 1, NV / 2)
#define DEFINE_6(LOOP)                                                                                                        \
    DEFINE_BOTH(LOOP, 1) DEFINE_BOTH(LOOP, 2) DEFINE_BOTH(LOOP, 3) DEFINE_BOTH(LOOP, 4) DEFINE_BOTH(LOOP, 5) DEFINE_BOTH(LOOP, 6)
#define NAMES_6(LOOP, WIDTH) 0, LOOP##_1x##WIDTH, LOOP##_2x##WIDTH, LOOP##_3x##WIDTH, LOOP##_4x##WIDTH, LOOP##_5x##WIDTH, LOOP##_6x##WIDTH
#if MR == 6
#define DEFINE_TILES(LOOP) DEFINE_6(LOOP)
#define TILES(LOOP, WIDTH) {NAMES_6(LOOP, WIDTH)}
#elif MR == 14
#define DEFINE_TILES(LOOP)                                                                                                    \
    DEFINE_6(LOOP) DEFINE_BOTH(LOOP, 7) DEFINE_BOTH(LOOP, 8) DEFINE_BOTH(LOOP, 9) DEFINE_BOTH(LOOP, 10)                       \
    DEFINE_BOTH(LOOP, 11) DEFINE_BOTH(LOOP, 12) DEFINE_BOTH(LOOP, 13) DEFINE_BOTH(LOOP, 14)
#define TILES(LOOP, WIDTH)                                                                                                    \
    {NAMES_6(LOOP, WIDTH), LOOP##_7x##WIDTH,  LOOP##_8x##WIDTH,  LOOP##_9x##WIDTH, LOOP##_10x##WIDTH,                         \
     LOOP##_11x##WIDTH,    LOOP##_12x##WIDTH, LOOP##_13x##WIDTH, LOOP##_14x##WIDTH}
#endif

/* --- products with one panel, and with several --- */

/* NAME_rows: y [T, n] = rows of x times one panel, in tiles of at most MR rows and nearly equal height: 16 rows are 6 + 5 + 5, not
 * 6 + 6 + 4. Each tile prefetches its share of the panel at `next`, which has STEP bytes per k. */
#define DEFINE_ROWS(NAME, LOOP, STEP)                                                                                         \
    DEFINE_TILES(LOOP)                                                                                                        \
    static void NAME##_rows(const uint32_t *P, const float *x, long ldx, long T, long K, const char *next, const Epilogue *e, \
                            float *y, long ldy, long n) {                                                                     \
        static const Tile full[] = TILES(LOOP, 1), half[] = TILES(LOOP, half);                                                \
        const Tile *tiles = n > NR / 2 ? full : half;                                                                         \
        const long count = (T + MR - 1) / MR;                                                                                 \
        for (long i = 0, t = 0; i < count; i++) {                                                                             \
            const long rows = (T - t + count - i - 1) / (count - i);                                                          \
            const Epilogue at = epilogue_at(e, t, 0);                                                                         \
            tiles[rows](P, 0, x + t * ldx, ldx, K, next + K * (STEP) / count * i, (STEP) / count, &at, y + t * ldy, ldy, n);  \
            t += rows;                                                                                                        \
        }                                                                                                                     \
    }

/* NAME: y [T, n] = rows of x times `panels` adjacent panels. One row is multiplied with several panels at a time, whose weights are
 * prefetched AHEAD bytes in advance; several rows with one panel at a time. */
#define AHEAD 512
#define DEFINE_PANELS(NAME, LOOP, STEP)                                                                                       \
    DEFINE_TILE(LOOP, 1, 2)                                                                                                   \
    DEFINE_WIDEST(LOOP)                                                                                                       \
    static void NAME(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K, const Epilogue *e, \
                     float *y, long ldy, long n) {                                                                            \
        for (long p = 0, wide; p < panels; p += wide, P += wide * panel, y += wide * NR, n -= wide * NR) {                    \
            const Epilogue at = epilogue_at(e, 0, p * NR);                                                                    \
            wide = T > 1 || panels - p < 2 ? 1 : panels - p < MAX_PANELS ? 2 : MAX_PANELS;                                    \
            if (wide == 1)                                                                                                    \
                NAME##_rows(P, x, ldx, T, K, (const char *)(P + panel), &at, y, ldy, n < NR ? n : NR);                        \
            else                                                                                                              \
                (wide == 2 ? LOOP##_1x2 : WIDEST(LOOP))(P, panel, x, ldx, K, (const char *)P + AHEAD, STEP, &at, y, ldy, n);  \
        }                                                                                                                     \
    }
#if MAX_PANELS == 4
#define DEFINE_WIDEST(LOOP) DEFINE_TILE(LOOP, 1, 4)
#define WIDEST(LOOP) LOOP##_1x4
#else
#define DEFINE_WIDEST(LOOP)
#define WIDEST(LOOP) LOOP##_1x2
#endif

DEFINE_ROWS(panels_f32, tile_f32, NR * 4)
DEFINE_ROWS(panels_bf16, tile_bf16, NR * 2)
DEFINE_ROWS(tiles_int8, tile_int8, NR * 4)

#if HAVE_AMX
#define AMX_ROWS 4 /* for fewer rows, register tiles are about as fast */
/* y [T, n] = rows of x in int8 times one panel. */
static void amx_rows(const uint32_t *P, const float *rows, long ldx, long T, long K, const Epilogue *e, float *y, long ldy, long n) {
    const long D = DEPTH8(K);
    int32_t sums[32][32];
    for (long t = 0, count; t < T; t += count) {
        count = T - t < 32 ? T - t : 32;
        const int r0 = count < 16 ? count : 16;
        amx_multiply(r0, count - r0, (const word *)rows + t * ldx, ldx, P, D, sums);
        for (long m = t; m < t + count; m++) {
            const float scale = rows[m * ldx + D];
            const Epilogue at = epilogue_at(e, m, 0);
            Sums acc[1];
            UNROLL for (int v = 0; v < NV; v++) {
                const vi total = (vi)load_u32((const uint32_t *)sums[m - t] + v * VL);
                vf r = __builtin_convertvector(total, vf) * load((const float *)P + D * NR + v * VL) * scale;
                ROUNDED(r);
                acc[0][v] = r;
            }
            store_tile(1, NV, 0, acc, &at, y + m * ldy, ldy, n);
        }
    }
}
#endif

static void panels_int8_rows(const uint32_t *P, const float *x, long ldx, long T, long K, const char *next, const Epilogue *e, float *y,
                             long ldy, long n) {
#if HAVE_AMX
    if (T >= AMX_ROWS) {
        amx_rows(P, x, ldx, T, K, e, y, ldy, n);
        return;
    }
#endif
    tiles_int8_rows(P, x, ldx, T, K, next, e, y, ldy, n);
}
DEFINE_PANELS(panels_f32, tile_f32, NR * 4)
DEFINE_PANELS(panels_bf16, tile_bf16, NR * 2)
DEFINE_PANELS(panels_int8, tile_int8, NR * 4)

/* Up to 3 rows are multiplied with the compressed weights. For more rows the panel is decompressed first, unless malloc fails. */
DEFINE_TILE(tile_bf16_12, 1, 1)
DEFINE_TILE(tile_bf16_12, 2, 1)
DEFINE_TILE(tile_bf16_12, 3, 1)
static void panels_bf16_12_rows(const uint32_t *P, const float *x, long ldx, long T, long K, const char *next, const Epilogue *e,
                                float *y, long ldy, long n) {
    static const Tile tiles[] = {0, tile_bf16_12_1x1, tile_bf16_12_2x1, tile_bf16_12_3x1};
    void *buffer = T > 3 ? malloc(K * NR * 2 + REG) : 0;
    if (buffer) {
        uint32_t *words = (uint32_t *)(((uintptr_t)buffer + REG - 1) / REG * REG);
        decompress_panel(P, K, (vu *)words);
        panels_bf16_rows(words, x, ldx, T, K, next, e, y, ldy, n);
        free(buffer);
        return;
    }
    for (long t = 0, rows; t < T; t += rows) {
        const Epilogue at = epilogue_at(e, t, 0);
        rows = T - t < 3 ? T - t : 3;
        tiles[rows](P, 0, x + t * ldx, ldx, K, next, NR * 3 / 2, &at, y + t * ldy, ldy, n);
    }
}
DEFINE_PANELS(panels_bf16_12, tile_bf16_12, NR * 3 / 2)

#endif
