"""Every kernel equals a naive float64 NumPy implementation, at sizes around every tile size, in every build that this CPU supports."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from pockettts import ops

WIDTHS = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129]  # panels are 8, 16 or 32 wide, and up to 4 side by side
HEIGHTS = [*range(1, 21), 33, 64, 67, 131]  # tiles are up to 14 rows high, with AMX 32
DEPTHS = [1, 2, 3, 16, 33, 600]


@pytest.fixture(params=ops.builds())
def kernels(request):
    build = ops.load(request.param)
    build.set_threads(1)
    yield build
    build.set_threads(1)


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def bf16(x):
    """Truncate to bf16, as 16-bit words."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def widened(words):
    return (words.astype(np.uint32) << 16).view(np.float32)


def close(y, expected, tolerance=2e-6):
    """Assert float32, the expected shape, and differences below `tolerance` times the largest value."""
    assert y.dtype == np.float32 and y.shape == expected.shape
    assert np.abs(y - expected).max(initial=0) <= tolerance * np.abs(expected).max(initial=0)


def same(a, b):
    np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def with_threads(kernels, call):
    """Assert that call() gives the same bits on 1, 2 and 4 threads; returns them. Only large kernels use several threads."""
    results = []
    for threads in (1, 2, 4):
        kernels.set_threads(threads)
        results.append(call())
    same(results[0], results[1])
    same(results[0], results[2])
    return results[0]


# --- linear ------------------------------------------------------------------------------------------------------------------


def linear_twin(x, w, bias=0, scale=1, add=0):
    return (x.astype(np.float64) @ w.T.astype(np.float64) + bias) * scale + add


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("k", DEPTHS)
def test_linear(kernels, n, k):
    words = bf16(numbers(n, k))
    w = widened(words)
    f32, half = kernels.Matrix(w), kernels.Matrix(words)
    assert (f32.n, f32.k, f32.format) == (n, k, "f32") and (half.n, half.k, half.format) == (n, k, "bf16")
    assert f32.packed.nbytes >= n * k * 4 and half.packed.nbytes <= f32.packed.nbytes
    for t in HEIGHTS:
        x = numbers(t, k, seed=1)
        y = kernels.linear(x, f32)
        close(y, linear_twin(x, w))
        same(kernels.linear(x, half), y)


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("t", [1, 2, 7, 16, 67])
def test_linear_epilogue(kernels, n, t):
    w, x, bias, add = numbers(n, 19), numbers(t, 19), numbers(n), numbers(t, n, seed=1)
    matrix = kernels.Matrix(w)
    wide = numbers(t, 3 * n)
    for scale in (numbers(1, n), numbers(t, n, seed=2), wide[:, n : 2 * n]):
        close(kernels.linear(x, matrix, bias, scale, add), linear_twin(x, w, bias, scale, add))
        close(kernels.linear(x, matrix, scale=scale), linear_twin(x, w, scale=scale))
        close(kernels.linear(x, matrix, None, scale, add), linear_twin(x, w, 0, scale, add))
        close(
            kernels.linear(x, matrix, bias, scale, wide[:1, n : 2 * n]),
            linear_twin(x, w, bias, scale, wide[:1, n : 2 * n]),
        )
    close(kernels.linear(x, matrix, bias), linear_twin(x, w, bias))
    close(kernels.linear(x, matrix, bias, add=add), linear_twin(x, w, bias, add=add))


def test_linear_of_no_rows(kernels):
    assert kernels.linear(numbers(0, 5), kernels.Matrix(numbers(3, 5))).shape == (0, 3)


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("n", [5, 40, 129])
def test_bits_of_a_row_depend_only_on_that_row(kernels, n, dtype):
    w, x, scale, add = numbers(n, 65), numbers(150, 65), numbers(150, n), numbers(150, n, seed=1)
    matrix, bias = kernels.Matrix(w if dtype == "f32" else bf16(w)), numbers(n)
    alone = np.concatenate([kernels.linear(x[[i]], matrix, bias, scale[[i]], add[[i]]) for i in range(150)])
    for t in HEIGHTS:
        same(kernels.linear(x[3 : 3 + t], matrix, bias, scale[3 : 3 + t], add[3 : 3 + t]), alone[3 : 3 + t])


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize(
    ("t", "n", "k"), [(1, 1000, 300), (1, 129, 1400), (3, 500, 400), (20, 65, 900), (400, 8, 400), (40, 999, 600)]
)
def test_linear_on_threads(kernels, t, n, k, dtype):
    w, x = numbers(n, k), numbers(t, k)
    words = w if dtype == "f32" else bf16(w)
    y = with_threads(
        kernels, lambda: kernels.linear(x, kernels.Matrix(words), numbers(n), numbers(t, n), numbers(t, n, seed=1))
    )
    if dtype == "f32":
        close(y, linear_twin(x, w, numbers(n), numbers(t, n), numbers(t, n, seed=1)))


