# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, embedsignature=True
"""Every kernel of the engine.

Arrays are float32 and C-contiguous unless said otherwise; time comes first, channels last: x [T, C]. Results are new arrays.
T, K, N are rows, inputs and outputs of a product; H heads, H_kv key/value heads, D the width of a head.

Work is shared among threads (_pool.h) by outputs, never within a sum, so the bits of a result do not depend on their number.
This file is compiled once per instruction set (setup.py); `ops.py` picks the build that suits the CPU.
"""
from libc.math cimport sqrtf
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

cdef extern from "_tile.h" nogil:
    const long NR, MR, MAX_PANELS
    ctypedef struct Epilogue:
        const float *bias
        const float *scale
        const float *add
        long ld_scale, ld_add
    void panels_f32(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                    const Epilogue *e, float *y, long ldy, long n)
    void panels_bf16(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                     const Epilogue *e, float *y, long ldy, long n)
    void panels_coded(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                      const Epilogue *e, float *y, long ldy, long n)
    void panels_int8(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                     const Epilogue *e, float *y, long ldy, long n)
    const long MAX_K8
    const long ODD_ROW
    bint CAN_CODE(long K)
    long CODED_PANEL(long K)
    long choose_codes(const uint32_t *lanes, long K, uint8_t *table)
    void encode(const uint32_t *lanes, long K, uint32_t *panel, uint32_t *odd)
    bint odd_rows_fit(const uint32_t *panel, long room, long K)
    long DEPTH8(long K)
    long ROW8(long K)
    void quantize_row(const float *x, long K, uint32_t *row)
    float sum(const float *a, long n)
    float sum_of_squares(const float *a, float mean, long n)
    float exp_weights(float *w, long n)
    void gelu_row(const float *x, float *y, long n) noexcept
    void silu_row(const float *x, float *y, long n) noexcept
    void elu_row(const float *x, float *y, long n) noexcept
    void score(const float *q, const float *keys, long n, long ld, long D, float scale, float *scores)
    void mix(const float *w, const float *values, long n, long D, float *y)
    float read_probe(const float *x, long n)
    float fma_probe(long rounds)
    float dot_probe(long rounds)
    bint cpu_runs(const char *isa)

cdef extern from "_pool.h" nogil:
    const int MOST_THREADS
    const int *own_team               # how many threads the calling thread's kernels use; NULL: n_threads
    ctypedef void (*Task)(const void *job, long i) noexcept nogil
    void share(Task task, const void *job, long tasks, int threads)

cdef int n_threads = 1


cdef inline long effort(long numbers, long rows) noexcept nogil:
    """Of reading so many numbers and multiplying them with each of so many rows; for fewer than 6 rows it is the reading that takes
    the time."""
    return numbers * max(rows, 6)


cdef inline int threads_for(long effort) noexcept nogil:
    """The team, for work of more than some 3 us, which is worth a call for help (_pool.h); else the caller alone."""
    return team() if effort > 1 << 17 else 1


def supports(isa: str) -> bool:
    """Whether this CPU runs a build for `isa`, one of those in setup.py but "base"."""
    return cpu_runs(isa.encode())


def set_threads(int n):
    """Use `n` threads from now on (process-wide)."""
    global n_threads
    n_threads = max(1, n)


cdef class Team:
    """How many threads the kernels of those who joined it use: at least 1, and read at the start of each kernel, so that
    another thread may change it meanwhile."""
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
    """Kernels called by this very thread are the team's from now on; None: use as many threads as the process.

    The caller sees to it that the team lives until then.
    """
    global own_team
    own_team = NULL if team is None else &team._size


def get_threads() -> int:
    """How many threads a kernel would use now."""
    return team()


cdef inline int team() noexcept nogil:
    return own_team[0] if own_team else n_threads


# --- activations -------------------------------------------------------------------------------------------------------------

ctypedef void (*Activation)(const float *x, float *y, long n) noexcept nogil


cdef Activation activation_row(str name) except? NULL:
    if name is None:
        return NULL
    if name == "gelu":                # x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) (arXiv 1606.08415)
        return gelu_row
    if name == "silu":                # x * sigmoid(x)
        return silu_row
    raise ValueError(f"there is no activation {name!r}")


cdef struct Elements:
    const float *x
    float *y
    long n


cdef enum:
    ELEMENTS = 4096                   # of a task: whole vectors, so that each element meets the same code


cdef void elu_task(const void *elements, long i) noexcept nogil:
    cdef const Elements *e = <const Elements *>elements
    elu_row(e.x + i * ELEMENTS, e.y + i * ELEMENTS, min(<long>ELEMENTS, e.n - i * ELEMENTS))


