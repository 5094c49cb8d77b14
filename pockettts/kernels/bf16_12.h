/* bf16 weights in 12 bits, without loss, for one row of x at a time: then the product waits for memory.
 *
 * Weights of a layer have few exponents. So the low byte of each weight is stored as it is, and the high byte (sign and 7 bits of the
 * exponent) as a 4-bit code into a table of 16 bytes: the 8 most frequent values, each with either sign. A k (one row of a panel, its NR
 * weights) with a high byte that is not in the table is an exception: it is also stored uncompressed. A panel is
 *
 *   HEAD12 words     the table, 16 bytes; word 4: the distance in words to the panel's exceptions
 *   K / UNIT units   REG low bytes, REG more low bytes, and REG bytes of codes: those of the first in the low halves, of the second in
 *                    the high halves. Low bytes interleaved with high bytes are UNIT rows of the bf16 layout of gemm.h
 *
 * and its exceptions, after all panels, are records of ESCAPE words: k, then the NR / 2 words of that row; the word NO_ROW ends them.
 */
#ifndef POCKETTTS_BF16_12_H
#define POCKETTTS_BF16_12_H

#include "simd.h"

#define UNIT (8 / NV) /* rows of a panel, k .. k + UNIT, that are 4 registers of bf16 */
#define HEAD12 16
#define PANEL12(K) (HEAD12 + (K) / UNIT * (3 * VL))
#define CAN_COMPRESS(K) ((K) % UNIT == 0 && (K) <= (1 << 17) / NR)
#define ESCAPE (1 + NR / 2)
#define NO_ROW 0xffffffffu

/* The low and the high bytes of the words of a and b. */
INLINE vb low_bytes(vb a, vb b) { return pack((vh)a & 255, (vh)b & 255); }
INLINE vb high_bytes(vb a, vb b) { return pack((vh)a >> 8, (vh)b >> 8); }

/* The table of a panel in each 16-byte lane of a register. */
INLINE vb load_table(const uint32_t *panel) {
    vb r;
    for (int i = 0; i < REG; i += 16) memcpy((char *)&r + i, panel, 16);
    return r;
}

/* The words of one unit. */
INLINE void decompress_unit(const uint32_t *unit, vb table, vu words[4]) {
    const vb low0 = load_u8(unit), low1 = load_u8(unit + VL), codes = load_u8(unit + 2 * VL);
    const vb high0 = lookup(table, codes & 15), high1 = lookup(table, codes >> 4);
    words[0] = (vu)unpack_lo(low0, high0), words[1] = (vu)unpack_hi(low0, high0);
    words[2] = (vu)unpack_lo(low1, high1), words[3] = (vu)unpack_hi(low1, high1);
}

/* A whole panel: words [K][NR/2]. */
static void decompress_panel(const uint32_t *panel, long K, vu *words) {
    const vb table = load_table(panel);
    const uint32_t *escape = panel + panel[4];
    panel += HEAD12;
    for (long k = 0; k < K; k += UNIT, panel += 3 * VL) decompress_unit(panel, table, words + k * NR / 2 / VL);
    for (; escape[0] != NO_ROW; escape += ESCAPE) memcpy((word *)words + escape[0] * (NR / 2), escape + 1, NR / 2 * 4);
}

/* The 8 high bytes without sign of a table, as words to compare with. */
INLINE void load_tops(const uint8_t *table, vh tops[8]) {
    for (int i = 0; i < 8; i++) tops[i] = (vh){0} + (uint16_t)(table[i] << 8);
}

/* Are all high bytes of a row in the table? */
INLINE int in_table(const uint32_t *row, const vh tops[8]) {
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

/* The table for a panel of bf16 words [K][NR/2]; returns the number of exceptions. */
static long choose_table(const uint32_t *words, long K, uint8_t table[16]) {
    int counts[4][128] = {{0}}; /* four, since counting one value twice in a row is slow */
    long exceptions = 0;
    vh tops[8];
    for (long i = 0; i < K * NR / 2; i++) {
        counts[i & 1][words[i] >> 8 & 127]++;
        counts[2 + (i & 1)][words[i] >> 24 & 127]++;
    }
    for (int b = 0; b < 128; b++) counts[0][b] += counts[1][b] + counts[2][b] + counts[3][b];
    for (int code = 0; code < 8; code++) {
        int most = 0;
        for (int b = 1; b < 128; b++) most = counts[0][b] > counts[0][most] ? b : most;
        table[code] = most, table[code + 8] = most | 128;
        counts[0][most] = -1;
    }
    load_tops(table, tops);
    for (long k = 0; k < K; k++) exceptions += !in_table(words + k * (NR / 2), tops);
    return exceptions;
}

/* The codes of high bytes; any code for a byte that is not in the table. */
INLINE vb codes_of(vb high, const uint8_t *table) {
    vb codes = high >> 7 << 3;
    for (int i = 1; i < 8; i++) codes |= (vb)((high & 127) == table[i]) & (uint8_t)i;
    return codes;
}

/* bf16 words [K][NR/2] -> panel, whose table is there already, and its exceptions at `escape`. */
static void compress_panel(const uint32_t *words, long K, uint32_t *panel, uint32_t *escape) {
    const uint8_t *table = (const uint8_t *)panel;
    vh tops[8];
    load_tops(table, tops);
    memset(panel + 4, 0, (HEAD12 - 4) * 4);
    panel[4] = escape - panel;
    for (long k = 0; k < K; k++) {
        if (in_table(words + k * (NR / 2), tops)) continue;
        escape[0] = k;
        memcpy(escape + 1, words + k * (NR / 2), NR / 2 * 4);
        escape += ESCAPE;
    }
    escape[0] = NO_ROW;
    panel += HEAD12;
    for (long k = 0; k < K; k += UNIT, words += 4 * VL, panel += 3 * VL) {
        const vb a = load_u8(words), b = load_u8(words + VL), c = load_u8(words + 2 * VL), d = load_u8(words + 3 * VL);
        store_u8(panel, low_bytes(a, b));
        store_u8(panel + VL, low_bytes(c, d));
        store_u8(panel + 2 * VL, codes_of(high_bytes(a, b), table) | codes_of(high_bytes(c, d), table) << 4);
    }
}

/* Are the exceptions of a panel valid: in order, each k below K, and within the `room` words from the panel on? For untrusted files. */
static int exceptions_valid(const uint32_t *panel, long room, long K) {
    long at = panel[4], last = -1;
    for (; at < room && panel[at] != NO_ROW; last = panel[at], at += ESCAPE)
        if (panel[at] >= K || (long)panel[at] <= last) return 0;
    return at < room;
}

#endif