# --- bf16 in 12 bits ---------------------------------------------------------------------------------------------------------


def spread_out(n, k):
    """Typical weights, with exceptions: some rows of a panel have weights that are tiny, huge, or NaN."""
    w, rng = numbers(n, k), np.random.default_rng([n, k])
    at = rng.random((n, k)) < 1 / (100 * n)
    w[at] *= 10 ** rng.uniform(-30, 30, at.sum()).astype(np.float32)
    w[rng.integers(n), [0, k - 1]] = np.inf, -np.nan
    return bf16(w)


@pytest.mark.parametrize("n", [2, 8, 15, 16, 33, 64, 129, 200])
@pytest.mark.parametrize("k", [400, 1024])
def test_twelve_bits_are_lossless(kernels, n, k):
    for words in (bf16(numbers(n, k)), spread_out(n, k)):
        plain, small = kernels.Matrix(words), kernels.Matrix(words, compress=True)
        again = kernels.Matrix.of(n, k, "bf16", small.packed)
        assert (small.n, small.k, small.format, small.compressed, again.compressed) == (n, k, "bf16", True, True)
        assert small.packed.nbytes < (0.8 if n > 16 else 1) * plain.packed.nbytes
        for t in HEIGHTS:
            x = numbers(t, k, seed=1)
            same(kernels.linear(x, small), kernels.linear(x, plain))
            same(kernels.linear(x, again), kernels.linear(x, plain))
        x = numbers(1, k)
        same(with_threads(kernels, lambda x=x, small=small: kernels.linear(x, small)), kernels.linear(x, plain))


@pytest.mark.parametrize(("n", "k", "what"), [
    (1, 1024, "one output"), (64, 1023, "rows that fill no register"), (64, 4, "nothing to gain"), (64, 600, "too many odd rows"),
    (16, 1 << 17, "too large for a stack")])  # fmt: skip
def test_incompressible_weights_stay_in_bf16(kernels, n, k, what):
    w = numbers(n, k)
    if what == "too many odd rows":
        w *= 10 ** np.random.default_rng(0).uniform(-30, 30, w.shape).astype(np.float32)
    plain, matrix = kernels.Matrix(bf16(w)), kernels.Matrix(bf16(w), compress=True)
    assert not matrix.compressed and not kernels.Matrix.of(n, k, "bf16", matrix.packed).compressed
    same(matrix.packed, plain.packed)
    same(kernels.linear(numbers(3, k), matrix), kernels.linear(numbers(3, k), plain))


def test_invalid_exceptions_are_rejected(kernels):
    """A damaged file of the weights cache may contain them."""
    n, k = 64, 600
    w = numbers(n, k)
    w[:, [3, 9]] *= 10 ** np.random.default_rng(0).uniform(-30, 30, (n, 2)).astype(np.float32)
    words = kernels.Matrix(bf16(w), compress=True).packed
    first = words[4]  # offset of the exceptions of the first panel
    assert words[first] == 3
    for at, value in ((4, len(words)), (4, len(words) - 2), (first, k), (first, 9), (len(words) - 1, 0)):
        damaged = words.copy()
        damaged[at] = value
        with pytest.raises(ValueError, match="64 x 600"):
            kernels.Matrix.of(n, k, "bf16", damaged)
    for size in (0, len(words) // 2, len(words) - 1):
        with pytest.raises(ValueError, match="64 x 600"):
            kernels.Matrix.of(n, k, "bf16", words[:size])


# --- int8 --------------------------------------------------------------------------------------------------------------------


def test_builds_agree():
    assert (
        all(ops.self_test(isa) for isa in ops.builds()) and os.environ.get("POCKETTTS_ISA", ops.builds()[0]) == ops.ISA
    )


def rounded_to_int8(x):
    """Each row quantized to integers from -127 to 127, as float64, and its scale."""
    most = np.abs(x).max(axis=1, keepdims=True)
    scale = np.where(most > 1e-30, most / np.float32(127), np.float32(0))
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 1e-30)
    return np.rint(x * inverse).astype(np.float64), scale


