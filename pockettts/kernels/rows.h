/* Operations on rows of floats: sums, activations, softmax, dot products, int8 quantization; and the probes of the roofline benchmark.
 *
 * The order of a sum depends only on its length, so the result for a row has the same bits at any address and on any thread.
 */
#ifndef POCKETTTS_ROWS_H
#define POCKETTTS_ROWS_H

#include "simd.h"

/* --- sums --- */

/* sum over i of a[i] */
INLINE float row_sum(const float *a, long n) {
    vf s = {0};
    long i = 0;
    for (; i + VL <= n; i += VL) s += load(a + i);
    float r = hsum(s);
    for (; i < n; i++) r += a[i];
    return r;
}

/* sum over i of (a[i] - mean)^2 */
INLINE float row_sum_of_squares(const float *a, float mean, long n) {
    vf s = {0};
    long i = 0;
    for (; i + VL <= n; i += VL) {
        const vf d = load(a + i) - mean;
        s += d * d;
    }
    float r = hsum(s);
    for (; i < n; i++) r += (a[i] - mean) * (a[i] - mean);
    return r;
}

/* --- activations --- */

/* exp(x) for x <= 88, within 1.5 ulp: 2^n * e^r, e^r by a polynomial of degree 6 (coefficients of Cephes' expf). Adding 1.5 * 2^23
 * rounds to an integer and leaves it in the lowest bits, which are then shifted into the exponent. */
INLINE vf exp_v(vf x) {
    const vf zero = {0}, shift = zero + 12582912.0f;
    x = max_f32(zero - 87.0f, x);
    const vf shifted = x * 1.44269504f + shift, n = shifted - shift;
    const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (vf)((vu)p + ((vu)shifted << 23));
}

/* y * sigmoid(x) = y / (1 + exp(-x)) */
INLINE vf sigmoid_times(vf x, vf y) {
    const vf zero = {0};
    return y / (exp_v(min_f32(zero + 88.0f, -x)) + 1.0f);
}
INLINE vf silu_v(vf x) { return sigmoid_times(x, x); }
/* x / 2 * (1 + tanh(u)) = x * sigmoid(2 u), u = sqrt(2 / pi) * (x + 0.044715 x^3) */
INLINE vf gelu_v(vf x) { return sigmoid_times((x * x * x * 0.044715f + x) * 1.5957691216f, x); }
INLINE vf elu_v(vf x) {
    const vf zero = {0};
    return max_f32(zero, x) + (exp_v(min_f32(zero, x)) - 1.0f);
}

/* y[i] = f(x[i]) for i < n; y may alias x. The last n % VL floats use the same vector code, so the bits do not depend on the position. */
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

/* --- attention --- */

/* The numerator of a softmax, in place: w[p] = exp(w[p] - max(w)) for p < n. Returns the denominator, their sum. */
static float softmax_exp(float *w, long n) {
    const vf zero = {0};
    vf top = zero - 3.4e38f, total = zero, tail = zero;
    long i = 0;
    for (; i + VL <= n; i += VL) top = max_f32(load(w + i), top);
    float max = top[0];
    for (int j = 1; j < VL; j++) max = top[j] > max ? top[j] : max;
    for (long j = i; j < n; j++) max = w[j] > max ? w[j] : max;
    for (i = 0; i + VL <= n; i += VL) {
        const vf e = exp_v(load(w + i) - max);
        store(w + i, e);
        total += e;
    }
    float r = hsum(total);
    memcpy(&tail, w + i, (n - i) * sizeof(float));
    tail = exp_v(tail - max);
    memcpy(w + i, &tail, (n - i) * sizeof(float));
    for (; i < n; i++) r += w[i];
    return r;
}

/* scores[p] = scale * dot(q, keys[p]) for p < n: q [D]; keys: n rows of D floats, with a row stride of ld floats. VL rows are processed
 * at a time: their sums are independent, and `hsums` adds the lanes of all of them together. */
static void dot_rows(const float *q, const float *keys, long n, long ld, long D, float scale, float *scores) {
    long p = 0;
#ifdef HAVE_HSUMS
    if (D % VL == 0)
        for (; p + VL <= n; p += VL) {
            const float *k = keys + p * ld;
            vf s[VL];
            UNROLL for (int j = 0; j < VL; j++) s[j] = (vf){0};
            for (long i = 0; i < D; i += VL) {
                const vf x = load(q + i);
                UNROLL for (int j = 0; j < VL; j++) s[j] += x * load(k + j * ld + i);
            }
            store(scores + p, hsums(s) * scale);
        }
#endif
    for (; p < n; p++) {
        const float *k = keys + p * ld;
        vf s = {0};
        long i = 0;
        for (; i + VL <= D; i += VL) s += load(q + i) * load(k + i);
        float r = hsum(s);
        for (; i < D; i++) r += q[i] * k[i];
        scores[p] = r * scale;
    }
}

/* y += sum over p < n of w[p] * values[p]: y [D], values [n, D]. Up to 8 vectors of y stay in registers for all rows. */
#define ADD_ROWS(COUNT)                                                                                                       \
    for (; i + (COUNT) * VL <= D; i += (COUNT) * VL) {                                                                        \
        vf s[COUNT];                                                                                                          \
        UNROLL for (int v = 0; v < (COUNT); v++) s[v] = load(y + i + v * VL);                                                 \
        for (long p = 0; p < n; p++) {                                                                                        \
            UNROLL for (int v = 0; v < (COUNT); v++) s[v] += load(values + p * D + i + v * VL) * w[p];                        \
        }                                                                                                                     \
        UNROLL for (int v = 0; v < (COUNT); v++) store(y + i + v * VL, s[v]);                                                 \
    }
