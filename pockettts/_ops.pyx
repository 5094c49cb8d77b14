# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, embedsignature=True
"""Every kernel of the engine.

Arrays are float32 and C-contiguous unless said otherwise; time comes first, channels last: x [T, C]. Results are new arrays, or
`out` where a caller has room. T, K, N are rows, inputs and outputs of a product; H heads, H_kv key/value heads, D the width of a head.

Work is shared among threads by outputs, never within a sum, so the bits of a result do not depend on the number of threads.
This file is compiled once per instruction set (setup.py); `ops.py` picks the build that suits the CPU.
"""
cimport cython
from cython.parallel cimport prange, threadid
from libc.math cimport sqrtf
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

import numpy as np

cdef extern from "_tile.h" nogil:
    const long NR, MR, MAX_PANELS
    ctypedef struct Epilogue:
        const float *bias
        const float *scale
        const float *add
        long ld_scale, ld_add
    void panels_f32(const float *P, long panel, long panels, const float *x, long ldx, long T, long K,
                    const Epilogue *e, float *y, long ldy, long n)
    void panels_bf16(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                     const Epilogue *e, float *y, long ldy, long n)
    void panels_int8(const uint32_t *P, long panel, long panels, const float *x, long ldx, long T, long K,
                     const Epilogue *e, float *y, long ldy, long n)
    const long MAX_K8
    long DEPTH8(long K)
    long ROW8(long K)
    void quantize_row(const float *x, long K, uint32_t *row)
    float sum(const float *a, long n)
    float sum_of_squares(const float *a, float mean, long n)
    void exp_row(const float *x, float *y, long n) noexcept
    void gelu_row(const float *x, float *y, long n) noexcept
    void silu_row(const float *x, float *y, long n) noexcept
    void elu_row(const float *x, float *y, long n) noexcept
    void score(const float *q, const float *keys, long n, long D, float scale, float *scores)
    void mix(const float *w, const float *values, long n, long D, float *y)
    float read_probe(const float *x, long n)
    float fma_probe(long rounds)
    float dot_probe(long rounds)
    bint cpu_runs(const char *isa)

cdef extern from * nogil:
    """
    #ifdef _OPENMP
    #define POCKETTTS_OPENMP 1
    #else
    #define POCKETTTS_OPENMP 0
    #endif
    static __thread int own_threads = 0;
    """
    const bint POCKETTTS_OPENMP
    int own_threads                   # of the calling thread; 0: n_threads

OPENMP = bool(POCKETTTS_OPENMP)

cdef int n_threads = 1


cdef inline bint is_long(long numbers, long rows) noexcept nogil:
    """Whether work takes longer than some 20 us, so that threads pay for their meeting (1 to 4 us; more on a busy machine).

    `numbers` are read, and multiplied with each of so many rows; for fewer than 6 rows it is the reading that takes the time.
    """
    return numbers * max(rows, 6) > 1 << 20


def supports(isa: str) -> bool:
    """Whether this CPU runs a build for `isa`, one of those in setup.py but "base"."""
    return cpu_runs(isa.encode())


def set_threads(int n):
    """Use `n` threads from now on (process-wide; 1 where OpenMP is missing)."""
    global n_threads
    n_threads = max(1, n) if OPENMP else 1


def set_own_threads(int n):
    """Use `n` threads from now on for kernels called by this very thread; 0: as many as the process."""
    global own_threads
    own_threads = max(0, n) if OPENMP else 0


def get_threads() -> int:
    """How many threads a kernel would use now."""
    return team()


cdef inline int team() noexcept nogil:
    return own_threads if own_threads > 0 else n_threads


# --- matrix product ----------------------------------------------------------------------------------------------------------