def int8_twin(x, w, bias=0, scale=1, add=0):
    """The exact bits: sums are exact, and each later step is rounded to float32."""
    (x, x_scale), (w, w_scale) = rounded_to_int8(x), rounded_to_int8(w)
    with np.errstate(over="ignore"):
        return ((x @ w.T).astype(np.float32) * w_scale.T * x_scale + np.float32(bias)) * np.float32(scale) + np.float32(
            add
        )


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("k", [*DEPTHS, 5])
def test_int8_is_the_same_to_the_last_bit_on_every_machine(kernels, n, k):
    words, add = (
        bf16(numbers(n, k) * 10 ** np.linspace(-5, 5, n, dtype=np.float32)[:, None]),
        numbers(HEIGHTS[-1], n, seed=2),
    )
    half, full = kernels.Matrix(words, quantize=True), kernels.Matrix(widened(words), quantize=True)
    assert (half.n, half.k, half.format) == (n, k, "int8") == (full.n, full.k, full.format)
    for t in HEIGHTS:
        x = numbers(t, k, seed=1) * 10 ** np.linspace(-5, 5, t, dtype=np.float32)[:, None]
        y = int8_twin(x, widened(words), add=add[:t])
        same(kernels.linear(x, half, add=add[:t]), y)
        same(kernels.linear(x, full, add=add[:t]), y)


def test_int8_at_the_limits(kernels):
    """The largest bytes, where 16-bit sums would overflow, and rows of zeros."""
    k = 4097
    signs = np.where(np.random.default_rng(0).random((5, k)) < 0.5, -1, 1).astype(np.float32)
    w = np.concatenate([np.ones((3, k)), -np.ones((3, k)), signs, np.zeros((3, k)), np.full((3, k), 1e-42)]).astype(
        np.float32
    )
    x = np.concatenate([w, 3e38 * signs])
    expected = int8_twin(x, w)
    assert np.isfinite(expected[:14]).all()
    same(kernels.linear(x, kernels.Matrix(w, quantize=True)), expected)
    same(kernels.linear(x[3:4], kernels.Matrix(w, quantize=True)), expected[3:4])
    with pytest.raises(ValueError, match="65536"):
        kernels.Matrix(np.zeros((1, 65537), np.float32), quantize=True)


@pytest.mark.parametrize("t", [1, 2, 7, 67])
def test_int8_epilogue(kernels, t):
    n, k = 40, 24
    w, bias, scale, add = numbers(n, k), numbers(n), numbers(t, n), numbers(t, n, seed=1)
    matrix = kernels.Matrix(w, quantize=True)
    x = numbers(t, k, seed=2)
    same(kernels.linear(x, matrix, bias, scale, add), int8_twin(x, w, bias, scale, add))


@pytest.mark.parametrize(
    ("t", "n", "k"), [(1, 1000, 300), (1, 129, 1400), (3, 500, 400), (20, 65, 900), (40, 999, 600)]
)
def test_int8_on_threads(kernels, t, n, k):
    w, x = numbers(n, k), numbers(t, k)
    same(with_threads(kernels, lambda: kernels.linear(x, kernels.Matrix(w, quantize=True))), int8_twin(x, w))


# --- norms -------------------------------------------------------------------------------------------------------------------


def layer_norm_twin(x, weight=1, bias=0, eps=1e-5):
    x = x.astype(np.float64)
    deviation = x - x.mean(axis=1, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + eps) * weight + bias


@pytest.mark.parametrize("c", [*WIDTHS, 1024])
def test_norm(kernels, c):
    weight, bias = numbers(c, seed=1), numbers(c, seed=2)
    for x in (numbers(1, c), numbers(5, c) + 100, numbers(3, c) * 1e-4):
        close(kernels.Norm(weight, bias, 1e-5)(x), layer_norm_twin(x, weight, bias), 2e-5)
        close(kernels.Norm(None, None, 1e-5)(x), layer_norm_twin(x), 2e-5)


@pytest.mark.parametrize("c", [*WIDTHS, 512])
def test_modulated_norm(kernels, c):
    weight, bias = numbers(c, seed=1), numbers(c, seed=2)
    for t in (1, 6):
        x, (shift, scale, _) = numbers(t, c), np.split(numbers(t, 3 * c), 3, axis=1)
        close(kernels.Norm(None, None, 1e-6)(x, shift, scale), layer_norm_twin(x, eps=1e-6) * (1 + scale) + shift)
        affine = layer_norm_twin(x, weight, bias, 1e-6)
        close(kernels.Norm(weight, bias, 1e-6)(x, shift, scale), affine * (1 + scale) + shift)
        close(kernels.Norm(weight, bias, 1e-6)(x, shift[:1], scale[:1]), affine * (1 + scale[:1]) + shift[:1])


@pytest.mark.parametrize("format", ["f32", "bf16", "int8"])
@pytest.mark.parametrize(("t", "k"), [(1, 40), (7, 65), (130, 300)])
def test_linear_with_norm(kernels, format, t, k):
    """The same bits as the norm followed by the product."""
    norm, w, words, x = (
        kernels.Norm(numbers(k), numbers(k, seed=1), 1e-5),
        numbers(33, k),
        numbers(33, k),
        numbers(t, k),
    )
    matrix = kernels.Matrix(bf16(words) if format == "bf16" else w, quantize=format == "int8")
    same(with_threads(kernels, lambda: kernels.linear(x, matrix, norm=norm)), kernels.linear(norm(x), matrix))


