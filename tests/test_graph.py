"""The graph: streaming is bit-identical to whole sequences, and layers equal naive NumPy implementations."""

import zlib
from itertools import accumulate

import numpy as np
import pytest
from conftest import GOLDEN

from pockettts import ops
from pockettts.config.load import load_config
from pockettts.model.attention import Attention, Rope
from pockettts.model.conv import Conv1d, ConvTranspose1d, DepthwiseUpsample
from pockettts.model.flow_lm import FlowLM
from pockettts.model.flow_net import FlowNet
from pockettts.model.layers import layer_norm
from pockettts.model.mimi import MimiDecoder, MimiEncoder
from pockettts.model.samplers import SAMPLERS
from pockettts.model.seanet import SEANetDecoder, SEANetEncoder
from pockettts.model.shapes import CodecTransformerShape, SEANetShape
from pockettts.model.state import KVCache
from pockettts.model.transformer import ProjectedTransformer
from pockettts.weights.packed import Weights
from pockettts.weights.safetensors import Tensor

MODELS = pytest.mark.parametrize("model", ["tiny", "tiny_pointwise", "tiny_flow_matching"])


class RandomWeights(Weights):
    """Random weights for any layer; `tensors` stores them by name."""

    def __init__(self):
        super().__init__({}, "random weights")

    def _take(self, name, shape):
        rng = np.random.default_rng(zlib.crc32((self.scope + name).encode()))
        values = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))  # of a norm near 1 after a layer
        self.tensors[self.scope + name] = Tensor("F32", values.astype(np.float32))
        return super()._take(name, shape)

    def __getitem__(self, name):
        return self.tensors[name].array.astype(np.float64)


@pytest.fixture(autouse=True)
def two_threads():
    ops.set_threads(2)
    yield
    ops.set_threads(1)


