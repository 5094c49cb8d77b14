# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, embedsignature=True
"""All kernels.

Arrays are float32 and C-contiguous unless stated otherwise, with time first and channels last: x [T, C]. A result is a new array and
shares no memory with an argument. A matrix product has T rows, K inputs and N outputs. H is the number of heads, H_kv the number of
key/value heads, D the width of a head.

A kernel splits its output into blocks and distributes them over OpenMP threads: `prange` over blocks of panels and rows, or over heads.
The schedule is static, so a thread keeps its rows, panels and heads from layer to layer and finds them in its cache. A sum is never
split, so results are bit-identical for any number of threads. Small kernels run without a parallel region. So do all kernels if the
compiler has no OpenMP (kernels/threads.h).

This file is compiled once per instruction set (setup.py), and `ops.py` picks the build that suits the CPU. The C headers in kernels/
contain all code that differs between builds.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.parallel cimport parallel, prange
from libc.math cimport sqrtf
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

cdef extern from "kernels/threads.h" nogil:
    const int HAVE_OPENMP
    int process_threads               # default number of threads of a kernel, and the limit of all teams together
    int helpers_taken                 # helper threads of all teams
    const int *own_threads            # number of threads for kernels of the calling thread; NULL: process_threads
    int team_size()                   # number of threads that the calling thread asks for
    int team_grant()                  # number of threads that it gets
    int region_begin(long work)       # number of threads for a kernel with this cost; if more than 1, call region_end after the region
    void region_end()
    void barrier()                    # inside a region: wait until all threads have finished the previous loop
    void team_release()
    void init_threads()
    ctypedef struct TeamState:
        pass
    int team_begin(TeamState *t, int size, double work, double now)
    void team_end(TeamState *t, double now)

cdef extern from "kernels/simd.h" nogil:
    const long NR, MR                 # outputs in a panel of weights, rows in the tallest register tile
    bint cpu_supports(const char *isa)

cdef extern from "kernels/rows.h" nogil:
    const long MAX_K8, PROBE_OPS
    long DEPTH8(long K)
    long ROW8(long K)
    void quantize_row(const float *x, long K, uint32_t *row)
    float row_sum(const float *a, long n)
    float row_sum_of_squares(const float *a, float mean, long n)
    float softmax_exp(float *w, long n)
    void gelu_row(const float *x, float *y, long n) noexcept
    void silu_row(const float *x, float *y, long n) noexcept
    void elu_row(const float *x, float *y, long n) noexcept
    void dot_rows(const float *q, const float *keys, long n, long ld, long D, float scale, float *scores)
    void add_weighted_rows(const float *w, const float *values, long n, long D, float *y)
    float read_probe(const float *x, long n)
    float fma_probe(long rounds)
    float dot_probe(long rounds)

cdef extern from "kernels/bf16_12.h" nogil:
    const long ESCAPE
    bint CAN_COMPRESS(long K)
    long PANEL12(long K)
    long choose_table(const uint32_t *words, long K, uint8_t *table)
    void compress_panel(const uint32_t *words, long K, uint32_t *panel, uint32_t *escape)
    bint exceptions_valid(const uint32_t *panel, long room, long K)

cdef extern from "kernels/gemm.h" nogil:
    ctypedef struct Epilogue:         # y = (sum + bias) * scale + add
        const float *bias
        const float *scale
        const float *add
        long ld_scale, ld_add
    Epilogue epilogue_at(const Epilogue *e, long row, long col)
    void panels_f32(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                    const Epilogue *e, float *y, long ldy, long n)
    void panels_bf16(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                     const Epilogue *e, float *y, long ldy, long n)
    void panels_bf16_12(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                        const Epilogue *e, float *y, long ldy, long n)
    void panels_int8(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                     const Epilogue *e, float *y, long ldy, long n)

init_threads()
OPENMP = bool(HAVE_OPENMP)            # False: built by a compiler without OpenMP, so every kernel runs on one thread


# --- threads -----------------------------------------------------------------------------------------------------------------

def supports(isa: str) -> bool:
    """Whether this CPU supports the build for `isa`, one of the names in setup.py except "base"."""
    return cpu_supports(isa.encode())


def set_threads(int n):
    """Set the number of threads of all kernels in this process."""
    global process_threads
    process_threads = max(1, n)


def get_threads() -> int:
    """Number of threads that a large kernel called by this thread uses if other callers leave enough; 1 without OpenMP."""
    return team_size()


def release_threads():
    """End the helper threads of the calling thread, so that other callers can use as many. Its next large kernel starts new ones."""
    team_release()


def free_helpers() -> int:
    """Number of helper threads that a thread without helpers could get. For tests."""
    return process_threads - 1 - helpers_taken


cdef class Pacer:
    """The rule that makes a team smaller while its helpers are late (kernels/threads.h), with explicit times. For tests."""
    cdef TeamState state

    def __cinit__(self):
        memset(&self.state, 0, sizeof(TeamState))

    def begin(self, int size, double work, double now) -> int:
        """Begin a region of a team of `size` threads; returns how many of them it uses."""
        return team_begin(&self.state, size, work, now)

    def end(self, double now):
        """End the region."""
        team_end(&self.state, now)


cdef class Team:
    """Number of threads, at least 1, for the kernels of all threads that joined the team.

    A kernel reads it when it starts, so another thread may change it at any time.
    """
    cdef int _size

    def __init__(self, int size):
        self.size = size

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, int size):
        self._size = max(1, size)


def join(Team team):
    """From now on, kernels called by the current thread use the team's number of threads; None: the process's number.

    The caller must keep the team alive until join(None).
    """
    global own_threads
    own_threads = NULL if team is None else &team._size


cdef inline long cost(long weights, long rows) noexcept nogil:
    """Cost estimate of a product: weights x rows. Below 6 rows, the time to read the weights dominates."""
    return weights * max(rows, 6)


# --- rows: activations and normalization -------------------------------------------------------------------------------------

ctypedef void (*Activation)(const float *x, float *y, long n) noexcept nogil


cdef Activation activation_row(str name) except? NULL:
    if name is None:
        return NULL
    if name == "gelu":                # x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) (arXiv 1606.08415)
        return gelu_row
    if name == "silu":                # x * sigmoid(x)
        return silu_row
    raise ValueError(f"there is no activation {name!r}")


cdef enum:
    ELEMENTS = 4096                   # in a block of an elementwise operation; a multiple of the vector size


cdef inline void elu_block(const float *x, float *y, long n, long i) noexcept nogil:
    """Compute block i of y [n] = elu(x [n])."""
    elu_row(x + i * ELEMENTS, y + i * ELEMENTS, min(<long>ELEMENTS, n - i * ELEMENTS))


def elu(const float[:, ::1] x):
    """ELU: y = x if x > 0, else exp(x) - 1. x [T, C] -> y float32 [T, C]."""
    out = np.empty((x.shape[0], x.shape[1]), np.float32)
    cdef float[:, ::1] y = out
    cdef long n = x.shape[0] * x.shape[1], blocks = (n + ELEMENTS - 1) // ELEMENTS, i
    cdef const float *source = &x[0, 0] if n else NULL
    cdef float *target = &y[0, 0] if n else NULL
    cdef int threads = region_begin(cost(n, 32))
    with nogil:
        if threads == 1:
            for i in range(blocks):
                elu_block(source, target, n, i)
        else:
            for i in prange(blocks, num_threads=threads, schedule="static"):
                elu_block(source, target, n, i)
            region_end()
    return out


cdef struct LayerNorm:                # y [C] = (x - mean) / sqrt(variance + eps) * weight + bias, then * (1 + scale) + shift
    const float *weight               # [C]; NULL: no weight and bias
    const float *bias
    float eps
    const float *shift                # [1 or T, C]; NULL: no shift and scale. ld: row stride in floats, 0 if one row serves all
    const float *scale
    long ld_shift, ld_scale


cdef void norm_row(const LayerNorm *norm, const float *x, long C, long t, float *y) noexcept nogil:
    """Normalize row t: x [C] -> y [C]. y must not alias x."""
    cdef const float *shift = norm.shift + t * norm.ld_shift
    cdef const float *scale = norm.scale + t * norm.ld_scale
    cdef float mean = row_sum(x, C) / C
    cdef float inv = 1 / sqrtf(row_sum_of_squares(x, mean, C) / C + norm.eps)
    cdef long c
    for c in range(C):
        y[c] = (x[c] - mean) * inv
    if norm.weight:
        for c in range(C):
            y[c] = y[c] * norm.weight[c] + norm.bias[c]
    if norm.shift:
        for c in range(C):
            y[c] = y[c] * (1 + scale[c]) + shift[c]


cdef class Norm:
    """LayerNorm over the channels of each row (arXiv 1607.06450): (x - mean) / sqrt(variance + eps) * weight + bias.

    weight, bias: [C] each, or None for both. norm(x) takes x [T, C] and returns float32 [T, C]. With shift and scale, [1 or T, C] each,
    it multiplies the result by (1 + scale) and adds shift (AdaLN, arXiv 2212.09748). Raises ValueError if shapes do not match.
    """
    cdef const float[::1] weight, bias
    cdef float eps

    def __init__(self, const float[::1] weight, const float[::1] bias, float eps):
        if (weight is None) != (bias is None) or (weight is not None and weight.shape[0] != bias.shape[0]):
            raise ValueError("Norm: weight and bias do not match")
        self.weight, self.bias, self.eps = weight, bias, eps

    def __call__(self, const float[:, ::1] x, const float[:, :] shift=None, const float[:, :] scale=None):
        cdef long T = x.shape[0], C = x.shape[1], t
        cdef LayerNorm norm = self.of(T, C, shift, scale)
        out = np.empty((T, C), np.float32)
        cdef float[:, ::1] y = out
        for t in range(T):
            norm_row(&norm, &x[t, 0], C, t, &y[t, 0])
        return out

    cdef LayerNorm of(self, long T, long C, const float[:, :] shift, const float[:, :] scale) except *:
        """The struct for T rows of C channels. Raises ValueError if shapes do not match."""
        cdef LayerNorm norm
        if (self.weight is not None and self.weight.shape[0] != C) or (shift is None) != (scale is None) or \
                (shift is not None and not (fits(shift, T, C) and fits(scale, T, C))):
            raise ValueError(f"Norm: weight, bias, shift or scale do not fit {T} x {C}")
        norm.weight = NULL if self.weight is None or C == 0 else &self.weight[0]
        norm.bias = NULL if self.weight is None or C == 0 else &self.bias[0]
        norm.eps = self.eps
        norm.shift, norm.ld_shift = row_pointer(shift), row_step(shift)
        norm.scale, norm.ld_scale = row_pointer(scale), row_step(scale)
        return norm


cdef inline bint fits(const float[:, :] rows, long T, long n) noexcept:
    """Whether `rows` is [1 or T, n] and each row is contiguous."""
    return rows.shape[1] == n and rows.shape[0] in (1, T) and rows.strides[1] == 4


cdef inline const float *row_pointer(const float[:, :] rows) noexcept:
    return &rows[0, 0] if rows is not None and rows.shape[0] and rows.shape[1] else NULL


cdef inline long row_step(const float[:, :] rows) noexcept:
    """Row stride in floats; 0 if one row serves all."""
    return 0 if rows is None or rows.shape[0] == 1 else rows.strides[0] // 4


# --- weights -----------------------------------------------------------------------------------------------------------------

cdef class Matrix:
    """Weights w [N, K] of a matrix product, packed for the register tiles: panels of NR outputs, in 32-bit words (kernels/gemm.h).

        w                         format   words
        float32                   f32      [N/NR, K, NR]
        bf16 as uint16            bf16     [N/NR, K, NR/2]: outputs c (low half) and c + NR/2 (high half) in a word
        either, with `quantize`   int8     [N/NR, K/4 + 1, NR]: four consecutive k in a word; the last row holds each output's scale

    `compress` stores bf16 in 12 bits a weight, without loss, if that is smaller (kernels/bf16_12.h).
    Raises ValueError if an int8 matrix has more than MAX_K8 inputs.
    """
    cdef readonly long n, k
    cdef readonly str format          # "f32", "bf16", "int8"
    cdef readonly bint compressed
    cdef readonly object packed       # uint32 [words]
    cdef const uint32_t[::1] words
    cdef long panels, panel           # number of panels; words in a panel
    cdef float[::1] row               # f32 or bf16 with N = 1: the weights [K], since a panel would be mostly padding; else None

    def __init__(self, w, bint quantize=False, bint compress=False):
        """Pack w [N, K], float32 or bf16 as uint16."""
        n, k = w.shape
        self._describe(n, k, "int8" if quantize else "bf16" if w.dtype == np.uint16 else "f32")
        w = np.ascontiguousarray(w, np.uint16 if w.dtype == np.uint16 else np.float32)
        packed = np.empty(self.panels * self.panel, np.uint32)
        cdef uint32_t[::1] words = packed
        cdef const uint16_t[:, ::1] half
        cdef const float[:, ::1] full
        cdef const uint16_t *w16 = NULL
        cdef const float *w32 = NULL
        cdef long N = n, K = k, panels = self.panels, panel = self.panel, b
        cdef int threads = team_grant()
        if w.dtype == np.uint16:
            half = w
            w16 = &half[0, 0]
        else:
            full = w
            w32 = &full[0, 0]
        for b in prange(panels, num_threads=threads, schedule="static", nogil=True):
            if quantize:
                pack_int8(w16, w32, N, K, b, &words[b * panel])
            elif w16:
                pack_bf16(w16, N, K, b, &words[b * panel])
            else:
                pack_f32(w32, N, K, b, &words[b * panel])
        self._take(packed)
        if compress and self.format == "bf16" and n > 1 and CAN_COMPRESS(k):
            self._compress()

    def _compress(self):
        """Compress bf16 to 12 bits, unless too many exceptions would make that slow and large."""
        cdef const uint32_t[::1] words = self.words
        cdef long panels = self.panels, K = self.k, wide = self.panel, narrow = PANEL12(K), b
        cdef int threads = team_grant()
        tables, ends = np.empty((panels, 16), np.uint8), np.empty(panels + 1, np.int64)
        cdef uint8_t[:, ::1] table = tables
        cdef int64_t[::1] escapes = ends                     # for each panel: number of exceptions, then offset of the first one
        cdef uint32_t[::1] small
        for b in prange(panels, num_threads=threads, schedule="static", nogil=True):
            escapes[b] = choose_table(&words[b * wide], K, &table[b, 0])
        ends[1:] = np.cumsum(ends[:panels] * ESCAPE + 1)
        ends[0] = 0
        ends += panels * narrow
        if escapes[panels] > len(self.packed) * 13 // 16:
            return
        packed = np.empty(escapes[panels], np.uint32)
        small = packed
        for b in prange(panels, num_threads=threads, schedule="static", nogil=True):
            memcpy(&small[b * narrow], &table[b, 0], 16)
            compress_panel(&words[b * wide], K, &small[b * narrow], &small[escapes[b]])
        self.panel, self.compressed = narrow, True
        self._take(packed)

    @staticmethod
    def of(long n, long k, str format, packed) -> Matrix:
        """A matrix [n, k] from the `packed` words of another one. Raises ValueError if they are invalid: they may come from a file."""
        cdef Matrix m = Matrix.__new__(Matrix)
        cdef const uint32_t[::1] words = packed
        cdef long i
        m._describe(n, k, format)
        if format == "bf16" and len(packed) != m.panels * m.panel and CAN_COMPRESS(k):
            m.panel, m.compressed = PANEL12(k), True
        valid = len(packed) >= m.panels * m.panel if m.compressed else len(packed) == m.panels * m.panel
        for i in range(m.panels if valid and m.compressed else 0):
            valid = valid and exceptions_valid(&words[i * m.panel], len(packed) - i * m.panel, k)
        if not valid:
            raise ValueError(f"{len(packed)} words do not hold a valid {n} x {k} matrix of {format}")
        m._take(packed)
        return m

    cdef int _describe(self, long n, long k, str format) except -1:
        if format == "int8" and k > MAX_K8:
            raise ValueError(f"int8: {k} inputs are more than {MAX_K8}")
        self.n, self.k, self.format, self.panels = n, k, format, (n + NR - 1) // NR
        self.panel = k * NR if format == "f32" else k * NR // 2 if format == "bf16" else (DEPTH8(k) + 1) * NR
        return 0

    cdef int _take(self, packed) except -1:
        self.packed = self.words = packed
        if self.n == 1 and self.format != "int8":
            first = np.asarray(packed)[:: NR if self.format == "f32" else NR // 2]
            self.row = (first << 16 if self.format == "bf16" else first.copy()).view(np.float32)
        return 0


cdef void pack_f32(const float *w, long N, long K, long b, uint32_t *words) noexcept nogil:
    """Pack panel b of w [N, K] -> words [K][NR]."""
    cdef const uint32_t *rows = <const uint32_t *>w + b * NR * K
    cdef long n = N - b * NR, c, k
    for k in range(K):
        for c in range(NR):
            words[k * NR + c] = rows[c * K + k] if c < n else 0


cdef void pack_bf16(const uint16_t *w, long N, long K, long b, uint32_t *words) noexcept nogil:
    """Pack panel b of w [N, K] -> words [K][NR/2]: output c in the low half, c + NR/2 in the high half."""
    cdef const uint16_t *rows = w + b * NR * K
    cdef long n = N - b * NR, c, k, half = NR // 2
    cdef uint32_t low, high
    for k in range(K):
        for c in range(half):
            low = rows[c * K + k] if c < n else 0
            high = rows[(c + half) * K + k] if c + half < n else 0
            words[k * half + c] = low | (high << 16)


cdef void pack_int8(const uint16_t *w16, const float *w32, long N, long K, long b, uint32_t *words) noexcept nogil:
    """Quantize panel b of w [N, K], bf16 or float32, with one scale per output, and pack it -> words [DEPTH8(K) + 1][NR]."""
    cdef long c, k, row, D = DEPTH8(K)
    cdef uint32_t *wide = <uint32_t *>malloc((K + ROW8(K)) * sizeof(uint32_t))           # a row as floats, then in int8
    cdef uint32_t *small = wide + K
    memset(words, 0, (D + 1) * NR * sizeof(uint32_t))
    for c in range(min(NR, N - b * NR)):
        row = (b * NR + c) * K
        for k in range(K):
            wide[k] = <uint32_t>w16[row + k] << 16 if w16 else (<const uint32_t *>w32)[row + k]
        quantize_row(<const float *>wide, K, small)
        for k in range(D + 1):        # the scale included
            words[k * NR + c] = small[k]
    free(wide)


# --- matrix product ----------------------------------------------------------------------------------------------------------

ctypedef void (*Panels)(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                        const Epilogue *e, float *y, long ldy, long n) noexcept nogil


# y [T, N] = f((x [T, K] w^T + bias) * scale + add), in blocks of panels and rows. If there is a norm, or the weights are int8, x is
# first computed from `source`, row by row: normalized, quantized, or both.
cdef struct Product:
    long T, N, K
    const float *x                    # ldx: row stride in floats (int8: in words)
    long ldx
    const uint32_t *words             # the weights: `panels` panels of `panel` words
    long panel, panels
    Panels multiply
    const float *row                  # N = 1: the weights [K]; else NULL
    Epilogue epilogue
    Activation activation             # f; NULL: none
    float *y
    LayerNorm norm
    const float *source               # rows to prepare; ld_source: row stride in floats
    long ld_source, to_prepare        # to_prepare: T, or 0 if x is ready
    float *normed                     # [T, K]; NULL: no norm
    uint32_t *int8                    # [T, ROW8(K)]; NULL: not int8
    long panel_blocks, row_blocks     # number of blocks of panels, of rows
    bint rows_outside                 # order of the blocks: row block by row block; else panel block by panel block


cdef inline float *floats(bytes memory) noexcept:
    return <float *>PyBytes_AS_STRING(memory)


cdef bytes set_product(Product *p, Matrix w, const float *x, long ldx, long T, const Epilogue *epilogue, Activation activation,
                        float *y, const LayerNorm *norm=NULL):
    """Fill in p. Returns the memory of the prepared rows; the caller must keep it until the product is computed."""
    cdef bint int8 = w.format == "int8"
    cdef long normed = T * w.k if norm != NULL else 0
    cdef bytes memory = PyBytes_FromStringAndSize(NULL, 4 * (normed + (T * ROW8(w.k) if int8 else 0)))
    memset(p, 0, sizeof(Product))
    p.T, p.N, p.K, p.x, p.ldx, p.y = T, w.n, w.k, x, ldx, y
    p.words, p.panel, p.panels = &w.words[0], w.panel, w.panels
    p.row = NULL if w.row is None else &w.row[0]
    p.multiply = panels_bf16_12 if w.compressed else panels_bf16 if w.format == "bf16" else panels_int8 if int8 else panels_f32
    p.epilogue, p.activation = epilogue[0], activation
    if norm != NULL or int8:
        p.source, p.ld_source, p.to_prepare = x, ldx, T
    if norm != NULL:
        p.norm, p.normed = norm[0], floats(memory)
        p.x, p.ldx = p.normed, p.K
    if int8:
        p.int8 = <uint32_t *>floats(memory) + normed
        p.x, p.ldx = <const float *>p.int8, ROW8(p.K)
    return memory


cdef inline long product_cost(const Product *p) noexcept nogil:
    return cost(p.N * p.K, p.T)


cdef inline long split(Product *p, int threads) noexcept nogil:
    """Split the product into blocks, if possible the same number for each thread; returns the number of blocks.

    One row is bound by reading the weights: a block is one thread's share of adjacent panels. With more rows a block is one panel, and
    is also split by rows if there are few panels. With 64 rows or more and few weights a block is some rows of all panels, so that a
    thread keeps the same rows in each layer.
    """
    p.rows_outside = p.T >= 64 and p.N * p.K <= 1 << 19
    p.panel_blocks, p.row_blocks = p.panels, 1
    if p.row:
        p.row_blocks = min(p.T, threads)
    elif p.T == 1:
        p.panel_blocks = min(p.panels, threads)
    elif p.rows_outside:
        p.row_blocks = min(p.T, 4 * threads)
    else:
        while p.panels * p.row_blocks % threads and p.panels * p.row_blocks < 8 * threads and (p.row_blocks + 1) * MR <= p.T:
            p.row_blocks += 1
    return p.panel_blocks * p.row_blocks


cdef void prepare_row(const Product *p, long t) noexcept nogil:
    """Compute row t of x from the source."""
    cdef const float *x = p.source + t * p.ld_source
    if p.normed:
        norm_row(&p.norm, x, p.K, t, p.normed + t * p.K)
        x = p.normed + t * p.K
    if p.int8:
        quantize_row(x, p.K, p.int8 + t * ROW8(p.K))


cdef void multiply_block(const Product *p, long i) noexcept nogil:
    """Compute block i of y."""
    cdef long a = i // p.panel_blocks if p.rows_outside else i % p.row_blocks           # its row block and its panel block
    cdef long b = i % p.panel_blocks if p.rows_outside else i // p.row_blocks
    cdef long t0 = p.T * a // p.row_blocks, t1 = p.T * (a + 1) // p.row_blocks, t
    cdef long first = p.panels * b // p.panel_blocks, panels = p.panels * (b + 1) // p.panel_blocks - first
    cdef long col = first * NR, n = min(panels * NR, p.N - col)
    cdef float *y = p.y + t0 * p.N + col
    cdef Epilogue e = epilogue_at(&p.epilogue, t0, col)
    if p.row:
        dot_rows(p.row, p.x + t0 * p.ldx, t1 - t0, p.ldx, p.K, 1, y)
        for t in range(t1 - t0):
            if e.bias: y[t] += e.bias[0]
            if e.scale: y[t] *= e.scale[t * e.ld_scale]
            if e.add: y[t] += e.add[t * e.ld_add]
    elif t1 > t0:
        p.multiply(p.words + first * p.panel, p.panel, panels, p.x + t0 * p.ldx, p.ldx, t1 - t0, p.K, &e, y, p.N, n)
    if p.activation:
        for t in range(t1 - t0):
            p.activation(y + t * p.N, y + t * p.N, n)


cdef void multiply(Product *p) noexcept nogil:
    """Compute the whole product on the calling thread."""
    cdef long i
    for i in range(p.to_prepare):
        prepare_row(p, i)
    for i in range(split(p, 1)):
        multiply_block(p, i)


def linear(const float[:, ::1] x, Matrix w, const float[::1] bias=None, const float[:, :] scale=None,
           const float[:, :] add=None, Norm norm=None, str activation=None):
    """Matrix product: y = activation((norm(x) w^T + bias) * scale + add). Returns float32 [T, N].

    x [T, K]; bias [N]; scale, add [1 or T, N] (rows need not be adjacent); activation "gelu" or "silu". All but x and w are optional.
    With int8 weights each row of x is quantized to int8 too, with its own scale.
    Raises ValueError if shapes do not match.
    """
    cdef long T = x.shape[0], K = w.k, blocks, i
    if x.shape[1] != w.k:
        raise ValueError(f"linear: x has {x.shape[1]} columns, but the weights have {w.k} inputs")
    if (bias is not None and bias.shape[0] != w.n) or (add is not None and not fits(add, T, w.n)) or \
            (scale is not None and not fits(scale, T, w.n)):
        raise ValueError(f"linear: bias, scale or add do not fit {T} x {w.n}")
    out = np.empty((T, w.n), np.float32)
    cdef float[:, ::1] y = out
    cdef Activation f = activation_row(activation)
    cdef LayerNorm own
    if norm is not None:
        own = norm.of(T, K, None, None)
    if T == 0:
        return out
    cdef Epilogue e = epilogue(bias, scale, add)
    cdef Product p
    cdef bytes memory = set_product(&p, w, &x[0, 0], K, T, &e, f, &y[0, 0], NULL if norm is None else &own)
    cdef int threads = region_begin(product_cost(&p))
    with nogil:
        if threads == 1:
            multiply(&p)
        else:
            blocks = split(&p, threads)
            with parallel(num_threads=threads):
                for i in prange(p.to_prepare, schedule="static"):
                    prepare_row(&p, i)
                barrier()
                for i in prange(blocks, schedule="static"):
                    multiply_block(&p, i)
            region_end()
    return out


cdef inline Epilogue epilogue(const float[::1] bias, const float[:, :] scale, const float[:, :] add) noexcept:
    cdef Epilogue e
    e.bias = NULL if bias is None else &bias[0]
    e.scale, e.ld_scale = row_pointer(scale), row_step(scale)
    e.add, e.ld_add = row_pointer(add), row_step(add)
    return e


def mlp(const float[:, ::1] x, Norm norm, Matrix w1, const float[::1] bias1, str activation, Matrix w2, const float[::1] bias2,
        const float[:, :] gate=None, const float[:, :] shift=None, const float[:, :] scale=None):
    """Residual MLP block: y = x + gate * (w2 f(w1 norm(x) + bias1) + bias2). Returns float32 [T, C].

    x [T, C]; w1 [hidden, C], w2 [C, hidden]; biases [hidden] and [C], or None; activation f: "gelu" or "silu". Optional: gate, and
    shift and scale of the norm, [1 or T, C] each (rows need not be adjacent). Raises ValueError if shapes do not match.
    """
    cdef long T = x.shape[0], C = x.shape[1], blocks1, blocks2, i
    if w1.k != C or w2.n != C or w2.k != w1.n or (bias1 is not None and bias1.shape[0] != w1.n) or \
            (bias2 is not None and bias2.shape[0] != C) or (gate is not None and not fits(gate, T, C)):
        raise ValueError(f"mlp: weights, biases or gate do not fit {T} x {C}")
    cdef LayerNorm own = norm.of(T, C, shift, scale)
    cdef Activation f = activation_row(activation)
    out = np.empty((T, C), np.float32)
    if T == 0:
        return out
    cdef float[:, ::1] y = out
    cdef bytes memory = PyBytes_FromStringAndSize(NULL, 4 * T * w1.n)
    cdef float *hidden = floats(memory)                                                  # [T, hidden]
    cdef Epilogue e1 = epilogue(bias1, None, None), e2 = epilogue(bias2, gate, x)
    cdef Product p1, p2
    cdef bytes rows1 = set_product(&p1, w1, &x[0, 0], C, T, &e1, f, hidden, &own)
    cdef bytes rows2 = set_product(&p2, w2, hidden, w1.n, T, &e2, NULL, &y[0, 0])
    cdef int threads = region_begin(product_cost(&p1) + product_cost(&p2))
    with nogil:
        if threads == 1:
            multiply(&p1)             # hidden = f(w1 norm(x) + bias1)
            multiply(&p2)             # y = x + gate * (w2 hidden + bias2)
        else:
            blocks1, blocks2 = split(&p1, threads), split(&p2, threads)
            with parallel(num_threads=threads):
                for i in prange(p1.to_prepare, schedule="static"):
                    prepare_row(&p1, i)
                barrier()
                for i in prange(blocks1, schedule="static"):
                    multiply_block(&p1, i)
                barrier()
                for i in prange(p2.to_prepare, schedule="static"):
                    prepare_row(&p2, i)
                barrier()
                for i in prange(blocks2, schedule="static"):
                    multiply_block(&p2, i)
            region_end()
    return out


# --- attention ---------------------------------------------------------------------------------------------------------------

cdef struct Queries:                  # the T queries of one stream and its KV cache; see `attention`
    float *qkv                        # [T, (H + 2 H_kv) D]
    float *keys                       # [H_kv, capacity, D], like values
    float *values
    float *scores                     # [H, T, longest]
    float *y                          # [T, H D]
    const float *cos                  # [T, D/2], like sin
    const float *sin
    long T, H, H_kv, D, capacity, end, context
    long longest                      # the most positions that a query attends to
    long blocks                       # number of blocks of QUERY_BLOCK queries


cdef enum:
    QUERY_BLOCK = 16                  # queries that are multiplied with a block of keys while it is in the CPU cache
    KEY_BLOCK = 64                    # rows of keys or values: 16 KB with D = 64


cdef inline void rotate(const float *x, const float *cos, const float *sin, float *y, long D) noexcept nogil:
    """RoPE on interleaved pairs: rotate (x[2i], x[2i + 1]) by the angle of pair i. y may alias x."""
    cdef long i
    cdef float a, b
    for i in range(D // 2):
        a = x[2 * i]
        b = x[2 * i + 1]
        y[2 * i] = a * cos[i] - b * sin[i]
        y[2 * i + 1] = a * sin[i] + b * cos[i]


cdef void rotate_and_store(const Queries *streams, long i) noexcept nogil:
    """For row i of the rows of all streams: rotate its queries in place; write its rotated keys and its values to the KV cache."""
    cdef const Queries *s = streams
    cdef long h, row, D
    while i >= s.T:
        i -= s.T
        s += 1
    D = s.D
    row = s.end - s.T + i
    cdef float *x = s.qkv + i * (s.H + 2 * s.H_kv) * D
    cdef const float *cos = s.cos + i * (D // 2)
    cdef const float *sin = s.sin + i * (D // 2)
    for h in range(s.H):
        rotate(x + h * D, cos, sin, x + h * D, D)
    for h in range(s.H_kv):
        rotate(x + (s.H + h) * D, cos, sin, s.keys + (h * s.capacity + row) * D, D)
        memcpy(s.values + (h * s.capacity + row) * D, x + (s.H + s.H_kv + h) * D, D * sizeof(float))


cdef inline long first_seen(const Queries *s, long t) noexcept nogil:
    """The first position that query t attends to."""
    return max(0, s.end - s.T + t + 1 - s.context) if s.context > 0 else 0


cdef void attend(const Queries *streams, long blocks, long i) noexcept nogil:
    """Compute y = softmax(q k^T / sqrt(D)) v for block i of H heads x `blocks` query blocks of all streams.

    Keys and values are read in blocks that stay in the CPU cache for all queries of the query block.
    """
    cdef const Queries *s = streams
    cdef long h = i // blocks, at = i % blocks
    while at >= s.blocks:
        at -= s.blocks
        s += 1
    cdef long D = s.D, t0 = at * QUERY_BLOCK, t1 = min(t0 + QUERY_BLOCK, s.T), t, start, stop, first, last, d
    cdef const float *keys = s.keys + h // (s.H // s.H_kv) * s.capacity * D
    cdef const float *values = s.values + h // (s.H // s.H_kv) * s.capacity * D
    cdef float scale = 1 / sqrtf(<float>D)
    cdef float totals[QUERY_BLOCK]
    cdef float *w
    cdef float *y
    cdef int phase
    for phase in range(2):            # first the scores, then the sum of the values weighted by softmax
        at = first_seen(s, t0)
        while at < s.end - s.T + t1:
            for t in range(t0, t1):
                start, stop = first_seen(s, t), s.end - s.T + t + 1
                first, last = max(start, at), min(stop, at + KEY_BLOCK)
                w = s.scores + (h * s.T + t) * s.longest + first - start
                if first < last and phase == 0:
                    dot_rows(s.qkv + (t * (s.H + 2 * s.H_kv) + h) * D, keys + first * D, last - first, D, D, scale, w)
                elif first < last:
                    add_weighted_rows(w, values + first * D, last - first, D, s.y + (t * s.H + h) * D)
            at += KEY_BLOCK
        for t in range(t0, t1):
            y = s.y + (t * s.H + h) * D
            if phase == 0:
                totals[t - t0] = softmax_exp(s.scores + (h * s.T + t) * s.longest, s.end - s.T + t + 1 - first_seen(s, t))
                memset(y, 0, D * sizeof(float))
            else:
                for d in range(D):
                    y[d] /= totals[t - t0]


def attention(float[:, ::1] qkv, list streams, const float[:, :, ::1] rope, long context=0):
    """Causal attention with KV caches and RoPE. Returns float32 [T, H D].

        y = softmax(rotate(q) rotate(k)^T / sqrt(D)) v     (arXiv 1706.03762; grouped queries: 2305.13245; RoPE: 2104.09864)

    qkv [T, (H + 2 H_kv) D]: queries (rotated in place), keys and values of all streams' rows, stream by stream.
    streams: (rows, keys, values, end, position) for each stream. keys and values [H_kv, capacity, D] are its KV cache: rows
    end - rows .. end are written, and rows 0 .. end are attended to. Its last row is at position - 1.
    rope [2, P, D/2]: cosines and sines of P positions.
    context: attend only to the last `context` positions, including the query's own; 0: to all.
    Raises ValueError if shapes do not match.
    """
    cdef long T = qkv.shape[0], n = len(streams), D = 2 * rope.shape[2], H, at = 0, room = 0, work = 0, blocks = 0
    cdef long i, rows, end, position
    cdef float[:, :, ::1] keys, values
    cdef bytes memory = PyBytes_FromStringAndSize(NULL, n * sizeof(Queries))
    cdef Queries *queries = <Queries *>PyBytes_AS_STRING(memory)
    cdef Queries *s
    if n < 1 or rope.shape[0] != 2:
        raise ValueError("attention: no streams, or no rope")
    for i in range(n):
        rows, keys, values, end, position = streams[i]
        s = &queries[i]
        s.T, s.H_kv, s.D, s.capacity, s.end, s.context = rows, keys.shape[0], D, keys.shape[1], end, context
        s.H = qkv.shape[1] // max(1, D) - 2 * s.H_kv
        s.longest = min(end, context) if context > 0 else end
        if D < 2 or s.H_kv < 1 or keys.shape[2] != D or s.H < 1 or s.H % s.H_kv or qkv.shape[1] != (s.H + 2 * s.H_kv) * D or \
                s.H != queries[0].H or values.shape[0] != s.H_kv or values.shape[1] != s.capacity or values.shape[2] != D or \
                not 0 < rows <= end <= s.capacity or at + rows > T or not rows <= position <= rope.shape[1]:
            raise ValueError("attention: shapes do not match")
        s.qkv, s.keys, s.values = &qkv[at, 0], &keys[0, 0, 0], &values[0, 0, 0]
        s.cos, s.sin = &rope[0, position - rows, 0], &rope[1, position - rows, 0]
        s.blocks = (rows + QUERY_BLOCK - 1) // QUERY_BLOCK
        at, blocks, room = at + rows, blocks + s.blocks, room + rows * s.H * s.longest
        work += cost(2 * s.H * s.longest * D, rows)
    if at != T:
        raise ValueError(f"attention: streams have {at} of {T} rows")
    H = queries[0].H
    out = np.empty((T, H * D), np.float32)
    cdef float[:, ::1] y = out
    cdef bytes weights = PyBytes_FromStringAndSize(NULL, 4 * room)
    at = room = 0
    for i in range(n):
        s = &queries[i]
        s.y, s.scores = &y[at, 0], floats(weights) + room
        at, room = at + s.T, room + s.T * H * s.longest
    cdef int threads = region_begin(work)
    with nogil:
        if threads == 1:
            for i in range(T):
                rotate_and_store(queries, i)
            for i in range(H * blocks):
                attend(queries, blocks, i)
        else:
            with parallel(num_threads=threads):
                for i in prange(T, schedule="static"):
                    rotate_and_store(queries, i)
                barrier()
                for i in prange(H * blocks, schedule="static"):
                    attend(queries, blocks, i)
            region_end()
    return out


def attention_weights(const float[:, ::1] qkv, const float[:, :, ::1] keys, long end, long head, long start, long stop):
    """Attention weights of one head for the last row, at positions start .. stop out of `end`: float32 [stop - start].

    qkv, keys: as they are after a call of `attention` without a context, which used the same weights.
    Raises ValueError if shapes do not match.
    """
    cdef long H_kv = keys.shape[0], D = keys.shape[2]
    cdef long H = qkv.shape[1] // max(1, D) - 2 * H_kv
    if D < 1 or H_kv < 1 or qkv.shape[0] < 1 or not 0 < end <= keys.shape[1] or not 0 <= head < H or H % H_kv or \
            qkv.shape[1] != (H + 2 * H_kv) * D or not 0 <= start <= stop <= end:
        raise ValueError("attention_weights: shapes do not match")
    weights = np.empty(end, np.float32)
    cdef float[::1] w = weights
    cdef float total
    cdef long i
    with nogil:
        dot_rows(&qkv[qkv.shape[0] - 1, head * D], &keys[head // (H // H_kv), 0, 0], end, D, D, 1 / sqrtf(<float>D), &w[0])
        total = softmax_exp(&w[0], end)
        for i in range(end):
            w[i] /= total
    return weights[start:stop]


# --- convolution -------------------------------------------------------------------------------------------------------------

cdef struct Window:                   # the inputs of a convolution: history, then T rows of x or elu(x)
    const float *x                    # [T, C]
    float *history                    # [before, C]
    float *rows                       # [before + T, C]; NULL: x itself
    float *gathered                   # [outputs, width, C] if the kernel is dilated; else NULL
    long T, C, before, outputs, width, stride, dilation
    bint elu


cdef bytes set_window(Window *w, const float *x, float *history, long T, long C, long before, long width, long stride, long dilation,
                       bint elu):
    """Fill in w. Returns its memory, which the caller must keep."""
    cdef long rows = (before + T) * C if before or elu else 0
    cdef long gathered = T // stride * width * C if dilation > 1 and width > 1 else 0
    cdef bytes memory = PyBytes_FromStringAndSize(NULL, 4 * (rows + gathered))
    w.x, w.history, w.T, w.C, w.before, w.elu = x, history, T, C, before, elu
    w.outputs, w.width, w.stride, w.dilation = T // stride, width, stride, dilation
    w.rows = floats(memory) if rows else NULL
    w.gathered = floats(memory) + rows if gathered else NULL
    return memory


cdef inline long window_blocks(const Window *w) noexcept nogil:
    return (w.T * w.C + ELEMENTS - 1) // ELEMENTS if w.rows else 0


cdef void fill_window(const Window *w, long i) noexcept nogil:
    """Fill block i of the rows from x. Block 0 also copies the history, which no other block reads."""
    cdef long H = w.before * w.C, n = w.T * w.C
    if i == 0 and H:
        memcpy(w.rows, w.history, H * sizeof(float))
    if w.elu:
        elu_block(w.x, w.rows + H, n, i)
    else:
        memcpy(w.rows + H + i * ELEMENTS, w.x + i * ELEMENTS, min(<long>ELEMENTS, n - i * ELEMENTS) * sizeof(float))


cdef void gather_row(const Window *w, long i) noexcept nogil:
    """Copy the inputs of output i to consecutive memory."""
    cdef const float *rows = w.rows if w.rows else w.x
    cdef long j
    for j in range(w.width):
        memcpy(w.gathered + (i * w.width + j) * w.C, rows + (i * w.stride + j * w.dilation) * w.C, w.C * sizeof(float))


cdef void advance(const Window *w) noexcept nogil:
    """Copy the last rows to the history."""
    if w.before:
        memcpy(w.history, w.rows + w.T * w.C, w.before * w.C * sizeof(float))


def convolve(const float[:, ::1] x, float[:, ::1] history, Matrix w, const float[::1] bias=None, long stride=1, long dilation=1,
             bint elu=False, const float[:, ::1] add=None):
    """Causal convolution of the next T inputs of a stream, or of their ELU. Returns float32 [T / stride, N].

        y[t] = sum over j < width of w[:, j] inputs[t stride + j dilation] + bias + add[t],  inputs = history, then elu(x)

    x [T, C]; history [(width - 1) dilation + 1 - stride, C]: the inputs before x (with `elu`, their ELU), overwritten with the last ones;
    w [N, width C]; bias [N]; add [T / stride, N]. Without dilation the inputs of an output are width * C consecutive floats, so there
    is no im2col: the rows of the matrix product overlap. Raises ValueError if shapes do not match.
    """
    cdef long T = x.shape[0], C = x.shape[1], before = history.shape[0], width = w.k // max(1, C), blocks, i
    if min(C, stride, dilation) < 1 or w.k != width * C or T % stride or before != (width - 1) * dilation + 1 - stride or \
            (before and history.shape[1] != C) or (bias is not None and bias.shape[0] != w.n) or \
            (add is not None and (add.shape[0] != T // stride or add.shape[1] != w.n)):
        raise ValueError(f"convolve: weights, history, bias or add do not fit {T} x {C}")
    out = np.empty((T // stride, w.n), np.float32)
    if T == 0:
        return out
    cdef float[:, ::1] y = out
    cdef Window window
    cdef Product p
    cdef Epilogue e = epilogue(bias, None, add)
    cdef bytes inputs = set_window(&window, &x[0, 0], &history[0, 0] if before else NULL, T, C, before, width, stride, dilation, elu)
    cdef bytes rows = set_product(&p, w, window.gathered if window.gathered else window.rows if window.rows else &x[0, 0],
                                  w.k if window.gathered else stride * C, window.outputs, &e, NULL, &y[0, 0])
    cdef long to_fill = window_blocks(&window), to_gather = window.outputs if window.gathered else 0
    cdef int threads = region_begin(product_cost(&p) + cost(T * C, 32))
    with nogil:
        if threads == 1:
            for i in range(to_fill):
                fill_window(&window, i)
            for i in range(to_gather):
                gather_row(&window, i)
            multiply(&p)
        else:
            blocks = split(&p, threads)
            with parallel(num_threads=threads):
                for i in prange(to_fill, schedule="static"):
                    fill_window(&window, i)
                barrier()
                for i in prange(to_gather, schedule="static"):
                    gather_row(&window, i)
                barrier()
                for i in prange(p.to_prepare, schedule="static"):
                    prepare_row(&p, i)
                barrier()
                for i in prange(blocks, schedule="static"):
                    multiply_block(&p, i)
            region_end()
        advance(&window)
    return out


def depthwise_upsample(const float[:, ::1] x, float[:, ::1] history, const float[:, ::1] weight):
    """Depthwise transposed convolution, kernel 2 s, stride s, of the next T inputs of a stream. Returns float32 [T s, C].

        y[t s + j] = x[t] w[j] + x[t - 1] w[s + j]

    x [T, C]; history [1, C]: the input before x, overwritten with the last input; weight w [2 s, C].
    Raises ValueError if shapes do not match.
    """
    cdef long T = x.shape[0], C = x.shape[1], s = weight.shape[0] // 2, t, j, c
    if weight.shape[1] != C or weight.shape[0] != 2 * s or history.shape[0] != 1 or history.shape[1] != C:
        raise ValueError(f"depthwise_upsample: weights or history do not fit {T} x {C}")
    out = np.empty((T * s, C), np.float32)
    if T == 0 or C == 0:
        return out
    cdef float[:, ::1] y = out
    cdef const float *before = &history[0, 0]
    with nogil:
        for t in range(T):
            for j in range(s):
                for c in range(C):
                    y[t * s + j, c] = x[t, c] * weight[j, c] + before[c] * weight[s + j, c]
            before = &x[t, 0]
        memcpy(&history[0, 0], before, C * sizeof(float))
    return out


# --- roofline probes (bench/roofline.py) -------------------------------------------------------------------------------------

def read_all(const float[::1] x, int times) -> int:
    """Measure memory bandwidth: every thread reads its part of x `times` times. Returns the number of bytes read."""
    cdef int threads = team_grant()
    cdef long n = x.shape[0] // threads, i
    cdef int turn
    cdef float total = 0              # keeps the compiler from removing the loop
    for i in prange(threads, num_threads=threads, schedule="static", nogil=True):
        for turn in range(times):
            total += read_probe(&x[0] + i * n, n)
    return 4 * n * threads * times if total == total else 0


def multiply_all(long rounds, bint int8=False) -> int:
    """Measure peak arithmetic: multiply-adds of float32 or int8 in registers on all threads. Returns the number of operations, two per
    multiply-add."""
    cdef int threads = team_grant()
    cdef long i
    cdef float total = 0
    for i in prange(threads, num_threads=threads, schedule="static", nogil=True):
        total += dot_probe(rounds) if int8 else fma_probe(rounds)
    return (8 if int8 else 2) * rounds * PROBE_OPS * threads if total == total else 0