cdef void elu_rows(const float *x, float *y, long n) noexcept nogil:
    cdef Elements e
    e.x, e.y, e.n = x, y, n
    share(elu_task, &e, (n + ELEMENTS - 1) // ELEMENTS, threads_for(effort(n, 32)))


def elu(const float[:, ::1] x):
    """x where x > 0, else exp(x) - 1, of x [T, C]."""
    out = np.empty((x.shape[0], x.shape[1]), np.float32)
    cdef float[:, ::1] y = out
    if x.shape[0] * x.shape[1]:
        with nogil:
            elu_rows(&x[0, 0], &y[0, 0], x.shape[0] * x.shape[1])
    return out


# --- matrix product ----------------------------------------------------------------------------------------------------------

cdef class Matrix:
    """Weights [N, K], repacked for the register tile: panels of NR outputs, k by k, as 32-bit lanes.

    float32 -> lanes [N/NR, K, NR]; bf16 (as uint16 words) -> [N/NR, K, NR/2], a lane holding output c (low half) and c + NR/2 (high),
    or, with `compress`, the same in 12 bits for each weight, where that takes less room (see _tile.h); either, with `quantize` -> int8,
    [N/NR, K/4 + 1, NR], a lane holding four k, and at the end each output's scale.
    """
    cdef readonly long n, k
    cdef readonly str format          # "f32", "bf16", "int8"
    cdef readonly object packed       # the lanes: uint32 [words]
    cdef const uint32_t[::1] lanes
    cdef long panels, panel           # how many, of so many words
    cdef readonly bint compressed

    def __init__(self, w, bint quantize=False, bint compress=False):
        """Of weights [N, K], float32 or bf16 words."""
        n, k = w.shape
        self._describe(n, k, "int8" if quantize else "bf16" if w.dtype == np.uint16 else "f32")
        w = np.ascontiguousarray(w, np.uint16 if w.dtype == np.uint16 else np.float32)
        packed = np.empty(self.panels * self.panel, np.uint32)
        cdef uint32_t[::1] lanes = packed
        cdef const uint16_t[:, ::1] half
        cdef const float[:, ::1] full
        cdef Packing p
        p.n, p.k, p.panel, p.lanes = n, k, self.panel, &lanes[0]
        if w.dtype == np.uint16:
            half = w
            p.half, p.full = &half[0, 0], NULL
        else:
            full = w
            p.half, p.full = NULL, &full[0, 0]
        cdef Task task = pack_int8 if quantize else pack_bf16 if p.half else pack_f32
        with nogil:
            share(task, &p, self.panels, team())
        self.packed = self.lanes = packed
        if compress and self.format == "bf16" and n > 1 and CAN_CODE(k):
            self._compress()

    def _compress(self):
        """The lanes of bf16 in 12 bits, unless there are many odd rows, which take time and room."""
        cdef const uint32_t[::1] lanes = self.lanes
        tables, odd = np.empty((self.panels, 16), np.uint8), np.empty(self.panels + 1, np.int64)
        cdef Coding c
        cdef uint8_t[:, ::1] table = tables
        cdef int64_t[::1] places = odd
        cdef uint32_t[::1] coded
        c.lanes, c.panel, c.k, c.wide, c.tables, c.places = &lanes[0], CODED_PANEL(self.k), self.k, self.panel, &table[0, 0], &places[0]
        with nogil:
            share(choose_task, &c, self.panels, team())
        odd[1:] = np.cumsum(odd[: self.panels] * ODD_ROW + 1)
        odd[0] = 0
        odd += self.panels * c.panel
        if places[self.panels] > len(self.packed) * 13 // 16:
            return
        packed = np.empty(places[self.panels], np.uint32)
        coded = packed
        c.coded = &coded[0]
        with nogil:
            share(encode_task, &c, self.panels, team())
        self.packed = self.lanes = packed
        self.panel, self.compressed = c.panel, True

    @staticmethod
    def of(long n, long k, str format, packed) -> Matrix:
        """A matrix whose weights were packed before: `packed` of another one. Raises ValueError where the lanes do not fit."""
        cdef Matrix m = Matrix.__new__(Matrix)
        cdef long i
        m._describe(n, k, format)
        m.packed = m.lanes = packed
        if format == "bf16" and len(packed) != m.panels * m.panel and CAN_CODE(k):
            m.panel, m.compressed = CODED_PANEL(k), True
        fits = len(packed) >= m.panels * m.panel if m.compressed else len(packed) == m.panels * m.panel
        for i in range(m.panels if fits and m.compressed else 0):
            fits = fits and odd_rows_fit(&m.lanes[i * m.panel], len(packed) - i * m.panel, k)
        if not fits:
            raise ValueError(f"{len(packed)} lanes are none of a matrix {n} x {k} of {format}")
        return m

    cdef int _describe(self, long n, long k, str format) except -1:
        if format == "int8" and k > MAX_K8:
            raise ValueError(f"int8: {k} inputs are more than {MAX_K8}")
        self.n, self.k, self.format, self.panels = n, k, format, (n + NR - 1) // NR
        self.panel = k * NR if format == "f32" else k * NR // 2 if format == "bf16" else (DEPTH8(k) + 1) * NR
        return 0


cdef struct Packing:
    const uint16_t *half
    const float *full
    long n, k, panel
    uint32_t *lanes


cdef void pack_f32(const void *packing, long b) noexcept nogil:
    """Panel b."""
    cdef const Packing *p = <const Packing *>packing
    cdef const uint32_t *w = <const uint32_t *>p.full + b * NR * p.k
    cdef uint32_t *lanes = p.lanes + b * p.panel
    cdef long n = p.n - b * NR, c, k
    for k in range(p.k):
        for c in range(NR):
            lanes[k * NR + c] = w[c * p.k + k] if c < n else 0


cdef void pack_bf16(const void *packing, long b) noexcept nogil:
    cdef const Packing *p = <const Packing *>packing
    cdef const uint16_t *w = p.half + b * NR * p.k
    cdef uint32_t *lanes = p.lanes + b * p.panel
    cdef long n = p.n - b * NR, c, k, half = NR // 2
    cdef uint32_t low, high
    for k in range(p.k):
        for c in range(half):
            low = w[c * p.k + k] if c < n else 0
            high = w[(c + half) * p.k + k] if c + half < n else 0
            lanes[k * half + c] = low | (high << 16)


cdef void pack_int8(const void *packing, long b) noexcept nogil:
    cdef const Packing *p = <const Packing *>packing
    cdef uint32_t *lanes = p.lanes + b * p.panel
    cdef long c, k, row, D = DEPTH8(p.k)
    cdef uint32_t *wide = <uint32_t *>malloc((p.k + ROW8(p.k)) * sizeof(uint32_t))      # a row as floats, then as bytes
    cdef uint32_t *bytes = wide + p.k
    memset(lanes, 0, p.panel * sizeof(uint32_t))
    for c in range(min(NR, p.n - b * NR)):
        row = (b * NR + c) * p.k
        for k in range(p.k):
            wide[k] = <uint32_t>p.half[row + k] << 16 if p.half else (<const uint32_t *>p.full)[row + k]
        quantize_row(<const float *>wide, p.k, bytes)
        for k in range(D + 1):        # the scale included
            lanes[k * NR + c] = bytes[k]
    free(wide)


cdef struct Coding:                   # of panels of bf16, `wide` words each, in 12 bits
    const uint32_t *lanes
    long panel, k, wide
    uint8_t *tables
    int64_t *places                   # of each panel's odd rows; at first, how many they are
    uint32_t *coded


cdef void choose_task(const void *coding, long b) noexcept nogil:
    cdef const Coding *c = <const Coding *>coding
    c.places[b] = choose_codes(c.lanes + b * c.wide, c.k, c.tables + 16 * b)


cdef void encode_task(const void *coding, long b) noexcept nogil:
    cdef const Coding *c = <const Coding *>coding
    cdef uint32_t *panel = c.coded + b * c.panel
    memcpy(panel, c.tables + 16 * b, 16)
    encode(c.lanes + b * c.wide, c.k, panel, c.coded + c.places[b])


ctypedef void (*Multiplication)(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                                const Epilogue *e, float *y, long ldy, long n) noexcept nogil


cdef struct Product:
    const uint32_t *lanes
    Multiplication multiply
    long panel, panels, n, K          # lanes in a panel, panels, outputs, inputs
    const float *x
    long ldx, T
    Epilogue epilogue
    Activation activation             # of what is in y then; NULL: none
    float *y
    long ldy
    long group, splits, rows          # a task: `group` panels and one of `splits` blocks of `rows` rows
    long tasks
    bint by_rows                      # tasks of the same rows come one after the other; else those of the same panels


cdef void product_task(const void *product, long i) noexcept nogil:
    cdef const Product *p = <const Product *>product
    cdef long groups = p.tasks // p.splits, b = (i % groups if p.by_rows else i // p.splits) * p.group
    cdef long t = (i // groups if p.by_rows else i % p.splits) * p.rows
    cdef long T = min(p.rows, p.T - t), panels = min(p.group, p.panels - b), col = b * NR, r
    cdef Epilogue e = p.epilogue
    if T <= 0:
        return
    if e.bias: e.bias += col
    if e.scale: e.scale += t * e.ld_scale + col
    if e.add: e.add += t * e.ld_add + col
    p.multiply(p.lanes + b * p.panel, p.panel, panels, p.x + t * p.ldx, p.ldx, T, p.K, &e, p.y + t * p.ldy + col, p.ldy, p.n - col)
    if p.activation:
        for r in range(t, t + T):
            p.activation(p.y + r * p.ldy + col, p.y + r * p.ldy + col, min(panels * NR, p.n - col))


cdef struct Rows:                     # of floats, to be rows of bytes
    const float *x
    long ldx, K
    uint32_t *bytes


cdef void quantize_task(const void *rows, long t) noexcept nogil:
    cdef const Rows *r = <const Rows *>rows
    quantize_row(r.x + t * r.ldx, r.K, r.bytes + t * ROW8(r.K))


cdef void dots(const float *x, long ldx, long T, Matrix w, const Epilogue *e, Activation activation, float *y) except *:
    """`multiply` by a single output's weights, of which a panel would be mostly empty."""
    cdef long k, t
    column = np.empty(w.k, np.uint32)
    cdef uint32_t[::1] words = column
    cdef bint bf16 = w.format == "bf16"
    for k in range(w.k):
        words[k] = w.lanes[k * (NR // 2)] << 16 if bf16 else w.lanes[k * NR]
    score(<const float *>&words[0], x, T, ldx, w.k, 1, y)
    for t in range(T):
        if e.bias: y[t] += e.bias[0]
        if e.scale: y[t] *= e.scale[t * e.ld_scale]
        if e.add: y[t] += e.add[t * e.ld_add]
        if activation: activation(y + t, y + t, 1)


cdef void multiply(const float *x, long ldx, long T, Matrix w, const Epilogue *epilogue, Activation activation, float *y) except *:
    """y [T, N] = activation((x w^T + bias) * scale + add), T rows of x lying ldx floats apart."""
    cdef int threads = team()
    cdef bint int8 = w.format == "int8"
    cdef Product p
    if T == 0:
        return
    if w.n == 1 and not int8:
        dots(x, ldx, T, w, epilogue, activation, y)
        return
    p.lanes, p.panel, p.panels, p.n, p.K = &w.lanes[0], w.panel, w.panels, w.n, w.k
    p.multiply = panels_coded if w.compressed else panels_bf16 if w.format == "bf16" else panels_int8 if int8 else panels_f32
    p.x, p.ldx, p.T, p.y, p.ldy, p.epilogue, p.activation = x, ldx, T, y, w.n, epilogue[0], activation
    # One row streams the weights past: panels in groups. Many rows: panels one by one, and few wide panels are cut by rows too. Of very
    # many rows and few weights a thread takes the same rows in each layer, since they are in its cache.
    p.group = MAX_PANELS if T == 1 else 1
    cdef long groups = (p.panels + p.group - 1) // p.group
    p.by_rows = T >= 64 and w.n * w.k <= 1 << 19
    if p.by_rows:
        p.splits = 4 * threads
    else:
        p.splits = 1 if groups >= 4 * threads or T < 2 * MR else min(4 * threads, T // MR)
    p.rows = (T + p.splits - 1) // p.splits
    p.tasks = groups * p.splits
    threads = threads_for(effort(w.n * w.k, T))
    cdef uint32_t[:, ::1] bytes
    cdef Rows rows
    if int8:
        bytes = np.empty((T, ROW8(p.K)), np.uint32)
        rows.x, rows.ldx, rows.K, rows.bytes = x, ldx, p.K, &bytes[0, 0]
        p.x, p.ldx = <const float *>&bytes[0, 0], ROW8(p.K)
    with nogil:
        if int8:
            share(quantize_task, &rows, T, threads)
        share(product_task, &p, p.tasks, threads)


def linear(const float[:, ::1] x, Matrix w, const float[::1] bias=None, const float[:, :] scale=None,
           const float[:, :] add=None, Norm norm=None, str activation=None):
    """y = activation((norm(x) w^T + bias) * scale + add): float32 [T, N].

    x [T, K]; bias [N]; scale, add [1 or T, N] (rows may lie apart); activation "gelu" or "silu"; each may be left out.
    With int8 weights each row of x is rounded to int8 as well, with a scale of its own.
    Raises ValueError where shapes do not match.
    """
    cdef long T = x.shape[0]
    if x.shape[1] != w.k:
        raise ValueError(f"linear: x has {x.shape[1]} columns, the weights want {w.k}")
    if (bias is not None and bias.shape[0] != w.n) or (add is not None and not fits(add, T, w.n)) or \
            (scale is not None and not fits(scale, T, w.n)):
        raise ValueError(f"linear: bias, scale or add do not fit {T} x {w.n}")
    out = np.empty((T, w.n), np.float32)
    cdef float[:, ::1] y = out, normed
    cdef Activation f = activation_row(activation)
    if T == 0:
        return out
    cdef Epilogue e
    e.bias = NULL if bias is None else &bias[0]
    e.scale, e.ld_scale = NULL if scale is None else &scale[0, 0], 0 if scale is None else row_step(scale)
    e.add, e.ld_add = NULL if add is None else &add[0, 0], 0 if add is None else row_step(add)
    if norm is None:
        multiply(&x[0, 0], w.k, T, w, &e, f, &y[0, 0])
    else:
        norm.check(T, w.k, None, None)
        normed = np.empty((T, w.k), np.float32)
        norm.modulate(&x[0, 0], T, w.k, None, None, &normed[0, 0])
        multiply(&normed[0, 0], w.k, T, w, &e, f, &y[0, 0])
    return out


def mlp(const float[:, ::1] x, Norm norm, Matrix w1, const float[::1] bias1, str activation, Matrix w2, const float[::1] bias2,
        const float[:, :] gate=None, const float[:, :] shift=None, const float[:, :] scale=None):
    """A residual block: x + gate * (w2 f(w1 norm(x) + bias1) + bias2), float32 [T, C], in which norm is told shift and scale.

    x [T, C]; w1 [hidden, C], w2 [C, hidden]; biases may be None; gate, shift, scale [1 or T, C] (rows may lie apart), or left out.
    activation: "gelu" or "silu". Raises ValueError where shapes do not match.
    """
    cdef long T = x.shape[0], C = x.shape[1]
    if w1.k != C or w2.n != C or w2.k != w1.n or (bias1 is not None and bias1.shape[0] != w1.n) or \
            (bias2 is not None and bias2.shape[0] != C) or (gate is not None and not fits(gate, T, C)):
        raise ValueError(f"mlp: weights, biases or gate do not fit {T} x {C}")
    norm.check(T, C, shift, scale)
    cdef Activation f = activation_row(activation)
    out = np.empty((T, C), np.float32)
    if T == 0:
        return out
    cdef float[:, ::1] y = out, normed = np.empty((T, C), np.float32), hidden = np.empty((T, w1.n), np.float32)
    cdef Epilogue first, second
    first.bias, first.scale, first.add, first.ld_scale, first.ld_add = NULL if bias1 is None else &bias1[0], NULL, NULL, 0, 0
    second.bias, second.add, second.ld_add = NULL if bias2 is None else &bias2[0], &x[0, 0], C
    second.scale, second.ld_scale = NULL if gate is None else &gate[0, 0], 0 if gate is None else row_step(gate)
    norm.modulate(&x[0, 0], T, C, shift, scale, &normed[0, 0])
    multiply(&normed[0, 0], C, T, w1, &first, f, &hidden[0, 0])
    multiply(&hidden[0, 0], w1.n, T, w2, &second, NULL, &y[0, 0])
    return out


cdef inline bint fits(const float[:, :] rows, long T, long n) noexcept:
    """[1 or T, n], each row contiguous."""
    return rows.shape[1] == n and rows.shape[0] in (1, T) and rows.strides[1] == 4


cdef inline long row_step(const float[:, :] rows) noexcept:
    """Floats from a row to the next; one row serves all."""
    return 0 if rows.shape[0] == 1 else rows.strides[0] // 4


# --- normalisation -----------------------------------------------------------------------------------------------------------

cdef class Norm:
    """LayerNorm over the channels of each row (arXiv 1607.06450), with or without weights: (x - mean) / sqrt(variance + eps) * w + b.

    norm(x) of x [T, C]; with shift and scale, [1 or T, C] each, AdaLN (arXiv 2212.09748): the same times (1 + scale) plus shift.
    Raises ValueError where shapes do not match.
    """
    cdef const float[::1] weight, bias
    cdef float eps

    def __init__(self, const float[::1] weight, const float[::1] bias, float eps):
        if (weight is None) != (bias is None) or (weight is not None and weight.shape[0] != bias.shape[0]):
            raise ValueError("Norm: weight and bias do not match")
        self.weight, self.bias, self.eps = weight, bias, eps

    def __call__(self, const float[:, ::1] x, const float[:, :] shift=None, const float[:, :] scale=None):
        self.check(x.shape[0], x.shape[1], shift, scale)
        out = np.empty((x.shape[0], x.shape[1]), np.float32)
        cdef float[:, ::1] y = out
        if x.shape[0]:
            self.modulate(&x[0, 0], x.shape[0], x.shape[1], shift, scale, &y[0, 0])
        return out

    cdef int check(self, long T, long C, const float[:, :] shift, const float[:, :] scale) except -1:
        if (self.weight is not None and self.weight.shape[0] != C) or (shift is None) != (scale is None) or \
                (shift is not None and not (fits(shift, T, C) and fits(scale, T, C))):
            raise ValueError(f"Norm: weight, bias, shift or scale do not fit {T} x {C}")
        return 0

    cdef void modulate(self, const float *x, long T, long C, const float[:, :] shift, const float[:, :] scale, float *y) noexcept:
        if shift is None:
            self.apply(x, T, C, NULL, 0, NULL, 0, y)
        else:
            self.apply(x, T, C, &shift[0, 0], row_step(shift), &scale[0, 0], row_step(scale), y)

    cdef void apply(self, const float *x, long T, long C, const float *shift, long ld_shift, const float *scale, long ld_scale,
                    float *y) noexcept nogil:
        cdef long t, c
        cdef float mean, inv
        cdef const float *w = &self.weight[0] if self.weight is not None else NULL
        cdef const float *b = &self.bias[0] if self.weight is not None else NULL
        for t in range(T):
            mean = sum(x, C) / C
            inv = 1 / sqrtf(sum_of_squares(x, mean, C) / C + self.eps)
            for c in range(C):
                y[c] = (x[c] - mean) * inv
            if w:
                for c in range(C):
                    y[c] = y[c] * w[c] + b[c]
            if shift:
                for c in range(C):
                    y[c] = y[c] * (1 + scale[c]) + shift[c]
            x, y, shift, scale = x + C, y + C, shift + ld_shift, scale + ld_scale


# --- attention ---------------------------------------------------------------------------------------------------------------

cdef inline void rotate(const float *x, const float *cos, const float *sin, float *y, long D) noexcept nogil:
    """RoPE on interleaved pairs: (x[2i], x[2i + 1]) turned by the angle of pair i. y may be x."""
    cdef long i
    cdef float a, b
    for i in range(D // 2):
        a = x[2 * i]
        b = x[2 * i + 1]
        y[2 * i] = a * cos[i] - b * sin[i]
        y[2 * i + 1] = a * sin[i] + b * cos[i]


cdef struct Sight:                    # attention of a stream's T queries: see `attention`
    float *qkv
    float *keys
    float *values
    float *scores
    float *y
    const float *cos
    const float *sin
    long T, H, H_kv, D, capacity, end, context, longest
    long tasks                        # heads times blocks of QUERIES queries


cdef enum:
    QUERIES = 16
    BLOCK = 64                        # rows of keys or values, 16 KB of them with D = 64


cdef void rotate_and_store(const Sight *s) noexcept nogil:
    """Rotate queries in place, and keys on their way into the KV cache, where values go as they are."""
    cdef long t, h, row, D = s.D
    cdef float *x
    for t in range(s.T):
        x, row = s.qkv + t * (s.H + 2 * s.H_kv) * D, s.end - s.T + t
        for h in range(s.H):
            rotate(x + h * D, s.cos + t * (D // 2), s.sin + t * (D // 2), x + h * D, D)
        for h in range(s.H_kv):
            rotate(x + (s.H + h) * D, s.cos + t * (D // 2), s.sin + t * (D // 2), s.keys + (h * s.capacity + row) * D, D)
            memcpy(s.values + (h * s.capacity + row) * D, x + (s.H + s.H_kv + h) * D, D * sizeof(float))


cdef void attend(const void *sights, long i) noexcept nogil:
    """Task i of those of all streams: some queries of a head. Keys and values are taken in blocks that stay in the cache while each
    query meets them."""
    cdef const Sight *s = <const Sight *>sights
    while i >= s.tasks:
        i -= s.tasks
        s += 1
    cdef long blocks = (s.T + QUERIES - 1) // QUERIES, h = i // blocks, D = s.D
    cdef long t0 = i % blocks * QUERIES, t1 = min(t0 + QUERIES, s.T), at, t, start, stop, first, last
    cdef const float *keys = s.keys + h // (s.H // s.H_kv) * s.capacity * D
    cdef const float *values = s.values + h // (s.H // s.H_kv) * s.capacity * D
    cdef float scale = 1 / sqrtf(<float>D)
    cdef float totals[QUERIES]
    cdef float *w
    cdef float *y
    cdef int phase
    for phase in range(2):                                                      # scores, then values times exp(scores)
        at = first_seen(s, t0)
        while at < s.end - s.T + t1:
            for t in range(t0, t1):
                start, stop = first_seen(s, t), s.end - s.T + t + 1
                first, last = max(start, at), min(stop, at + BLOCK)
                w = s.scores + (h * s.T + t) * s.longest + first - start
                if first < last and phase == 0:
                    score(s.qkv + (t * (s.H + 2 * s.H_kv) + h) * D, keys + first * D, last - first, D, D, scale, w)
                elif first < last:
                    mix(w, values + first * D, last - first, D, s.y + (t * s.H + h) * D)
            at += BLOCK
        for t in range(t0, t1):
            y = s.y + (t * s.H + h) * D
            if phase == 0:
                totals[t - t0] = exp_weights(s.scores + (h * s.T + t) * s.longest, s.end - s.T + t + 1 - first_seen(s, t))
                memset(y, 0, D * sizeof(float))
            else:
                for i in range(D):
                    y[i] /= totals[t - t0]


cdef inline long first_seen(const Sight *s, long t) noexcept nogil:
    """The first position that query t sees."""
    return max(0, s.end - s.T + t + 1 - s.context) if s.context > 0 else 0


def attention(float[:, ::1] qkv, list streams, const float[:, :, ::1] rope, long context=0):
    """Causal attention over KV caches: float32 [T, H D] (arXiv 1706.03762; grouped: 2305.13245), with RoPE (2104.09864).

    qkv [T, (H + 2 H_kv) D]: queries (rotated in place), keys, values. They are the rows of one or several streams, one after the
    other, each (rows, keys, values, end, position): keys, values [H_kv, capacity, D] are its cache, of which rows end - rows .. end
    are written here, and rows 0 .. end seen; its last row stands at position - 1. rope [2, P, D/2]: cosines and sines of positions.
    context: see only the last `context` positions, oneself included; 0 for all.
    Raises ValueError where shapes do not match.
    """
    cdef long T = qkv.shape[0], n = len(streams), i, j, rows, end, position, D = 2 * rope.shape[2], at = 0, tasks = 0, room = 0, work = 0
    cdef float[:, :, ::1] keys, values
    cdef uint8_t[::1] place = np.empty(max(1, n) * sizeof(Sight), np.uint8)
    cdef Sight *sights = <Sight *>&place[0]
    cdef Sight *s
    if n < 1 or rope.shape[0] != 2:
        raise ValueError("attention: no streams, or no rope")
    for j in range(n):
        rows, keys, values, end, position = streams[j]
        s = &sights[j]
        s.T, s.H_kv, s.D, s.capacity, s.end, s.context = rows, keys.shape[0], D, keys.shape[1], end, context
        s.H = qkv.shape[1] // max(1, D) - 2 * s.H_kv
        s.longest = min(end, context) if context > 0 else end
        if D < 2 or s.H_kv < 1 or keys.shape[2] != D or s.H < 1 or s.H % s.H_kv or qkv.shape[1] != (s.H + 2 * s.H_kv) * D or \
                s.H != sights[0].H or values.shape[0] != s.H_kv or values.shape[1] != s.capacity or values.shape[2] != D or \
                not 0 < rows <= end <= s.capacity or at + rows > T or not rows <= position <= rope.shape[1]:
            raise ValueError("attention: shapes do not match")
        s.qkv, s.keys, s.values = &qkv[at, 0], &keys[0, 0, 0], &values[0, 0, 0]
        s.cos, s.sin = &rope[0, position - rows, 0], &rope[1, position - rows, 0]
        s.tasks = s.H * ((rows + QUERIES - 1) // QUERIES)
        at, tasks, room = at + rows, tasks + s.tasks, room + rows * s.H * s.longest
        work += effort(2 * s.H * s.longest * D, rows)
    if at != T:
        raise ValueError(f"attention: streams have {at} of {T} rows")
    out = np.empty((T, sights[0].H * D), np.float32)
    cdef float[:, ::1] y = out
    cdef float[::1] scores = np.empty(room, np.float32)
    at = room = 0
    for j in range(n):
        s = &sights[j]
        s.y, s.scores = &y[at, 0], &scores[room]
        at, room = at + s.T, room + s.T * s.H * s.longest
    with nogil:
        for j in range(n):
            rotate_and_store(&sights[j])
        share(attend, sights, tasks, threads_for(work))
    return out


def attention_weights(const float[:, ::1] qkv, const float[:, :, ::1] keys, long end, long head, long start, long stop):
    """What one head of the last row looks at: its weights on positions start .. stop of all `end`, float32 [stop - start].

    qkv, keys: as `attention` gets them, without a context; these are what it weighs values with.
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
        score(&qkv[qkv.shape[0] - 1, head * D], &keys[head // (H // H_kv), 0, 0], end, D, D, 1 / sqrtf(<float>D), &w[0])
        total = exp_weights(&w[0], end)
        for i in range(end):
            w[i] /= total
    return weights[start:stop]


# --- convolution -------------------------------------------------------------------------------------------------------------

def convolve(const float[:, ::1] x, float[:, ::1] history, Matrix w, const float[::1] bias=None, long stride=1, long dilation=1,
             bint elu=False, const float[:, ::1] add=None):
    """A causal convolution of the next T inputs of a stream, or of their ELU, plus bias and add: float32 [T / stride, N].

    x [T, C]; history [(width - 1) dilation + 1 - stride, C]: what came before (its ELU), which moves on; w [N, width C]; bias [N];
    add [T / stride, N]. With the history in front of x, an output is the product of width * C numbers, which lie one after the other
    unless dilation is more than 1, and the weights: there is no im2col, only a row stride. Raises ValueError where shapes do not match.
    """
    cdef long T = x.shape[0], C = x.shape[1], H = history.shape[0], width = w.k // max(1, C), i, j
    if min(C, stride, dilation) < 1 or w.k != width * C or T % stride or H != (width - 1) * dilation + 1 - stride or \
            (H and history.shape[1] != C) or (bias is not None and bias.shape[0] != w.n) or \
            (add is not None and (add.shape[0] != T // stride or add.shape[1] != w.n)):
        raise ValueError(f"convolve: weights, history, bias or add do not fit {T} x {C}")
    cdef long n = T // stride
    out = np.empty((n, w.n), np.float32)
    if n == 0:
        return out
    cdef float[:, ::1] y = out, buffer, gathered
    cdef const float *rows = &x[0, 0]
    cdef long step = stride * C
    if H or elu:
        buffer = np.empty((H + T, C), np.float32)
        rows = &buffer[0, 0]
        with nogil:
            if elu:
                elu_rows(&x[0, 0], &buffer[H, 0], T * C)
            else:
                memcpy(&buffer[H, 0], &x[0, 0], T * C * sizeof(float))
            if H:
                memcpy(&buffer[0, 0], &history[0, 0], H * C * sizeof(float))
                memcpy(&history[0, 0], &buffer[T, 0], H * C * sizeof(float))
    if dilation > 1 and width > 1:
        gathered = np.empty((n, w.k), np.float32)
        for i in range(n):
            for j in range(width):
                memcpy(&gathered[i, j * C], rows + i * step + j * dilation * C, C * sizeof(float))
        rows, step = &gathered[0, 0], w.k
    cdef Epilogue p
    p.bias, p.scale, p.ld_scale = NULL if bias is None else &bias[0], NULL, 0
    p.add, p.ld_add = NULL if add is None else &add[0, 0], w.n
    multiply(rows, step, n, w, &p, NULL, &y[0, 0])
    return out


def depthwise_upsample(const float[:, ::1] x, float[:, ::1] history, const float[:, ::1] weight):
    """Transposed depthwise convolution, kernel 2 s, stride s, of the next T inputs of a stream: float32 [T s, C].

    x [T, C]; history [1, C]: the input before, which moves on; weight [2 s, C]: y[t s + j] = x[t] w[j] + x[t - 1] w[s + j].
    Raises ValueError where shapes do not match.
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


# --- what the machine can do (bench.py) --------------------------------------------------------------------------------------

cdef struct Probe:
    const float *x
    long n                            # floats of each thread, or rounds
    int times, int8
    float result[MOST_THREADS]        # of each thread; so that no compiler leaves the work out


cdef void read_task(const void *probe, long i) noexcept nogil:
    cdef Probe *p = <Probe *>probe
    cdef int turn
    for turn in range(p.times):
        p.result[i] += read_probe(p.x + i * p.n, p.n)


cdef void multiply_task(const void *probe, long i) noexcept nogil:
    cdef Probe *p = <Probe *>probe
    p.result[i] = dot_probe(p.n) if p.int8 else fma_probe(p.n)


def read_all(const float[::1] x, int times) -> int:
    """Read x on all threads, each its share so many times, with nothing else to do; returns how many bytes were read."""
    cdef int threads = min(team(), MOST_THREADS)
    cdef Probe p
    memset(&p, 0, sizeof(Probe))
    p.x, p.n, p.times = &x[0], x.shape[0] // threads, times
    with nogil:
        share(read_task, &p, threads, threads)
    return 4 * p.n * threads * times


def multiply_all(long rounds, bint int8=False) -> int:
    """Multiply and add in registers on all threads, floats or bytes, as this build does it at best; returns the number of operations,
    two for each product."""
    cdef int threads = min(team(), MOST_THREADS)
    cdef Probe p
    memset(&p, 0, sizeof(Probe))
    p.n, p.int8 = rounds, int8
    with nogil:
        share(multiply_task, &p, threads, threads)
    return (8 if int8 else 2) * rounds * MR * NR * threads