def packed_shape(long n, long k, str format) -> tuple:
    """Of the lanes of a matrix [n, k], "f32", "bf16" or "int8": see Matrix."""
    depth = {"f32": k, "bf16": (k + 1) // 2, "int8": DEPTH8(k) + 1}[format]
    return (n + NR - 1) // NR, depth, NR


cdef class Matrix:
    """Weights [N, K], repacked for the register tile: panels of NR outputs, k by k, as 32-bit lanes.

    float32 -> lanes [N/NR, K, NR]; bf16 (as uint16 words) -> [N/NR, K/2, NR], a lane holding k (low half) and k + 1 (high half);
    either, with `quantize` -> int8, [N/NR, K/4 + 1, NR], a lane holding four k, and at the end each output's scale (see _tile.h).
    """
    cdef readonly long n, k
    cdef readonly str format          # "f32", "bf16", "int8"
    cdef readonly object packed       # the lanes as a NumPy array
    cdef const uint32_t[:, :, ::1] lanes

    def __init__(self, w, quantize=False):
        """Of weights [N, K], float32 or bf16 words."""
        n, k = w.shape
        self._describe(n, k, "int8" if quantize else "bf16" if w.dtype == np.uint16 else "f32")
        w = np.ascontiguousarray(w, np.uint16 if w.dtype == np.uint16 else np.float32)
        self.packed = np.empty(packed_shape(self.n, self.k, self.format), np.uint32)
        self.lanes = self.packed
        if self.format == "f32":
            self._pack_f32(w.view(np.uint32), self.packed)
        elif self.format == "bf16":
            self._pack_bf16(w, self.packed)
        elif w.dtype == np.uint16:
            self._pack_int8(w, None, self.packed)
        else:
            self._pack_int8(None, w, self.packed)

    @staticmethod
    def of(long n, long k, str format, packed) -> Matrix:
        """A matrix whose weights were packed before. Raises ValueError where the lanes do not fit."""
        cdef Matrix m = Matrix.__new__(Matrix)
        m._describe(n, k, format)
        if packed.shape != packed_shape(n, k, format):
            raise ValueError(f"lanes {packed.shape} are none of a matrix {n} x {k} of {format}")
        m.packed = packed
        m.lanes = packed
        return m

    def _describe(self, long n, long k, str format):
        if format == "int8" and k > MAX_K8:
            raise ValueError(f"int8: {k} inputs are more than {MAX_K8}")
        self.n, self.k, self.format = n, k, format

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes

    def _pack_f32(self, const uint32_t[:, ::1] w, uint32_t[:, :, ::1] lanes):
        cdef long b
        cdef int threads = team()
        for b in prange(lanes.shape[0], nogil=True, num_threads=threads, schedule="static"):
            pack_panel_f32(&w[b * NR, 0], min(NR, self.n - b * NR), self.k, &lanes[b, 0, 0])

    def _pack_bf16(self, const uint16_t[:, ::1] w, uint32_t[:, :, ::1] lanes):
        cdef long b
        cdef int threads = team()
        for b in prange(lanes.shape[0], nogil=True, num_threads=threads, schedule="static"):
            pack_panel_bf16(&w[b * NR, 0], min(NR, self.n - b * NR), self.k, &lanes[b, 0, 0])

    def _pack_int8(self, const uint16_t[:, ::1] half, const float[:, ::1] full, uint32_t[:, :, ::1] lanes):
        """Rows of bf16 words, or of floats: one of the two is None."""
        cdef long b
        cdef int threads = team()
        cdef const uint16_t *h = NULL if half is None else &half[0, 0]
        cdef const float *f = NULL if full is None else &full[0, 0]
        cdef uint32_t[:, ::1] room = np.empty((threads, self.k + NR * ROW8(self.k)), np.uint32)
        for b in prange(lanes.shape[0], nogil=True, num_threads=threads, schedule="static"):
            pack_panel_int8(h, f, b * NR, min(NR, self.n - b * NR), self.k, &room[threadid(), 0], &lanes[b, 0, 0])


cdef void pack_panel_int8(const uint16_t *h, const float *f, long at, long n, long K, uint32_t *room, uint32_t *lanes) noexcept nogil:
    """Rows at .. at + n. `room` is for a row as floats, and NR rows of bytes."""
    cdef long c, k, D = DEPTH8(K)
    cdef uint32_t *wide = room
    cdef uint32_t *rows = room + K
    memset(rows, 0, NR * ROW8(K) * sizeof(uint32_t))
    for c in range(n):
        if f:
            quantize_row(f + (at + c) * K, K, rows + c * ROW8(K))
        else:
            for k in range(K):
                wide[k] = <uint32_t>h[(at + c) * K + k] << 16
            quantize_row(<const float *>wide, K, rows + c * ROW8(K))
    for k in range(D + 1):            # the scale included
        for c in range(NR):
            lanes[k * NR + c] = rows[c * ROW8(K) + k]


cdef void pack_panel_f32(const uint32_t *w, long n, long K, uint32_t *lanes) noexcept nogil:
    cdef long c, k
    for k in range(K):
        for c in range(NR):
            lanes[k * NR + c] = w[c * K + k] if c < n else 0


cdef void pack_panel_bf16(const uint16_t *w, long n, long K, uint32_t *lanes) noexcept nogil:
    cdef long c, k
    cdef uint32_t low, high
    for k in range(0, K, 2):
        for c in range(NR):
            low = w[c * K + k] if c < n else 0
            high = w[c * K + k + 1] if c < n and k + 1 < K else 0
            lanes[(k >> 1) * NR + c] = low | (high << 16)


cdef struct Product:
    const uint32_t *lanes
    bint bf16, int8
    long panel, panels, n, K          # lanes in a panel, panels, outputs, inputs
    const float *x
    long ldx, T
    Epilogue epilogue
    float *y
    long ldy
    long group, splits, rows          # a task: `group` panels and one of `splits` blocks of `rows` rows


cdef void product_task(const Product *p, long i) noexcept nogil:
    cdef long b = i // p.splits * p.group, t = i % p.splits * p.rows
    cdef long T = min(p.rows, p.T - t), panels = min(p.group, p.panels - b), col = b * NR
    cdef Epilogue e = p.epilogue
    if T <= 0:
        return
    if e.bias: e.bias += col
    if e.scale: e.scale += t * e.ld_scale + col
    if e.add: e.add += t * e.ld_add + col
    if p.int8:
        panels_int8(p.lanes + b * p.panel, p.panel, panels, p.x + t * p.ldx, p.ldx, T, p.K, &e,
                    p.y + t * p.ldy + col, p.ldy, p.n - col)
    elif p.bf16:
        panels_bf16(p.lanes + b * p.panel, p.panel, panels, p.x + t * p.ldx, p.ldx, T, p.K, &e,
                    p.y + t * p.ldy + col, p.ldy, p.n - col)
    else:
        panels_f32(<const float *>p.lanes + b * p.panel, p.panel, panels, p.x + t * p.ldx, p.ldx, T, p.K, &e,
                   p.y + t * p.ldy + col, p.ldy, p.n - col)


cdef void quantize(const float[:, :] x, uint32_t[:, ::1] rows, int threads) noexcept:
    """x [T, K] as rows of bytes, [T, ROW8(K)]."""
    cdef long t, T = x.shape[0], K = x.shape[1]
    if threads > 1 and T > 1:
        for t in prange(T, nogil=True, num_threads=threads, schedule="static"):
            quantize_row(&x[t, 0], K, &rows[t, 0])
    else:
        for t in range(T):
            quantize_row(&x[t, 0], K, &rows[t, 0])


def linear(const float[:, :] x, Matrix w, const float[::1] bias=None, const float[:, :] scale=None,
           const float[:, ::1] add=None, out=None):
    """y = (x w^T + bias) * scale + add: float32 [T, N].

    x [T, K]: rows may overlap or lie apart (any row stride), which makes a convolution a product; each row is contiguous.
    bias [N], scale [1 or T, N] (rows may lie apart), add [T, N] (may be `out` itself); each may be left out.
    With int8 weights each row of x is rounded to int8 as well, with a scale of its own.
    Raises ValueError where shapes do not match.
    """
    cdef long T = x.shape[0], i, tasks
    cdef int threads = team()
    if x.shape[1] != w.k or x.strides[1] != 4:
        raise ValueError(f"linear: x has {x.shape[1]} columns (or is strided), the weights want {w.k}")
    if (bias is not None and bias.shape[0] != w.n) or (add is not None and (add.shape[0] != T or add.shape[1] != w.n)) or \
            (scale is not None and (scale.shape[1] != w.n or scale.shape[0] not in (1, T) or scale.strides[1] != 4)):
        raise ValueError(f"linear: bias, scale or add do not fit {T} x {w.n}")
    if out is None:
        out = np.empty((T, w.n), np.float32)
    cdef float[:, ::1] y = out
    if y.shape[0] != T or y.shape[1] != w.n:
        raise ValueError(f"linear: out is {y.shape[0]} x {y.shape[1]}, not {T} x {w.n}")
    if T == 0:
        return out
    cdef Product p
    p.lanes, p.bf16, p.int8, p.panel, p.panels, p.n, p.K = (
        &w.lanes[0, 0, 0], w.format == "bf16", w.format == "int8", w.lanes.shape[1] * NR, w.lanes.shape[0], w.n, w.k)
    p.x, p.ldx, p.T = &x[0, 0], x.strides[0] // 4, T
    p.y, p.ldy = &y[0, 0], w.n
    p.epilogue.bias = NULL if bias is None else &bias[0]
    p.epilogue.scale = NULL if scale is None else &scale[0, 0]
    p.epilogue.add = NULL if add is None else &add[0, 0]
    p.epilogue.ld_scale = 0 if scale is None or scale.shape[0] == 1 else scale.strides[0] // 4
    p.epilogue.ld_add = w.n
    # One row streams the weights past: panels in groups. Many rows: panels one by one, and few wide panels are cut by rows too.
    p.group = MAX_PANELS if T == 1 else 1
    tasks = (p.panels + p.group - 1) // p.group
    p.splits = 1 if tasks >= 4 * threads or T < 2 * MR else min(4 * threads, T // MR)
    p.rows = (T + p.splits - 1) // p.splits
    tasks *= p.splits
    cdef bint shared = threads > 1 and tasks > 1 and is_long(w.n * w.k, T)
    cdef uint32_t[:, ::1] rows
    cdef long chunk = max(1, tasks // (8 * threads))    # on a busy machine, the thread that gets on takes more of them
    if p.int8:
        rows = np.empty((T, ROW8(p.K)), np.uint32)
        quantize(x, rows, threads if shared else 1)
        p.x, p.ldx = <const float *>&rows[0, 0], ROW8(p.K)
    with nogil:
        if shared:
            for i in prange(tasks, num_threads=threads, schedule="dynamic", chunksize=chunk):
                product_task(&p, i)
        else:
            for i in range(tasks):
                product_task(&p, i)
    return out


# --- normalisation -----------------------------------------------------------------------------------------------------------

def layer_norm(const float[:, ::1] x, const float[::1] weight, const float[::1] bias, float eps):
    """(x - mean) / sqrt(variance + eps) * weight + bias over each row of x [T, C] (arXiv 1607.06450)."""
    cdef long T = x.shape[0], C = x.shape[1], t, c
    cdef float mean, inv
    if weight.shape[0] != C or bias.shape[0] != C:
        raise ValueError(f"layer_norm: weight or bias do not fit {C} channels")
    out = np.empty((T, C), np.float32)
    cdef float[:, ::1] y = out
    with nogil:
        for t in range(T):
            mean = sum(&x[t, 0], C) / C
            inv = 1 / sqrtf(sum_of_squares(&x[t, 0], mean, C) / C + eps)
            for c in range(C):
                y[t, c] = (x[t, c] - mean) * inv * weight[c] + bias[c]
    return out


def modulated_norm(const float[:, ::1] x, const float[:, :] shift, const float[:, :] scale, float eps,
                   const float[::1] weight=None, const float[::1] bias=None):
    """AdaLN: LayerNorm of x [T, C], with or without weights, then times (1 + scale) plus shift, each [T, C] (arXiv 2212.09748)."""
    cdef long T = x.shape[0], C = x.shape[1], t, c
    cdef float mean, inv, v
    if shift.shape[0] != T or shift.shape[1] != C or scale.shape[0] != T or scale.shape[1] != C or \
            (weight is not None and (weight.shape[0] != C or bias.shape[0] != C)):
        raise ValueError(f"modulated_norm: shift, scale, weight or bias do not fit {T} x {C}")
    cdef bint affine = weight is not None
    out = np.empty((T, C), np.float32)
    cdef float[:, ::1] y = out
    with nogil:
        for t in range(T):
            mean = sum(&x[t, 0], C) / C
            inv = 1 / sqrtf(sum_of_squares(&x[t, 0], mean, C) / C + eps)
            for c in range(C):
                v = (x[t, c] - mean) * inv
                if affine:
                    v = v * weight[c] + bias[c]
                y[t, c] = v * (1 + scale[t, c]) + shift[t, c]
    return out


# --- activations -------------------------------------------------------------------------------------------------------------

ctypedef void (*Activation)(const float *x, float *y, long n) noexcept nogil


cdef activate(Activation f, const float[:, ::1] x, out):
    """out = f(x), shared among threads in blocks of whole vectors so that each element meets the same code."""
    cdef long n = x.shape[0] * x.shape[1], block = 4096, i
    cdef float[:, ::1] y
    cdef int threads = team()
    if out is None:
        out = np.empty((x.shape[0], x.shape[1]), np.float32)
    y = out
    if y.shape[0] != x.shape[0] or y.shape[1] != x.shape[1]:
        raise ValueError(f"activation: out is {y.shape[0]} x {y.shape[1]}, not {x.shape[0]} x {x.shape[1]}")
    if n == 0:
        return out
    cdef const float *px = &x[0, 0]
    cdef float *py = &y[0, 0]
    with nogil:
        if threads > 1 and is_long(n, 32):
            for i in prange((n + block - 1) // block, num_threads=threads, schedule="static"):
                f(px + i * block, py + i * block, min(block, n - i * block))
        else:
            for i in range((n + block - 1) // block):
                f(px + i * block, py + i * block, min(block, n - i * block))
    return out


def gelu(const float[:, ::1] x, out=None):
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) of x [T, C] (arXiv 1606.08415); `out` may be x."""
    return activate(gelu_row, x, out)


def silu(const float[:, ::1] x, out=None):
    """x * sigmoid(x) of x [T, C]; `out` may be x."""
    return activate(silu_row, x, out)


def elu(const float[:, ::1] x, out=None):
    """x where x > 0, else exp(x) - 1, of x [T, C]; `out` may be x."""
    return activate(elu_row, x, out)


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


def rope_and_store(float[:, ::1] qkv, const float[:, ::1] cos, const float[:, ::1] sin,
                   float[:, :, ::1] keys, float[:, :, ::1] values, long at):
    """Rotate queries and keys (RoPE, arXiv 2104.09864), and put keys and values into the KV cache.

    qkv [T, (H + 2 H_kv) D]: queries (rotated in place), keys, values. cos, sin [T, D/2] at the rows' positions.
    keys, values [H_kv, capacity, D]: rows at .. at + T are written.
    """
    cdef long T = qkv.shape[0], H_kv = keys.shape[0], D = keys.shape[2], t, h
    cdef long H = qkv.shape[1] // max(1, D) - 2 * H_kv
    if D < 2 or H_kv < 1 or at < 0 or at + T > keys.shape[1] or values.shape[0] != H_kv or values.shape[1] != keys.shape[1] or \
            values.shape[2] != D or cos.shape[0] != T or sin.shape[0] != T or cos.shape[1] != D // 2 or \
            sin.shape[1] != D // 2 or H < 1 or qkv.shape[1] != (H + 2 * H_kv) * D:
        raise ValueError("rope_and_store: shapes do not match")
    with nogil:
        for t in range(T):
            for h in range(H):
                rotate(&qkv[t, h * D], &cos[t, 0], &sin[t, 0], &qkv[t, h * D], D)
            for h in range(H_kv):
                rotate(&qkv[t, (H + h) * D], &cos[t, 0], &sin[t, 0], &keys[h, at + t, 0], D)
                memcpy(&values[h, at + t, 0], &qkv[t, (H + H_kv + h) * D], D * sizeof(float))


cdef void attention_row(const float *q, const float *keys, long n, long D, float scale, float *w) noexcept nogil:
    """One query of one head over n rows: w = softmax(q k^T * scale)."""
    cdef long p
    cdef float top = -3.4e38, total
    score(q, keys, n, D, scale, w)
    for p in range(n):
        top = w[p] if w[p] > top else top
    for p in range(n):
        w[p] -= top
    exp_row(w, w, n)
    total = sum(w, n)
    for p in range(n):
        w[p] /= total


cdef void attend(const float *q, const float *keys, const float *values, long n, long D, float scale,
                 float *scores, float *y) noexcept nogil:
    """One query of one head over n rows: y = softmax(q k^T * scale) v. `scores` is room for n floats."""
    attention_row(q, keys, n, D, scale, scores)
    mix(scores, values, n, D, y)


def attention(const float[:, ::1] qkv, const float[:, :, ::1] keys, const float[:, :, ::1] values, long end, long context=0):
    """Causal attention of the last T of `end` positions over a KV cache: float32 [T, H D] (arXiv 1706.03762; grouped: 2305.13245).

    qkv [T, (H + 2 H_kv) D], of which the (rotated) queries are read: row t stands at position end - T + t.
    keys, values [H_kv, capacity, D], rows 0 .. end valid; each key/value head serves H / H_kv query heads.
    context: see only the last `context` positions, oneself included; 0 for all.
    """
    cdef long T = qkv.shape[0], H_kv = keys.shape[0], D = keys.shape[2], i
    cdef long H = qkv.shape[1] // max(1, D) - 2 * H_kv, longest = min(end, context) if context > 0 else end
    if D < 1 or H_kv < 1 or end < T or end > keys.shape[1] or values.shape[0] != H_kv or values.shape[1] != keys.shape[1] or values.shape[2] != D or \
            H < 1 or H % H_kv or qkv.shape[1] != (H + 2 * H_kv) * D:
        raise ValueError("attention: shapes do not match")
    cdef int threads = team()
    out = np.empty((T, H * D), np.float32)
    cdef float[:, ::1] y = out
    cdef float[:, ::1] scores = np.empty((T * H, longest), np.float32)
    cdef bint shared = threads > 1 and is_long(2 * H * longest * D, T)
    with nogil:
        if shared:
            for i in prange(T * H, num_threads=threads, schedule="static"):
                attend_one(qkv, keys, values, scores, y, i, H, end, context)
        else:
            for i in range(T * H):
                attend_one(qkv, keys, values, scores, y, i, H, end, context)
    return out


cdef inline void attend_one(const float[:, ::1] qkv, const float[:, :, ::1] keys, const float[:, :, ::1] values,
                            float[:, ::1] scores, float[:, ::1] y, long i, long H, long end, long context) noexcept nogil:
    # Rows of one head in turn: its keys and values stay in the cache.
    cdef long T = qkv.shape[0], h = i // T, t = i % T, D = keys.shape[2], kv = h // (H // keys.shape[0])
    cdef long stop = end - T + t + 1, start = stop - context if 0 < context < stop else 0
    attend(&qkv[t, h * D], &keys[kv, start, 0], &values[kv, start, 0], stop - start, D, 1 / sqrtf(<float>D),
           &scores[i, 0], &y[t, h * D])


def attention_weights(const float[:, ::1] qkv, const float[:, :, ::1] keys, long end, long head, long start, long stop):
    """What one head of the last row looks at: its weights on positions start .. stop of all `end`, float32 [stop - start].

    qkv, keys: as `attention` gets them, without a context; these are the very weights that it mixes values with.
    """
    cdef long H_kv = keys.shape[0], D = keys.shape[2]
    cdef long H = qkv.shape[1] // max(1, D) - 2 * H_kv
    if D < 1 or H_kv < 1 or qkv.shape[0] < 1 or not 0 < end <= keys.shape[1] or not 0 <= head < H or H % H_kv or \
            qkv.shape[1] != (H + 2 * H_kv) * D or not 0 <= start <= stop <= end:
        raise ValueError("attention_weights: shapes do not match")
    weights = np.empty(end, np.float32)
    cdef float[::1] w = weights
    with nogil:
        attention_row(&qkv[qkv.shape[0] - 1, head * D], &keys[head // (H // H_kv), 0, 0], end, D, 1 / sqrtf(<float>D), &w[0])
    return weights[start:stop]


# --- upsampling --------------------------------------------------------------------------------------------------------------

def depthwise_upsample(const float[:, ::1] x, const float[:, ::1] weight):
    """Transposed depthwise convolution, kernel 2 s, stride s, of rows 1 .. T of x [1 + T, C]: float32 [T s, C].

    weight [2 s, C]. Row 0 of x is the row before (zeros at the start): y[t s + j] = x[t] w[j] + x[t - 1] w[s + j].
    """
    cdef long T = x.shape[0] - 1, C = x.shape[1], s = weight.shape[0] // 2, t, j, c
    if T < 0 or weight.shape[1] != C or weight.shape[0] != 2 * s:
        raise ValueError("depthwise_upsample: shapes do not match")
    out = np.empty((T * s, C), np.float32)
    cdef float[:, ::1] y = out
    with nogil:
        for t in range(T):
            for j in range(s):
                for c in range(C):
                    y[t * s + j, c] = x[t + 1, c] * weight[j, c] + x[t, c] * weight[s + j, c]
    return out


# --- what the machine can do (bench.py) --------------------------------------------------------------------------------------

def read_all(const float[::1] x, int times) -> int:
    """Read x on all threads, each its share so many times, with nothing else to do; returns how many bytes were read."""
    cdef int threads = team(), i, turn
    cdef long share = x.shape[0] // threads
    cdef float total = 0
    for i in prange(threads, nogil=True, num_threads=threads, schedule="static"):
        for turn in range(times):
            total += read_probe(&x[i * share], share)
    return 4 * share * threads * times if total == total else 0     # so that no compiler leaves the reading out


def multiply_all(long rounds, bint int8=False) -> int:
    """Multiply and add in registers on all threads, floats or bytes, as this build does it at best; returns the number of operations,
    two for each product."""
    cdef int threads = team(), i
    cdef float total = 0
    for i in prange(threads, nogil=True, num_threads=threads, schedule="static"):
        total += dot_probe(rounds) if int8 else fma_probe(rounds)
    return (8 if int8 else 2) * rounds * MR * NR * threads if total == total else 0
