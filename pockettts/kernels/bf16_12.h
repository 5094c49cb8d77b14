/* Lossless compression of bf16 weights to 12 bits, for products with one row of x, which are bound by memory bandwidth.
 *
 * The weights of a layer have few different exponents. So the low byte of each weight is stored as it is, and the high byte (sign and 7
 * bits of the exponent) as a 4-bit code into a table of 16 bytes: the 8 most frequent values, each with either sign. A row k of a panel
 * (NR weights) is an exception if the table lacks one of its high bytes: it is also stored uncompressed. A panel is
 *
 *   HEAD12 words     the table, 16 bytes; word 4: the offset of the panel's exceptions, in words from the start of the panel
 *   K / UNIT units   REG low bytes, REG more low bytes, and REG bytes of codes: low 4 bits for the first low bytes, high 4 bits for the
 *                    second. Low bytes interleaved with high bytes are UNIT rows of the bf16 layout of gemm.h
 *
 * The exceptions are stored after all panels, as records of ESCAPE words: k, then the NR / 2 words of that row. The word NO_ROW ends the
 * records of a panel.
 */
#ifndef POCKETTTS_BF16_12_H
#define POCKETTTS_BF16_12_H

#include "simd.h"

#define UNIT (8 / NV) /* rows of a panel that fill 4 registers with bf16 */
#define HEAD12 16
#define PANEL12(K) (HEAD12 + (K) / UNIT * (3 * VL))
#define CAN_COMPRESS(K) ((K) % UNIT == 0 && (K) <= (1 << 17) / NR)
#define ESCAPE (1 + NR / 2)
#define NO_ROW 0xffffffffu

/* The low and the high bytes of the words of a and b. */
INLINE vb low_bytes(vb a, vb b) { return pack((vh)a & 255, (vh)b & 255); }
INLINE vb high_bytes(vb a, vb b) { return pack((vh)a >> 8, (vh)b >> 8); }

/* Load the table of a panel into each 16-byte lane of a register. */
INLINE vb load_table(const uint32_t *panel) {
    vb r;
    for (int i = 0; i < REG; i += 16) memcpy((char *)&r + i, panel, 16);
    return r;
}

/* Decompress one unit to bf16 words. */
INLINE void decompress_unit(const uint32_t *unit, vb table, vu words[4]) {
    const vb low0 = load_u8(unit), low1 = load_u8(unit + VL), codes = load_u8(unit + 2 * VL);
    const vb high0 = lookup(table, codes & 15), high1 = lookup(table, codes >> 4);
    words[0] = (vu)unpack_lo(low0, high0), words[1] = (vu)unpack_hi(low0, high0);
    words[2] = (vu)unpack_lo(low1, high1), words[3] = (vu)unpack_hi(low1, high1);
}

/* Decompress a panel to words [K][NR/2]. */
static void decompress_panel(const uint32_t *panel, long K, vu *words) {
    const vb table = load_table(panel);
    const uint32_t *escape = panel + panel[4];
    panel += HEAD12;
    for (long k = 0; k < K; k += UNIT, panel += 3 * VL) decompress_unit(panel, table, words + k * NR / 2 / VL);
    for (; escape[0] != NO_ROW; escape += ESCAPE) memcpy((word *)words + escape[0] * (NR / 2), escape + 1, NR / 2 * 4);
}

/* Broadcast each of the 8 high bytes without sign of a table to a vector of 16-bit words, for comparisons. */
INLINE void load_tops(const uint8_t *table, vh tops[8]) {
    for (int i = 0; i < 8; i++) tops[i] = (vh){0} + (uint16_t)(table[i] << 8);
}

/* Whether all high bytes of a row are in the table. */
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

/* Choose the table for a panel of bf16 words [K][NR/2]; returns the number of exceptions. */
static long choose_table(const uint32_t *words, long K, uint8_t table[16]) {
    int counts[4][128] = {{0}}; /* four tables: incrementing one counter twice in a row is slow */
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

/* Compress bf16 words [K][NR/2] to `panel`, which already has its table, and write the exceptions to `escape`. */
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

/* Check the exceptions of a panel, which may come from an untrusted file: k must ascend and be below K, and all records must be within
 * `room` words from the start of the panel. */
static int exceptions_valid(const uint32_t *panel, long room, long K) {
    long at = panel[4], last = -1;
    for (; at < room && panel[at] != NO_ROW; last = panel[at], at += ESCAPE)
        if (panel[at] >= K || (long)panel[at] <= last) return 0;
    return at < room;
}

#endif
