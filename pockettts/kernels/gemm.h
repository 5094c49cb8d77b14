/* Matrix products in register tiles:
 *
 *   y [T, N] = (x [T, K] w [N, K]^T + bias) * scale + add          float32; w packed in panels of NR outputs
 *
 * A row of x begins ldx floats after the one before it. ldx may be less than K: rows that overlap make a convolution a product.
 *
 *   format    a panel, in 32-bit words
 *   f32       [K][NR]             one float each
 *   bf16      [K][NR/2]           output c in the low half, c + NR/2 in the high half. (Two k in a word would need twice the registers,
 *                                 which leaves too few for six rows on AVX2.)
 *   bf16_12   see bf16_12.h       for one row
 *   int8      [DEPTH8(K) + 1][NR] four consecutive k as signed bytes; in the last row each output's scale, a float. x is rows in int8
 *                                 (see rows.h), ldx in words
 *
 * Arithmetic is strict: every output is acc = fma(w[k], x[k], acc) for k = 0, 1, 2, ..., in every tile. So a row has the same bits
 * alone or among others, on any number of threads, and with f32 or the same bf16 weights.
 */
#ifndef POCKETTTS_GEMM_H
#define POCKETTTS_GEMM_H

#include "bf16_12.h"
#include "rows.h"
#include "simd.h"

#include <stdlib.h>

/* --- inner loops: acc[m][v] = sum over k of w[k][v] * x[m][k] for `mr` rows of x and `np` neighbouring panels ---
 *
 * mr and np are literals at every call, so the loops over rows and vectors are unrolled and acc lives in registers. `panel` is the
 * size of a panel in words. On the way lines are fetched into the cache for later: from `ahead` on, `stride` bytes further at each k.
 */

typedef vf Sums[NV * MAX_PANELS];

INLINE void zero_sums(const int mr, const int np, Sums *acc) {
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] = (vf){0};
}

INLINE void tile_f32(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, long K, const char *ahead,
                     long stride, Sums *acc) {
    zero_sums(mr, np, acc);
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

/* The weights of one k: words of two bf16 -> NV vectors of floats. */
INLINE void bf16_to_f32(const vu *words, vf w[NV]) {
    UNROLL for (int v = 0; v < NV / 2; v++) w[v] = (vf)(words[v] << 16), w[NV / 2 + v] = (vf)(words[v] & 0xffff0000u);
}

INLINE void step_bf16(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, Sums *acc) {
    vf w[NV * MAX_PANELS];
    UNROLL for (int p = 0; p < np; p++) {
        vu words[NV / 2];
        UNROLL for (int v = 0; v < NV / 2; v++) words[v] = load_u32(P + p * panel + v * VL);
        bf16_to_f32(words, w + p * NV);
    }
    UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV * np; v++) acc[m][v] += w[v] * x[m * ldx];
}

INLINE void tile_bf16(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, long K, const char *ahead,
                      long stride, Sums *acc) {
    zero_sums(mr, np, acc);
    long k = 0;
    for (; k + 1 < K; k += 2, ahead += 2 * stride, P += NR) { /* two k are a cache line */
        UNROLL for (int p = 0; p < np; p++) __builtin_prefetch(ahead + p * panel * 4);
        step_bf16(mr, np, P, panel, x + k, ldx, acc);
        step_bf16(mr, np, P + NR / 2, panel, x + k + 1, ldx, acc);
    }
    if (k < K) step_bf16(mr, np, P, panel, x + k, ldx, acc);
}

/* UNIT steps of panel p from k on. If some of the rows are exceptions, `escapes` is 1; the next exception is at *escape. */
INLINE void step_bf16_12(const int mr, const int p, const int escapes, const uint32_t *P, vb table, const uint32_t **escape, long k,
                         const float *x, long ldx, Sums *acc) {
    vu unit[4];
    decompress_unit(P, table, unit);
    if (escapes)
        for (; (*escape)[0] < k + UNIT; *escape += ESCAPE)
            memcpy((word *)unit + ((*escape)[0] - k) * (NR / 2), *escape + 1, NR / 2 * 4);
    UNROLL for (int j = 0; j < UNIT; j++) {
        vf w[NV];
        bf16_to_f32(unit + j * NV / 2, w);
        UNROLL for (int m = 0; m < mr; m++) UNROLL for (int v = 0; v < NV; v++) acc[m][p * NV + v] += w[v] * x[m * ldx + j];
    }
}