# --- mlp ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["gelu", "silu"])
@pytest.mark.parametrize(("t", "c", "hidden"), [(1, 33, 70), (5, 16, 129), (19, 200, 300), (1, 512, 2048)])
def test_mlp(kernels, activation, t, c, hidden):
    x, w1, w2, b1, b2 = numbers(t, c), numbers(hidden, c) / 10, numbers(c, hidden) / 10, numbers(hidden), numbers(c)
    m1, m2, norm = kernels.Matrix(w1), kernels.Matrix(w2), kernels.Norm(numbers(c, seed=3), numbers(c, seed=4), 1e-5)
    twin = {"gelu": gelu_twin, "silu": silu_twin}[activation]
    gate, shift, scale = (numbers(t, 3 * c, seed=5)[:, i * c : (i + 1) * c] for i in range(3))
    h = layer_norm_twin(x, numbers(c, seed=3), numbers(c, seed=4))
    plain = with_threads(kernels, lambda: kernels.mlp(x, norm, m1, None, activation, m2, None))
    close(plain, x + twin(h @ w1.T.astype(float)) @ w2.T, 5e-6)
    full = with_threads(kernels, lambda: kernels.mlp(x, norm, m1, b1, activation, m2, b2, gate, shift, scale))
    h = h * (1 + scale.astype(float)) + shift
    close(full, x + gate * (twin(h @ w1.T + b1) @ w2.T + b2), 5e-6)
    same(kernels.mlp(x[-1:], norm, m1, b1, activation, m2, b2, gate[-1:], shift[-1:], scale[-1:]), full[-1:])
    in_turn = kernels.linear(norm(x, shift, scale), m1, b1, activation=activation)
    same(kernels.linear(in_turn, m2, b2, gate, x), full)


def test_mlp_of_no_rows(kernels):
    norm, m = kernels.Norm(None, None, 1e-5), kernels.Matrix(numbers(5, 5))
    assert kernels.mlp(numbers(0, 5), norm, m, None, "gelu", m, None).shape == (0, 5)


# --- activations -------------------------------------------------------------------------------------------------------------