static void add_weighted_rows(const float *w, const float *values, long n, long D, float *y) {
    long i = 0;
    ADD_ROWS(8)
    ADD_ROWS(2)
    ADD_ROWS(1)
    for (; i < D; i++)
        for (long p = 0; p < n; p++) y[i] += w[p] * values[p * D + i];
}

/* --- int8 ---
 *
 * A quantized row of x has ROW8(K) words: DEPTH8(K) words of four consecutive k each, signed bytes within -127 .. 127 (padded with
 * zeros); its scale, a float; the sum of its bytes. x[k] is about byte[k] * scale. Sums of products are exact in 32 bits up to
 * K = MAX_K8, so the result does not depend on their order or on the instruction set.
 */
#define DEPTH8(K) ((((K) + 3) / 4 + DEPTH_UNIT - 1) / DEPTH_UNIT * DEPTH_UNIT)
#define ROW8(K) (DEPTH8(K) + 2)
#define MAX_K8 65536

/* Round floats within -127 .. 127 to integers, ties to even. Returns them, and stores the first n as bytes at q. */
INLINE vi round_f32(vf v, int8_t *q, long n) {
    ROUNDED(v);
    const vi whole = (vi)(v + 12582912.0f) - 0x4b400000; /* adding 1.5 * 2^23 rounds the fraction */
    const v8 bytes = narrow(whole);
    memcpy(q, &bytes, n);
    return whole;
}

/* Quantize x [K] to `row`, with the same bits on every machine. A row of zeros has scale 0. */
static void quantize_row(const float *x, long K, uint32_t *row) {
    const long D = DEPTH8(K), vectors = K / VL * VL;
    int8_t *q = (int8_t *)row;
    vf top = {0}, tail = {0};
    vi total = {0};
    memcpy(&tail, x + vectors, (K - vectors) * sizeof(float));
    for (long k = 0; k < vectors; k += VL) top = max_f32((vf)((vi)load(x + k) & 0x7fffffff), top);
    top = max_f32((vf)((vi)tail & 0x7fffffff), top);
    float max = 0;
    for (int i = 0; i < VL; i++) max = top[i] > max ? top[i] : max;
    const float scale = max > 1e-30f ? max / 127 : 0;
    const float inverse = max > 1e-30f ? 127 / max : 0;
    for (long k = 0; k < vectors; k += VL) total += round_f32(load(x + k) * inverse, q + k, VL);
    memset(q + vectors, 0, 4 * D - vectors);
    total += round_f32(tail * inverse, q + vectors, 4 * D - vectors < VL ? 4 * D - vectors : VL);
    int32_t sum = 0;
    for (int i = 0; i < VL; i++) sum += total[i];
    memcpy(row + D, &scale, 4);
    memcpy(row + D + 1, &sum, 4);
}

/* --- probes for the roofline of `pockettts bench` --- */

/* Sum of n floats, read with 8 independent vector sums. */
static float read_probe(const float *x, long n) {
    vf s[8] = {{0}};
    __asm__ volatile("" ::: "memory"); /* read memory again at each call */
    for (long i = 0; i + 8 * VL <= n; i += 8 * VL) UNROLL for (int v = 0; v < 8; v++) s[v] += load(x + i + v * VL);
    for (int v = 1; v < 8; v++) s[0] += s[v];
    return hsum(s[0]);
}

#define PROBE_SUMS (MR < 8 ? MR * NV : 8 * NV) /* independent sums, enough to hide the latency */
#define PROBE_OPS (PROBE_SUMS * VL) /* multiply-adds per round */

/* PROBE_OPS float multiply-adds per round, in registers. */
static float fma_probe(long rounds) {
    vf s[PROBE_SUMS];
    const vf zero = {0}, a = zero + 0.999f, b = zero + 0.001f;
    UNROLL for (int v = 0; v < PROBE_SUMS; v++) s[v] = zero + (float)v;
    for (long i = 0; i < rounds; i++) UNROLL for (int v = 0; v < PROBE_SUMS; v++) s[v] = s[v] * a + b;
    UNROLL for (int v = 1; v < PROBE_SUMS; v++) s[0] += s[v];
    return hsum(s[0]);
}

/* 4 * PROBE_OPS byte multiply-adds per round; x is read from the cache, as in a tile. */
static float dot_probe(long rounds) {
    vi s[PROBE_SUMS] = {{0}}, w[NV];
    int32_t x[64 + PROBE_SUMS / NV] = {0}, weights[NR] = {0};
    __asm__ volatile("" : : "r"(x), "r"(weights) : "memory"); /* hides their values from the compiler */
    UNROLL for (int v = 0; v < NV; v++) w[v] = (vi)load_u32((const uint32_t *)weights + v * VL);
    for (long i = 0; i < rounds; i++) {
        UNROLL for (int v = 0; v < NV; v++) w[v] += 1;
        UNROLL for (int m = 0; m < PROBE_SUMS / NV; m++) {
            const vi four = (vi){0} + x[(i & 63) + m];
            UNROLL for (int v = 0; v < NV; v++) s[m * NV + v] = dot4(s[m * NV + v], w[v], four);
        }
    }
    UNROLL for (int v = 1; v < PROBE_SUMS; v++) s[0] += s[v];
    return hsum(__builtin_convertvector(s[0], vf));
}

#endif