INLINE void tile_bf16_12(const int mr, const int np, const uint32_t *P, long panel, const float *x, long ldx, long K,
                         const char *ahead, long stride, Sums *acc) {
    vb table[MAX_PANELS];
    const uint32_t *escape[MAX_PANELS];
    zero_sums(mr, np, acc);
    UNROLL for (int p = 0; p < np; p++) table[p] = load_table(P + p * panel), escape[p] = P + p * panel + P[p * panel + 4];
    P += HEAD12;
    for (long k = 0; k < K; k += UNIT, ahead += UNIT * stride, P += 3 * VL) {
        long stop = K; /* units without exceptions, up to the next one with some */
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

/* sum over k of w x is exact in int32; then times the scales of w and x, each step rounded. */
INLINE void tile_int8(const int mr, const int np, const uint32_t *P, long panel, const float *rows, long ldx, long K,
                      const char *ahead, long stride, Sums *acc) {
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

/* --- from a tile to memory --- */

/* y = (sum + bias) * scale + add; a null pointer leaves its step out. scale and add may have one row for all: ld is 0 then. */
typedef struct {
    const float *bias;  /* [N] */
    const float *scale; /* [1 or T, N] */
    const float *add;   /* [1 or T, N] */
    long ld_scale, ld_add;
} Epilogue;

/* The epilogue from that row and column on. */
INLINE Epilogue epilogue_at(const Epilogue *e, long row, long col) {
    Epilogue r = *e;
    if (r.bias) r.bias += col;
    if (r.scale) r.scale += row * r.ld_scale + col;
    if (r.add) r.add += row * r.ld_add + col;
    return r;
}

/* Store `mr` rows of one panel, whose sums begin at vector `first`; n of its columns exist (the last panel of a matrix may be padded). */
INLINE void store_tile(const int mr, const int first, Sums *acc, const Epilogue *e, float *y, long ldy, long n) {
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

/* --- tiles as functions: LOOP_RxP is R rows times P neighbouring panels, of which n columns exist ---
 *
 * Each is a function of its own: inlined into one another they need more registers than there are. */

#define DEFINE_TILE(LOOP, ROWS, PANELS) DEFINE_TILE_(LOOP, ROWS, PANELS)
#define DEFINE_TILE_(LOOP, ROWS, PANELS)                                                                                      \
    static __attribute__((noinline)) void LOOP##_##ROWS##x##PANELS(                                                           \
        const uint32_t *P, long panel, const float *x, long ldx, long K, const char *ahead, long stride, const Epilogue *e,   \
        float *y, long ldy, long n) {                                                                                         \
        Sums acc[ROWS];                                                                                                       \
        LOOP(ROWS, PANELS, P, panel, x, ldx, K, ahead, stride, acc);                                                          \
        for (int p = 0; p < PANELS; p++) {                                                                                    \
            const Epilogue at = epilogue_at(e, 0, p * NR);                                                                    \
            store_tile(ROWS, p * NV, acc, &at, y + p * NR, ldy, n - p * NR < NR ? n - p * NR : NR);                           \
        }                                                                                                                     \
    }

typedef void (*Tile)(const uint32_t *, long, const float *, long, long, const char *, long, const Epilogue *, float *, long, long);

/* Tiles of one panel and 1 .. MR rows, and a table of them. */
#define DEFINE_6(LOOP)                                                                                                        \
    DEFINE_TILE(LOOP, 1, 1) DEFINE_TILE(LOOP, 2, 1) DEFINE_TILE(LOOP, 3, 1)                                                   \
    DEFINE_TILE(LOOP, 4, 1) DEFINE_TILE(LOOP, 5, 1) DEFINE_TILE(LOOP, 6, 1)
#define NAMES_6(LOOP) 0, LOOP##_1x1, LOOP##_2x1, LOOP##_3x1, LOOP##_4x1, LOOP##_5x1, LOOP##_6x1
#if MR == 6
#define DEFINE_TILES(LOOP) DEFINE_6(LOOP)
#define TILES(LOOP) NAMES_6(LOOP)
#else
#define DEFINE_TILES(LOOP) DEFINE_6(LOOP) DEFINE_TILE(LOOP, 7, 1) DEFINE_TILE(LOOP, 8, 1)
#define TILES(LOOP) NAMES_6(LOOP), LOOP##_7x1, LOOP##_8x1
#endif

/* --- products with one panel, and with several --- */

/* NAME_rows: y [T, n] = rows of x times one panel, in tiles of at most MR rows, as equal as can be: 16 rows are 6 + 5 + 5, not 6 + 6 + 4.
 * Each tile fetches its part of the panel at `next`, of STEP bytes a k, into the cache. */
#define DEFINE_ROWS(NAME, LOOP, STEP)                                                                                         \
    DEFINE_TILES(LOOP)                                                                                                        \
    static void NAME##_rows(const uint32_t *P, const float *x, long ldx, long T, long K, const char *next, const Epilogue *e, \
                            float *y, long ldy, long n) {                                                                     \
        static const Tile tiles[] = {TILES(LOOP)};                                                                            \
        const long count = (T + MR - 1) / MR;                                                                                 \
        for (long i = 0, t = 0; i < count; i++) {                                                                             \
            const long rows = (T - t + count - i - 1) / (count - i);                                                          \
            const Epilogue at = epilogue_at(e, t, 0);                                                                         \
            tiles[rows](P, 0, x + t * ldx, ldx, K, next + K * (STEP) / count * i, (STEP) / count, &at, y + t * ldy, ldy, n);  \
            t += rows;                                                                                                        \
        }                                                                                                                     \
    }

/* NAME: y [T, n] = rows of x times `panels` neighbouring panels. One row takes several panels at a time, whose weights are fetched AHEAD
 * bytes before they are needed; more rows take one panel after the other. */
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
DEFINE_ROWS(panels_int8, tile_int8, NR * 4)
DEFINE_PANELS(panels_f32, tile_f32, NR * 4)
DEFINE_PANELS(panels_bf16, tile_bf16, NR * 2)
DEFINE_PANELS(panels_int8, tile_int8, NR * 4)

/* Up to 3 rows read compressed weights; for more the panel is decompressed first, unless there is no memory. */
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