def gelu_twin(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def silu_twin(x):
    return x * (1 + np.tanh(x / 2)) / 2


def elu_twin(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


ACTIVATIONS = pytest.mark.parametrize(("name", "twin"), [("gelu", gelu_twin), ("silu", silu_twin), ("elu", elu_twin)])


def activation_of(kernels, name):
    """The activation as a function of x [T, C]. Those that are part of a product are applied to x times the identity."""
    if name == "elu":
        return kernels.elu
    return lambda x: (
        np.concatenate(
            [
                kernels.linear(
                    np.eye(1, dtype=np.float32), kernels.Matrix(np.ascontiguousarray(row[:, None])), activation=name
                )
                for row in x
            ]
        )
        if len(x)
        else x
    )


@ACTIVATIONS
def test_activation(kernels, name, twin):
    activation = activation_of(kernels, name)
    for x in (
        np.linspace(-12, 12, 4999),
        np.linspace(-1e-3, 1e-3, 333),
        [-1e30, -1e4, -90, -87.5, 0, 87.5, 90, 1e4, 1e30],
    ):
        x = np.array(x, np.float32)[None]
        y, expected = activation(x), twin(x.astype(np.float64))
        assert np.all(np.abs(y - expected) <= 3e-7 * np.maximum(np.abs(expected), np.abs(x).clip(0.3, 1)))
    for shape in [(0, 3), (1, 1), (1, 70), (7, 9), (3, 4096), (2, 4097)]:
        x = numbers(*shape)
        close(activation(x), twin(x.astype(np.float64)), 3e-7)


@ACTIVATIONS
def test_bits_of_an_activation_depend_only_on_its_input(kernels, name, twin):
    activation = activation_of(kernels, name)
    for value in numbers(40) * 3:
        alone = activation(np.full((1, 1), value, np.float32))
        for n in (2, 15, 33, 70, 4100):
            assert np.all(activation(np.full((1, n), value, np.float32)) == alone)
    x = numbers(17, 2000)
    with_threads(kernels, lambda: activation(x))


# --- attention ---------------------------------------------------------------------------------------------------------------


def rope_twin(x, angles):
    """RoPE: x [T, H, D], angles [T, D/2]. Each pair is rotated as a complex number."""
    pairs = x.astype(np.float64).reshape(*x.shape[:2], -1, 2)
    turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angles)[:, None]
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


UNTURNED = np.stack([np.ones((400, 200), np.float32), np.zeros((400, 200), np.float32)])


def attend(kernels, qkv, keys, values, end, context=0):
    """Attention without rotation: the last rows of the cache are written again, unchanged."""
    t, (kv_heads, _, d) = len(qkv), keys.shape
    qkv = qkv.copy()
    new = np.concatenate([keys[:, end - t : end], values[:, end - t : end]]).transpose(1, 0, 2)
    qkv[:, qkv.shape[1] - 2 * kv_heads * d :] = new.reshape(t, -1)
    rope = np.ascontiguousarray(UNTURNED[:, :, : d // 2])
    return kernels.attention(qkv, [(t, keys.copy(), values.copy(), end, end)], rope, context)


@pytest.mark.parametrize(("heads", "kv_heads", "d"), [(1, 1, 2), (4, 4, 64), (6, 2, 18), (3, 1, 32), (5, 5, 6)])
def test_attention_rotates_and_stores_keys_and_values(kernels, heads, kv_heads, d):
    for t, end, position in [(1, 1, 1), (1, 12, 30), (5, 8, 8), (12, 12, 12)]:
        qkv, angles = numbers(t, heads + 2 * kv_heads, d), numbers(40, d // 2) * 10
        keys, values = numbers(kv_heads, 12, d), numbers(kv_heads, 12, d, seed=1)
        q, k, v = np.split(qkv, [heads, heads + kv_heads], axis=1)
        expected_keys, expected_values, turn = keys.copy(), values.copy(), angles[position - t : position]
        expected_keys[:, end - t : end] = rope_twin(k, turn).transpose(1, 0, 2)
        expected_values[:, end - t : end] = v.transpose(1, 0, 2)
        flat = qkv.reshape(t, -1).copy()
        y = kernels.attention(flat, [(t, keys, values, end, position)], np.stack([np.cos(angles), np.sin(angles)]))
        close(flat[:, : heads * d], rope_twin(q, turn).reshape(t, -1))
        close(keys, expected_keys)
        same(values, expected_values)
        close(y, attention_twin(flat[:, : heads * d].reshape(t, heads, d), keys, values, end, 0), 5e-6)


def test_batched_streams_equal_single_streams(kernels):
    sizes, rope = [(1, 200, 230), (7, 31, 31), (1, 1, 1), (18, 90, 120)], UNTURNED[:, :, :32].copy()
    qkv = numbers(sum(t for t, *_ in sizes), 8 * 64)  # H = 4, H_kv = 2
    caches = [(numbers(2, 200, 64, seed=i), numbers(2, 200, 64, seed=10 + i)) for i in range(4)]
    for context in (0, 20):

        def together(c=context):
            streams = [(t, k.copy(), v.copy(), end, at) for (t, end, at), (k, v) in zip(sizes, caches, strict=True)]
            return kernels.attention(qkv.copy(), streams, rope, c)

        alone, row = [], 0
        for (t, end, at), (k, v) in zip(sizes, caches, strict=True):
            alone.append(
                kernels.attention(qkv[row : row + t].copy(), [(t, k.copy(), v.copy(), end, at)], rope, context)
            )
            row += t
        same(with_threads(kernels, together), np.concatenate(alone))


def attention_twin(q, keys, values, end, context):
    """q [T, H, D], keys and values [H_kv, rows, D] -> [T, H D]. Row t is at position end - T + t."""
    t, heads, d = q.shape
    keys, values = (np.repeat(a[:, :end], heads // len(a), axis=0).astype(np.float64) for a in (keys, values))
    scores = np.einsum("thd,hpd->htp", q, keys) / np.sqrt(d)
    distance = np.arange(end - t, end)[:, None] - np.arange(end)
    hidden = (distance < 0) | (distance >= (context or np.inf))
    weights = np.exp(np.where(hidden, -np.inf, scores - scores.max(axis=-1, keepdims=True)))
    return np.einsum("htp,hpd->thd", weights / weights.sum(axis=-1, keepdims=True), values).reshape(t, -1)


def queries_and_cache(t, end, heads, kv_heads, d):
    """qkv, and a cache that is NaN where the kernel must not read."""
    keys, values = numbers(kv_heads, end + 3, d), numbers(kv_heads, end + 3, d, seed=1)
    keys[:, end:] = values[:, end:] = np.nan
    qkv = numbers(t, (heads + 2 * kv_heads) * d) * 2
    qkv[:, heads * d :] = np.nan
    return qkv, keys, values


@pytest.mark.parametrize(
    ("heads", "kv_heads", "d"), [(1, 1, 2), (4, 4, 64), (6, 2, 18), (3, 1, 32), (2, 1, 4), (2, 2, 300)]
)
@pytest.mark.parametrize("context", [0, 1, 4, 17, 100])
def test_attention(kernels, heads, kv_heads, d, context):
    for t, end in [(1, 1), (1, 2), (1, 7), (1, 70), (4, 4), (16, 33), (20, 70)]:
        qkv, keys, values = queries_and_cache(t, end, heads, kv_heads, d)
        y = attend(kernels, qkv, keys, values, end, context)
        close(y, attention_twin(qkv[:, : heads * d].reshape(t, heads, d), keys, values, end, context))


def test_attention_with_scores_that_would_overflow(kernels):
    qkv, keys, values = queries_and_cache(3, 9, 2, 2, 8)
    y = attend(kernels, 100 * qkv, 10 * keys, values, 9)
    close(y, attention_twin(100 * qkv[:, :16].reshape(3, 2, 8), 10 * keys, values, 9, 0), 1e-4)


def test_bits_of_a_query_depend_only_on_its_context(kernels):
    """They do not depend on the other queries, on the position of the window in the cache, or on the number of threads."""
    qkv, keys, values = queries_and_cache(40, 300, 4, 2, 20)
    for context in (0, 50):
        y = with_threads(kernels, lambda c=context: attend(kernels, qkv, keys, values, 300, c))
        for i in (0, 1, 17, 39):
            same(attend(kernels, qkv[[i]], keys, values, 261 + i, context), y[[i]])
    same(attend(kernels, qkv, keys[:, 200:].copy(), values[:, 200:].copy(), 100, 50), y)


@pytest.mark.parametrize(("heads", "kv_heads", "end"), [(1, 1, 1), (4, 4, 64), (6, 2, 17)])
def test_attention_weights_are_those_of_attention(kernels, heads, kv_heads, end):
    qkv, keys, values = queries_and_cache(3, end, heads, kv_heads, 64)
    values[:, :end] = np.eye(64)[:end]  # so that the mixture shows each weight by itself
    y = attend(kernels, qkv[-1:], keys, values, end).reshape(heads, 64)
    for head in range(heads):
        same(kernels.attention_weights(qkv, keys, end, head, 0, end), y[head, :end])
        same(kernels.attention_weights(qkv, keys, end, head, end // 3, end - 1), y[head, end // 3 : end - 1])


# --- convolution -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["f32", "bf16", "int8"])
@pytest.mark.parametrize("elu", [False, True])
@pytest.mark.parametrize(("c", "width", "stride", "dilation"), [
    (1, 7, 1, 1), (64, 3, 1, 1), (5, 1, 1, 1), (5, 1, 1, 3), (33, 8, 4, 1), (6, 3, 1, 2), (4, 5, 3, 7), (4, 6, 6, 1)])  # fmt: skip
def test_convolve(kernels, c, width, stride, dilation, elu, format):
    """The bits of a product of gathered inputs, for whole sequences and frame by frame, with history."""
    n, rows = 19, (width - 1) * dilation + 1 - stride
    w, bias = bf16(numbers(n, width * c)), numbers(n)
    matrix = kernels.Matrix(widened(w) if format == "f32" else w, quantize=format == "int8")
    for frame, frames in ((stride, 3), (20 * stride, 2)):
        x, before = numbers(frame * frames, c), numbers(rows, c, seed=1)
        add = numbers(len(x) // stride, n, seed=2)
        inputs = np.concatenate([before, kernels.elu(x) if elu else x])
        gathered = np.stack([inputs[t : t + width * dilation : dilation].ravel() for t in range(0, len(x), stride)])
        history = before.copy()
        whole = kernels.convolve(x, history, matrix, bias, stride, dilation, elu, add)
        same(whole, kernels.linear(gathered, matrix, bias, add=add))
        same(history, inputs[len(inputs) - rows :])
        history, step = before.copy(), frame // stride
        for i in range(frames):
            now = slice(i * step, (i + 1) * step)
            y = kernels.convolve(x[i * frame : (i + 1) * frame], history, matrix, bias, stride, dilation, elu, add[now])
            same(y, whole[now])
    assert kernels.convolve(x[:0], history, matrix, bias, stride, dilation, elu).shape == (0, n)


def test_convolve_on_threads(kernels):
    x, matrix, history = numbers(900, 64), kernels.Matrix(numbers(32, 192)), numbers(2, 64)
    with_threads(kernels, lambda: kernels.convolve(x, history.copy(), matrix, elu=True))


@pytest.mark.parametrize("c", [1, 7, 33, 512])
@pytest.mark.parametrize("stride", [1, 2, 16])
def test_depthwise_upsample(kernels, c, stride):
    weight = numbers(2 * stride, c)
    for t in (0, 1, 5):
        x = numbers(1 + t, c)
        overlapped = np.zeros(((t + 2) * stride, c))
        for i, row in enumerate(x.astype(np.float64)):
            overlapped[i * stride : (i + 2) * stride] += row * weight
        history = x[:1].copy()
        close(kernels.depthwise_upsample(x[1:], history, weight), overlapped[stride : (t + 1) * stride])
        same(history, x[-1:])


# --- threads -----------------------------------------------------------------------------------------------------------------


def test_helpers_never_exceed_the_budget(kernels):
    """A second caller has no helpers until the first one has released its own, or its thread has ended."""
    x, matrix, free = numbers(40, 600), kernels.Matrix(numbers(500, 600)), kernels.free_helpers
    kernels.release_threads()
    kernels.set_threads(3)
    assert free() == 2
    expected, seen = kernels.linear(x, matrix), []
    assert free() == (0 if kernels.OPENMP else 2)

    def call():
        same(kernels.linear(x, matrix), expected)
        seen.append(free())

    for left in (0, 0, 2):
        if left:
            kernels.release_threads()
            assert free() == left
        caller = threading.Thread(target=call)
        caller.start()
        caller.join()
    assert seen == ([0, 0, 0] if kernels.OPENMP else [2, 2, 2])
    deadline = time.monotonic() + 10  # Python joins a thread shortly before it ends
    while free() < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert free() == 2


def test_a_team_shrinks_while_helpers_are_late(kernels):
    """Work of 1 ms, first on time, then 5 ms late, with explicit times."""
    pacer, now = kernels.Pacer(), 0.0

    def region(seconds):
        nonlocal now
        threads = pacer.begin(4, 1e6, now)
        now += seconds
        if threads > 1:
            pacer.end(now)
        return threads

    assert [region(0.001) for _ in range(5)] == [4] * 5
    assert region(0.003) == 4 and region(0.001) == 4  # slower, but not late
    assert region(0.006) == 4
    assert [region(0.001) for _ in range(3)] == [3] * 3  # for 12 ms
    now += 0.012
    assert region(0.001) == 4 and region(0.001) == 4
    tried = [region(0.006) for _ in range(200)]  # always late: one after the other is left out
    assert tried[0] == 4 and min(tried) == 1 and sum(threads > 1 for threads in tried[100:]) < 20
    now += 10
    assert [region(0.001) for _ in range(2000)][-1] == 4  # all of them again


def test_many_callers_share_the_helpers(kernels):
    """Many callers with their own work and more threads than cores: all results are correct."""
    kernels.set_threads(4)
    x, matrix = numbers(70, 300), kernels.Matrix(numbers(200, 300))
    expected, wrong = kernels.linear(x, matrix), []

    def call(seed):
        for _ in range(200):
            rows = np.random.default_rng(seed).permutation(70)
            if not np.array_equal(kernels.linear(x[rows], matrix), expected[rows]):
                wrong.append(seed)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_more_threads_than_tasks_or_places(kernels):
    x, matrix = numbers(3, 3000), kernels.Matrix(numbers(40, 3000))
    alone = kernels.linear(x, matrix)
    for threads in (5, 64, 1000):
        kernels.set_threads(threads)
        same(kernels.linear(x, matrix), alone)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks where there are threads
def test_a_forked_process_starts_its_own_helpers(kernels):
    kernels.set_threads(2)
    x, matrix = numbers(40, 600), kernels.Matrix(numbers(500, 600))
    expected = kernels.linear(x, matrix)
    child = os.fork()
    if not child:
        signal.alarm(20)  # ends it, should it wait for who isn't there
        os._exit(0 if np.array_equal(kernels.linear(x, matrix), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


# --- what does not fit -------------------------------------------------------------------------------------------------------


def test_wrong_shapes_are_rejected(kernels):
    x, w = numbers(4, 6), kernels.Matrix(numbers(5, 6))
    w2, plain = kernels.Matrix(numbers(6, 5)), kernels.Norm(None, None, 1e-5)
    qkv, rope, cache = numbers(4, 24), numbers(2, 12, 2), numbers(2, 9, 4)  # H = 2, H_kv = 2, D = 4

    def mlp(x, w1=w, bias1=None, activation="gelu", w2=w2, bias2=None, **more):
        return kernels.mlp(x, plain, w1, bias1, activation, w2, bias2, **more)

    def attention(qkv=qkv, rows=4, values=cache, end=9, position=9, rope=rope):
        return kernels.attention(qkv.copy(), [(rows, cache.copy(), values.copy(), end, position)], rope)

    def convolve(t=4, c=3, before=0, stride=2, dilation=1, **more):  # w is of width 2
        return kernels.convolve(numbers(t, c), numbers(before, c), w, stride=stride, dilation=dilation, **more)

    assert mlp(x).shape == (4, 6) and attention().shape == (4, 8) and convolve().shape == (2, 5)
    calls = [
        lambda: kernels.Matrix(numbers(5)),
        lambda: kernels.Matrix(numbers(5, 6, 2)),
        lambda: kernels.linear(numbers(4, 7), w),
        lambda: kernels.linear(numbers(4, 12)[:, ::2], w),
        lambda: kernels.linear(numbers(4), w),
        lambda: kernels.linear(x.astype(np.float64), w),
        lambda: kernels.linear(x, w, numbers(4)),
        lambda: kernels.linear(x, w, None, numbers(1, 6)),
        lambda: kernels.linear(x, w, None, numbers(3, 5)),
        lambda: kernels.linear(x, w, None, numbers(4, 10)[:, ::2]),
        lambda: kernels.linear(x, w, None, None, numbers(3, 5)),
        lambda: kernels.linear(x, w, None, None, numbers(4, 6)),
        lambda: kernels.linear(x, w, activation="elu"),
        lambda: kernels.linear(x, w, norm=kernels.Norm(numbers(5), numbers(5), 1e-5)),
        lambda: kernels.Norm(numbers(5), numbers(6), 1e-5),
        lambda: kernels.Norm(numbers(5), None, 1e-5),
        lambda: kernels.Norm(numbers(5), numbers(5), 1e-5)(x),
        lambda: kernels.Norm(None, None, 1e-5)(x, numbers(4, 5), x),
        lambda: kernels.Norm(None, None, 1e-5)(x, x, numbers(3, 6)),
        lambda: kernels.Norm(None, None, 1e-5)(x, x),
        lambda: mlp(numbers(4, 7)),
        lambda: mlp(x, w1=w2),
        lambda: mlp(x, w2=kernels.Matrix(numbers(6, 4))),
        lambda: mlp(x, w2=kernels.Matrix(numbers(7, 5))),
        lambda: mlp(x, bias1=numbers(6)),
        lambda: mlp(x, bias2=numbers(5)),
        lambda: mlp(x, activation="relu"),
        lambda: mlp(x, gate=numbers(3, 6)),
        lambda: mlp(x, shift=x),
        lambda: kernels.elu(numbers(4, 12)[:, ::2]),
        lambda: attention(end=3),
        lambda: attention(end=10),
        lambda: attention(values=numbers(1, 9, 4)),
        lambda: attention(values=numbers(2, 8, 4)),
        lambda: attention(numbers(4, 28)),
        lambda: attention(numbers(4, 22)),
        lambda: attention(numbers(4, 16)),
        lambda: attention(rows=3),
        lambda: attention(rows=5),
        lambda: attention(rows=0),
        lambda: attention(position=3),
        lambda: attention(position=13),
        lambda: attention(rope=numbers(2, 12, 3)),
        lambda: attention(rope=numbers(1, 12, 2)),
        lambda: kernels.attention(qkv.copy(), [], rope),
        lambda: kernels.attention_weights(qkv, cache, 10, 0, 0, 9),
        lambda: kernels.attention_weights(qkv, cache, 9, 2, 0, 9),
        lambda: kernels.attention_weights(qkv, cache, 9, -1, 0, 9),
        lambda: kernels.attention_weights(qkv, cache, 9, 0, 0, 10),
        lambda: kernels.attention_weights(qkv, cache, 9, 0, 5, 4),
        lambda: kernels.attention_weights(qkv[:0], cache, 9, 0, 0, 9),
        lambda: kernels.attention_weights(numbers(4, 23), cache, 9, 0, 0, 9),
        lambda: convolve(c=5),
        lambda: convolve(c=0),
        lambda: convolve(t=5),
        lambda: convolve(before=1),
        lambda: kernels.convolve(numbers(4, 3), numbers(1, 4), w),
        lambda: convolve(stride=0),
        lambda: convolve(stride=3),
        lambda: convolve(dilation=0),
        lambda: convolve(dilation=2),
        lambda: convolve(bias=numbers(4)),
        lambda: convolve(add=numbers(4, 5)),
        lambda: convolve(add=numbers(2, 6)),
        lambda: kernels.depthwise_upsample(x, numbers(1, 6), numbers(4, 5)),
        lambda: kernels.depthwise_upsample(x, numbers(1, 6), numbers(3, 6)),
        lambda: kernels.depthwise_upsample(x, numbers(1, 5), numbers(4, 6)),
        lambda: kernels.depthwise_upsample(x, numbers(2, 6), numbers(4, 6)),
    ]
    for i, call in enumerate(calls):
        try:
            call()
        except ValueError:
            continue
        pytest.fail(f"call {i} was not refused")