def numbers(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def in_pieces(layer, x, sizes):
    """The layer's output for x in pieces of these sizes and a rest, from a fresh state."""
    state = layer.init_state()
    return np.concatenate([layer(piece, state) for piece in np.split(x, list(accumulate(sizes))) if len(piece)])


def streams(layer, x, step=1):
    """Assert that the layer gives the same bits for x at once and in pieces of multiples of `step`; returns the output."""
    whole = layer(x, layer.init_state())
    ones = [step] * (len(x) // step)
    for sizes in (ones, [2 * step, step, 5 * step, step], [3 * step, 7 * step]):
        np.testing.assert_array_equal(in_pieces(layer, x, sizes), whole)
    return whole


def close(y, expected, tolerance=1e-5):
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= tolerance * np.abs(expected).max()


# --- convolutions ------------------------------------------------------------------------------------------------------------


def conv_twin(x, kernel, bias=0, stride=1, dilation=1, pad_mode="constant"):
    """Causal convolution: x [T, C], kernel [N, C, width] -> [T / stride, N]."""
    width = kernel.shape[2]
    pad = (width - 1) * dilation + 1 - stride
    x = np.pad(x.astype(np.float64), [(pad, 0), (0, 0)], mode="edge" if pad_mode == "replicate" else "constant")
    starts = range(0, len(x) - (width - 1) * dilation, stride)
    return np.stack([np.einsum("kc,nck->n", x[t : t + width * dilation : dilation], kernel) for t in starts]) + bias


def transposed_twin(x, kernel, bias=0):
    """Transposed convolution: x [T, C], kernel [C, N, 2 s] -> [T s, N]. The last s rows are incomplete and cut off."""
    stride = kernel.shape[2] // 2
    y = np.zeros(((len(x) + 1) * stride, kernel.shape[1]))
    for t, row in enumerate(x.astype(np.float64)):
        y[t * stride : (t + 2) * stride] += np.einsum("c,cnk->kn", row, kernel)
    return y[:-stride] + bias


def elu_twin(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


@pytest.mark.parametrize("pad_mode", ["constant", "replicate"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [
    (1, 1, 1), (1, 1, 4), (2, 1, 1), (3, 1, 1), (7, 1, 1), (3, 1, 2), (3, 1, 9), (5, 1, 3), (2, 2, 1), (4, 2, 1), (8, 4, 1), (12, 6, 1),
    (7, 3, 1), (32, 16, 1), (3, 2, 2), (3, 3, 5)])  # fmt: skip
def test_conv(kernel, stride, dilation, pad_mode):
    w, x = RandomWeights(), numbers(12 * stride, 5)
    for elu in (False, True):
        layer = Conv1d(w, 5, 9, kernel, stride, dilation, pad_mode=pad_mode, elu=elu)
        given = elu_twin(x) if elu else x
        close(streams(layer, x, stride), conv_twin(given, w["weight"], w["bias"], stride, dilation, pad_mode))


def test_conv_without_bias_and_plus_a_residual():
    w, x, residual = RandomWeights(), numbers(10, 6), numbers(10, 4)
    layer = Conv1d(w, 6, 4, 3, bias=False)
    close(layer(x, layer.init_state(), add=residual), conv_twin(x, w["weight"]) + residual)


@pytest.mark.parametrize("stride", [1, 2, 5, 6])
def test_conv_transpose(stride):
    w, x = RandomWeights(), numbers(12, 6)
    close(streams(ConvTranspose1d(w, 6, 3, stride), x), transposed_twin(elu_twin(x), w["weight"], w["bias"]))


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(8, 8, 16), (8, 4, 2), (12, 3, 5), (1, 1, 1)])
def test_depthwise_upsample(c_in, c_out, stride):
    w, x = RandomWeights(), numbers(12, c_in)
    y = streams(DepthwiseUpsample(w, c_in, c_out, stride), x)
    groups = c_in // c_out  # kernel [C_in, 1, 2 s]: as one of many zeros
    dense = np.zeros((c_in, c_out, 2 * stride))
    dense[np.arange(c_in), np.arange(c_in) // groups] = w["weight"][:, 0]
    close(y, transposed_twin(x, dense))


# --- attention and transformer -----------------------------------------------------------------------------------------------


def test_rope_turns_pairs_by_their_positions():
    rope = Rope(8, 1000.0)
    angles = np.arange(2000)[:, None] * 1000.0 ** (-np.arange(4) / 4)
    for offset, n in [(0, 1), (700, 3), (5, 600), (1990, 10)]:  # its table grows
        table = rope(offset + n)
        assert table.dtype == np.float32 and table.shape[1] >= offset + n
        cos, sin = table[:, offset : offset + n]
        np.testing.assert_allclose(cos, np.cos(angles[offset : offset + n]), atol=3e-4)
        np.testing.assert_allclose(sin, np.sin(angles[offset : offset + n]), atol=3e-4)


def attention_twin(x, w, heads, kv_heads, d, period, context):
    q, k, v = np.split((x @ w["in_proj.weight"].T).reshape(len(x), -1, d), [heads, heads + kv_heads], axis=1)
    turn = np.exp(1j * np.arange(len(x))[:, None] * period ** (-np.arange(d // 2) * 2 / d))[:, None]
    q, k = ((a[..., ::2] + 1j * a[..., 1::2]) * turn for a in (q, k))
    k, v = (np.repeat(a, heads // kv_heads, axis=1) for a in (k, v))
    scores = np.einsum("thd,phd->htp", q, k.conj()).real / np.sqrt(d)
    distance = np.arange(len(x))[:, None] - np.arange(len(x))
    weights = np.exp(np.where((distance < 0) | (distance >= context), -np.inf, scores))
    y = np.einsum("htp,phd->thd", weights / weights.sum(-1, keepdims=True), v)
    return y.reshape(len(x), -1) @ w["out_proj.weight"].T


@pytest.mark.parametrize("context", [None, 1, 5, 64])
@pytest.mark.parametrize(
    ("d_model", "attn_dim", "heads", "kv_heads"), [(16, None, 2, None), (20, 36, 6, 2), (7, 8, 4, 1)]
)
def test_attention(d_model, attn_dim, heads, kv_heads, context):
    w, x = RandomWeights(), numbers(40, d_model)
    layer = Attention(w, d_model, heads, 100.0, context, attn_dim, kv_heads)
    scale, norm = numbers(1, d_model), layer_norm(w, d_model)
    d = (attn_dim or d_model) // heads
    expected = attention_twin(norm(x), w, heads, kv_heads or heads, d, 100.0, context or np.inf) * scale + x
    close(layer(x, layer.init_state(), norm, scale), expected)
    close(layer(x, layer.init_state(), norm, scale, wanted=[39, 2]), expected[[39, 2]])


@pytest.mark.parametrize("context", [1, 3, 8])
def test_transformer_past_its_window(context):
    config = CodecTransformerShape(
        d_model=16,
        input_dimension=12,
        output_dimensions=(10,),
        num_heads=2,
        num_layers=2,
        layer_scale=0.01,
        context=context,
        dim_feedforward=24,
    )
    layer, x = ProjectedTransformer(RandomWeights(), config), numbers(100, 12)
    assert streams(layer, x).shape == (100, 10)
    np.testing.assert_array_equal(in_pieces(layer, x, [16] * 6), layer(x, layer.init_state()))


def test_cache_grows_and_keeps_all_rows():
    cache, rows = KVCache(2, 3), numbers(1000, 2, 3)
    for start in range(0, 1000, 40):
        keys, values, end, position = cache.extend(40)
        assert keys is cache.keys and values is cache.values and end == position == start + 40
        keys[:, start:end] = rows[start:end].transpose(1, 0, 2)
        values[:, start:end] = -rows[start:end].transpose(1, 0, 2)
    assert cache.length == cache.offset == 1000
    np.testing.assert_array_equal(cache.rows(), [rows, -rows])

    other = numbers(*cache.rows().shape)
    copies = KVCache.restore([cache.rows(), other], 7)
    for copy, held in zip(copies, (cache.rows(), other), strict=True):
        assert copy.length == copy.offset == 1000 and copy.keys.shape == (2, 1007, 3) and copy.keys.flags.c_contiguous
        np.testing.assert_array_equal(copy.rows(), held)
    copies[0].keys[:] = 0
    assert cache.keys.any()
    np.testing.assert_array_equal(copies[1].rows(), other)


@pytest.mark.parametrize("sizes", [[1] * 50, [4] * 20, [30, 1, 1, 30, 5]])
def test_cache_with_a_context_shifts(sizes):
    cache = KVCache(1, 1, context=5)
    for n in sizes:
        keys, _, length, end = cache.extend(n)
        keys[0, length - n : length, 0] = np.arange(end - n, end)
        kept = keys[0, :length, 0]
        np.testing.assert_array_equal(kept, np.arange(end - len(kept), end))  # the latest, in order
        assert cache.offset == end and len(kept) >= min(end, n + 5 - 1)  # all that the n new rows may look at
    assert cache.keys.shape[1] <= 2 * (5 + max(sizes))


# --- SEANet and Mimi ---------------------------------------------------------------------------------------------------------

SEANETS = pytest.mark.parametrize("changes", [
    {}, {"pad_mode": "replicate"}, {"n_residual_layers": 3}, {"n_residual_layers": 0}, {"compress": 1}, {"ratios": [4]},
    {"kernel_size": 1, "last_kernel_size": 1, "residual_kernel_size": 1}, {"ratios": [2, 2, 3, 1], "dilation_base": 3},
], ids=str)  # fmt: skip


def seanet_config(changes):
    return SEANetShape(
        **dict(
            dimension=11,
            channels=1,
            n_filters=4,
            n_residual_layers=2,
            ratios=[3, 2],
            kernel_size=7,
            residual_kernel_size=3,
            last_kernel_size=5,
            dilation_base=2,
            pad_mode="constant",
            compress=2,
        )
        | changes
    )


@SEANETS
def test_seanet_encoder(changes):
    c = seanet_config(changes)
    x = numbers(20 * c.hop_length, 1)
    assert streams(SEANetEncoder(RandomWeights(), c), x, c.hop_length).shape == (20, 11)


@SEANETS
def test_seanet_decoder(changes):
    c = seanet_config(changes)
    assert streams(SEANetDecoder(RandomWeights(), c), numbers(20, 11)).shape == (20 * c.hop_length, 1)


def test_seanet_equals_its_layers_in_sequence():
    """A small encoder and decoder equal their layers, applied one by one."""
    c = seanet_config({"ratios": [2], "n_residual_layers": 1})
    w = RandomWeights()

    def conv(x, name, **options):
        return conv_twin(x, w[name + ".weight"], w[name + ".bias"], **options)

    def block(x, name):
        return x + conv(elu_twin(conv(elu_twin(x), name + ".block.1.conv")), name + ".block.3.conv")

    layer, x = SEANetEncoder(w, c), numbers(24, 1)
    y = block(conv(x, "model.0.conv"), "model.1")
    y = conv(elu_twin(y), "model.3.conv", stride=2)
    close(layer(x, layer.init_state()), conv(elu_twin(y), "model.5.conv"))

    w = RandomWeights()
    layer, x = SEANetDecoder(w, c), numbers(24, 11)
    y = transposed_twin(elu_twin(conv(x, "model.0.conv")), w["model.2.convtr.weight"], w["model.2.convtr.bias"])
    y = block(y, "model.3")
    close(layer(x, layer.init_state()), conv(elu_twin(y), "model.5.conv"))


@MODELS
def test_mimi_decoder(model):
    c = load_config(GOLDEN / model / "config.yaml").mimi
    samples = streams(MimiDecoder(RandomWeights(), c), numbers(13, c.quantizer.dimension))
    assert samples.shape == (13 * c.sample_rate / c.frame_rate,)


@MODELS
def test_mimi_encoder(model):
    c = load_config(GOLDEN / model / "config.yaml").mimi
    encoder = MimiEncoder(RandomWeights(), c)
    samples = numbers(13 * encoder.frame_size)
    latents = streams(encoder, samples, encoder.frame_size)
    assert latents.shape == (13, c.inner_dim)
    np.testing.assert_array_equal(encoder.encode(samples), latents)
    padded = np.pad(samples[: 3 * encoder.frame_size + 1], (0, encoder.frame_size - 1))
    np.testing.assert_array_equal(encoder.encode(samples[: 3 * encoder.frame_size + 1]), encoder.encode(padded))


# --- the flow LM -------------------------------------------------------------------------------------------------------------


def flow_lm(model):
    c = load_config(GOLDEN / model / "config.yaml")
    return FlowLM(RandomWeights(), c.flow_lm, c.mimi.quantizer.dimension, c.mimi.inner_dim)


@MODELS
def test_prefill_in_parts_and_from_a_saved_state(model):
    lm = flow_lm(model)
    x = np.concatenate([lm.embed_voice(numbers(9, lm.speaker_proj.matrix.k)), lm.embed_text(list(range(300)))])
    latent = numbers(*lm.bos_emb.shape)

    def hidden_after(sizes, saved_at=None):
        state = lm.init_state()
        for i, piece in enumerate(np.split(x, list(accumulate(sizes)))):
            if i == saved_at:
                state = KVCache.restore([cache.rows() for cache in state], 1)
            lm.prefill(piece, state)
        return lm.step(None, state), lm.step(latent, state)

    whole = hidden_after([])
    for sizes, saved_at in [([1] * 309, None), ([9], 1), ([5, 100, 0, 3], 3)]:
        np.testing.assert_array_equal(hidden_after(sizes, saved_at), whole)


@MODELS
def test_the_first_frame_gets_bos(model):
    lm = flow_lm(model)
    np.testing.assert_array_equal(lm.step(None, lm.init_state()), lm.step(lm.bos_emb, lm.init_state()))


@MODELS
def test_probes_record_attention_and_change_nothing(model):
    lm = flow_lm(model)
    heads, text, latent = [(1, 1), (0, 0), (1, 0)], lm.embed_text(list(range(5))), numbers(*lm.bos_emb.shape)
    plain, with_attention = lm.init_state(), lm.init_state()
    probes = lm.probe(heads, 7, 12, with_attention)
    for state in (plain, with_attention):
        for x in (numbers(7, text.shape[1]), text[:3], text[3:]):
            lm.prefill(x, state)
    for x in (None, latent):
        np.testing.assert_array_equal(lm.step(x, with_attention), lm.step(x, plain))
    assert [watch.heads for watch in probes] == [[0], [1, 0]]
    for watch in probes:
        rows = np.array(watch.rows)  # [frames, heads, text positions]
        assert rows.shape == (2, len(watch.heads), 5) and (rows > 0).all() and (rows.sum(axis=-1) < 1).all()


@MODELS
def test_text_is_embedded(model):
    lm = flow_lm(model)
    rows = lm.embed.weight[[3, 0, 3]].astype(np.float64)
    if lm.embed_proj:
        rows = rows @ ops.linear(np.eye(rows.shape[1], dtype=np.float32), lm.embed_proj.weight.matrix)
    close(lm.embed_text([3, 0, 3]), rows)


# --- flow net and samplers ---------------------------------------------------------------------------------------------------


def flow_net_twin(w, cond, times, x, depth):
    def linear(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def silu(x):
        return x / (1 + np.exp(-x))

    def norm(x):
        return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)

    def embedded(i, t):
        args = t * w[f"time_embed.{i}.freqs"]
        y = linear(
            silu(linear(np.concatenate([np.cos(args), np.sin(args)])[None], f"time_embed.{i}.mlp.0")),
            f"time_embed.{i}.mlp.2",
        )
        return y * w[f"time_embed.{i}.mlp.3.alpha"] / np.sqrt(y.var(ddof=1) + 1e-5)

    y = linear(cond, "cond_embed")
    if times:
        y = y + np.mean([embedded(i, t) for i, t in enumerate(times)], axis=0)
    x = linear(x, "input_proj")
    for i in range(depth):
        shift, scale, gate = np.split(linear(silu(y), f"res_blocks.{i}.adaLN_modulation.1"), 3, axis=1)
        h = norm(x) * w[f"res_blocks.{i}.in_ln.weight"] + w[f"res_blocks.{i}.in_ln.bias"]
        h = silu(linear(h * (1 + scale) + shift, f"res_blocks.{i}.mlp.0"))
        x = x + gate * linear(h, f"res_blocks.{i}.mlp.2")
    shift, scale = np.split(linear(silu(y), "final_layer.adaLN_modulation.1"), 2, axis=1)
    return linear(norm(x) * (1 + scale) + shift, "final_layer.linear")


@pytest.mark.parametrize(
    ("model", "times"), [("tiny", (0.25, 0.5)), ("tiny_flow_matching", (0.75,)), ("tiny_pointwise", ())]
)
def test_flow_net(model, times):
    c, w = load_config(GOLDEN / model / "config.yaml").flow_lm.flow, RandomWeights()
    net = FlowNet(w, c, 6, 10)
    cond, x = numbers(3, 10), numbers(3, 6)
    y = net(cond, times, x)
    close(y, flow_net_twin(w, cond, times, x, c.depth))
    for i in range(3):  # a row is its own
        np.testing.assert_array_equal(net(cond[[i]], times, x[[i]]), y[[i]])


def test_samplers():
    noise = numbers(1, 4)
    asked = []

    def flow(times, x):
        asked.append(times)
        return 2 * x + sum(times)

    def sample(name, n):
        asked.clear()
        return SAMPLERS[name](flow, noise, n)

    close(sample("drifting", 3), 2 * noise)
    close(sample("pointwise", 3), 3 * noise)
    assert asked == [()]
    close(sample("lsd", 1), 3 * noise + 1)
    assert asked == [(0, 1)]
    close(sample("lsd", 2), 2 * (2 * noise + 0.25) + 0.75)
    assert asked == [(0, 0.5), (0.5, 1)]
    close(sample("flow_matching", 1), 3 * noise)
    close(sample("flow_matching", 2), 2 * (2 * noise) + 0.25)
    assert asked == [(0,), (0.5,)]
    assert sorted(SAMPLERS) == ["drifting", "flow_matching", "lsd", "pointwise"]
