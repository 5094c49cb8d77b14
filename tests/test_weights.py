"""Tensors by name: missing and wrong ones are named; precisions; packing; the names of training checkpoints."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from pockettts import ops
from pockettts.errors import WeightsError
from pockettts.weights.packed import Weights
from pockettts.weights.safetensors import Tensor, read_safetensors
from pockettts.weights.training_names import read_flow_lm, read_mimi


def numbers(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def bf16(x):
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def tensor(x, dtype="F32"):
    """x as a tensor of this dtype, and the rounded values."""
    array = {"F32": x, "BF16": bf16(x), "F16": x.astype(np.float16), "F64": x.astype(np.float64)}[dtype]
    stored = Tensor(dtype, array)
    return stored, stored.float32()


@pytest.fixture
def weights():
    return Weights(
        {"a.w": tensor(numbers(3, 4))[0], "a.b": tensor(numbers(3))[0], "n": Tensor("I64", np.zeros(3, np.int64))},
        "x.file",
    )


# --- strictness --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("get", ["vector", "table", "matrix"])
def test_wrong_tensors_are_reported(weights, get):
    for name, shape, words in [
        ("w", (4, 3), "x.file: 'a.w' is [3, 4], but the config requires [4, 3]"),
        ("w", (3, 4, 2), "[3, 4, 2]"),
        ("c", (3, 4), "x.file has no tensor 'a.c'"),
    ]:
        with pytest.raises(WeightsError) as error:
            getattr(weights / "a", get)(name, *shape)
        assert words in str(error.value) and "\n" not in str(error.value)


def test_integers_are_not_weights(weights):
    with pytest.raises(WeightsError, match="'n' is of type I64"):
        weights.vector("n", 3)


def test_unused_tensors_are_reported(weights):
    with pytest.raises(WeightsError, match="x.file: 'a.b', 'a.w', 'n' are not in the model"):
        weights.finish()
    (weights / "a").vector("b", 3)
    (weights / "a").matrix("w", 3, 4)
    with pytest.raises(WeightsError, match="'n' is not in the model"):
        weights.finish()
    weights.finish(ignored=lambda name: name == "n")
    many = Weights({str(i): tensor(numbers(1))[0] for i in range(9)}, "x.file")
    with pytest.raises(WeightsError, match="'0', '1', '2' and 6 more are"):
        many.finish()


# --- precision ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16", "F64"])
def test_vectors_are_float32(dtype):
    stored, values = tensor(numbers(2, 5), dtype)
    vector = Weights({"v": stored}, "x", "bf16").vector("v", 2, 5)
    assert vector.dtype == np.float32 and vector.flags.c_contiguous
    np.testing.assert_array_equal(vector, values)


@pytest.mark.parametrize(("dtype", "is_view"), [("F32", True), ("BF16", True), ("F16", False)])
def test_tables_stay_in_the_file(dtype, is_view):
    stored, values = tensor(numbers(9, 5), dtype)
    table = Weights({"t": stored}, "x").table("t", 9, 5)
    assert np.shares_memory(table, stored.array) == is_view
    assert table.dtype == (np.uint16 if dtype == "BF16" else np.float32)


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16", "F64"])
@pytest.mark.parametrize("precision", [None, "f32", "bf16"])
def test_matrices_have_the_requested_precision(dtype, precision):
    stored, values = tensor(numbers(20, 33), dtype)
    matrix = Weights({"w": stored}, "x", precision).matrix("w", 20, 33).matrix
    assert matrix.format == ("bf16" if precision == "bf16" or (precision is None and dtype == "BF16") else "f32")
    unpacked = ops.linear(np.eye(33, dtype=np.float32), matrix).T
    lossless = dtype == "BF16" or matrix.format == "f32"
    np.testing.assert_allclose(unpacked, values, rtol=0 if lossless else 2**-8)
    np.testing.assert_array_equal(unpacked, values if lossless else Tensor("BF16", bf16(unpacked.copy())).float32())


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
@pytest.mark.parametrize(
    "name, n, rounded",
    [
        ("flow_lm.transformer.layers.0.linear1.weight", 20, True),
        ("flow_lm.flow_net.w", 64, False),
        ("mimi.decoder_transformer.transformer.w", 64, True),
        ("mimi.decoder.model.2.convtr.weight", 64, True),
        ("mimi.decoder.model.11.conv.weight", 63, False),
        ("mimi.encoder.model.0.conv.weight", 64, False),
        ("mimi.encoder_transformer.transformer.w", 64, False),
        ("mimi.quantizer.output_proj.weight", 64, False),
    ],
)
def test_int8_applies_to_the_backbone_and_wide_decoder_matrices(dtype, name, n, rounded):
    stored, values = tensor(numbers(n, 33), dtype)
    matrix = Weights({name: stored}, "x", "int8").matrix(name, n, 33).matrix
    assert matrix.format == ("int8" if rounded else {"F32": "f32", "BF16": "bf16"}[dtype])
    error = ops.linear(np.eye(33, dtype=np.float32), matrix).T - values
    assert (np.abs(error) <= rounded * np.abs(values).max(axis=1, keepdims=True) / 127 / 2 + 1e-6).all()


def test_the_flow_lm_is_in_12_bits():
    stored, values = tensor(numbers(64, 256), "BF16")
    w = Weights(dict.fromkeys(["flow_lm.transformer.w", "flow_lm.flow_net.w", "mimi.w"], stored), "x")
    backbone, flow_net, mimi = [w.matrix(name, 64, 256).matrix for name in w.tensors]
    assert backbone.compressed and flow_net.compressed and not mimi.compressed
    for matrix in (backbone, mimi):
        np.testing.assert_array_equal(ops.linear(np.eye(256, dtype=np.float32), matrix).T, values)


def test_rounding_to_bf16_is_to_nearest_and_even():
    step = 2.0**-7  # between bf16 numbers from 1 to 2
    given = np.array([[1, 1 + step / 2, 1 + 1.5 * step, 1 + 0.51 * step, -1 - 0.49 * step, 0, 3e38]], np.float32)
    matrix = Weights({"w": Tensor("F32", given)}, "x", "bf16").matrix("w", 1, 7).matrix
    rounded = ops.linear(np.eye(7, dtype=np.float32), matrix).ravel()
    np.testing.assert_array_equal(rounded[:6], [1, 1, 1 + 2 * step, 1 + step, -1, 0])
    assert abs(rounded[6] / 3e38 - 1) < 2**-8


# --- packing -----------------------------------------------------------------------------------------------------------------


def test_matrices_are_packed_when_first_used(weights):
    used = (weights / "a").matrix("w", 3, 4)
    assert not vars(used).get("matrix")
    assert used.matrix is used.matrix
    unused = Weights({"w": tensor(numbers(3, 4))[0]}, "x")
    packed = unused.matrix("w", 3, 4)
    unused.pack()
    assert vars(packed)["matrix"]


def test_a_convolution_kernel_becomes_a_matrix():
    kernel = numbers(5, 3, 4)  # [N, C, width]
    matrix = Weights({"w": tensor(kernel)[0]}, "x").matrix("w", 5, 3, 4).matrix
    rows = ops.linear(np.eye(12, dtype=np.float32), matrix).T.reshape(5, 4, 3)
    np.testing.assert_array_equal(rows, kernel.transpose(0, 2, 1))


def test_an_upsampling_kernel_becomes_a_row_for_each_output():
    kernel = numbers(3, 5, 4)  # [C, N, 2 s]
    matrix = Weights({"w": tensor(kernel)[0]}, "x").upsampling_matrix("w", 3, 5, 4).matrix
    rows = ops.linear(np.eye(6, dtype=np.float32), matrix).T.reshape(2, 5, 2, 3)
    for j in range(2):
        np.testing.assert_array_equal(rows[j, :, 0], kernel[:, :, 2 + j].T)  # of the row before
        np.testing.assert_array_equal(rows[j, :, 1], kernel[:, :, j].T)


# --- training names ----------------------------------------------------------------------------------------------------------


def stored(path, names):
    save_file({name: numbers(i + 1, 2) for i, name in enumerate(names)}, path)
    return path


def test_flow_lm_in_training_names(tmp_path):
    path = stored(
        tmp_path / "lm.safetensors",
        names := {
            "condition_provider.conditioners.transcript_in_segment.embed.weight": "flow_lm.conditioner.embed.weight",
            "condition_provider.conditioners.speaker_wavs.output_proj.weight": "flow_lm.speaker_proj_weight",
            "fuser.padding_value": "flow_lm.bos_before_voice",
            "transformer.layers.3.self_attn.in_proj_weight": "flow_lm.transformer.layers.3.self_attn.in_proj.weight",
            "transformer.layers.3.self_attn.out_proj.weight": "flow_lm.transformer.layers.3.self_attn.out_proj.weight",
            "flow_net.input_proj.weight": "flow_lm.flow_net.input_proj.weight",
            "out_eos.bias": "flow_lm.out_eos.bias",
            "flow.w_s_t.anything": None,
            "num_ema_updates": None,
            "condition_provider.conditioners.transcript_in_segment.learnt_padding": None,
            "condition_provider.conditioners.speaker_wavs.learnt_padding": None,
        },
    )
    read, original = read_flow_lm(path), read_safetensors(path)
    assert sorted(read) == sorted(name for name in names.values() if name)
    for old, new in names.items():
        if new:
            np.testing.assert_array_equal(read[new].array, original[old].array)


def test_mimi_in_training_names(tmp_path):
    path = stored(
        tmp_path / "mimi.safetensors",
        names := {
            "model.encoder.model.0.conv.conv.weight": "mimi.encoder.model.0.conv.weight",
            "decoder.model.2.convtr.convtr.bias": "mimi.decoder.model.2.convtr.bias",
            "decoder_transformer.transformer.layers.0.self_attn.in_proj_weight": "mimi.decoder_transformer.transformer.layers.0.self_attn.in_proj.weight",  # noqa: E501
            "decoder_transformer.transformer.layers.0.layer_scale_1.scale": "mimi.decoder_transformer.transformer.layers.0.layer_scale_1.scale",  # noqa: E501
            "quantizer.output_proj.weight": "mimi.quantizer.output_proj.weight",
            "model.quantizer.vq.layers.0": None,
            "model.quantizer.logvar_proj.weight": None,
            "quantizer.logvar_proj.weight": None,
            "quantizer.logvar_param": None,
            "quantizer.some_codebook.sum": None,
            "wavlm_emb_downsample.conv.conv.weight": None,
            "wavlm_input_resample.kernel": None,
            "wavlm_proj.weight": None,
        },
    )
    assert sorted(read_mimi(path)) == sorted(name for name in names.values() if name)


def test_weight_norm_is_folded(tmp_path):
    v, g = numbers(4, 3, 5), np.abs(numbers(4, 1, 1))
    save_file(
        {"model.decoder.model.0.conv.conv.weight_v": v, "model.decoder.model.0.conv.conv.weight_g": g}, tmp_path / "m"
    )
    read = read_mimi(tmp_path / "m")
    assert list(read) == ["mimi.decoder.model.0.conv.weight"]
    norms = np.sqrt((v.astype(np.float64) ** 2).sum(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(read["mimi.decoder.model.0.conv.weight"].array, g * v / norms, rtol=1e-6)


def test_an_incomplete_weight_norm_is_reported(tmp_path):
    save_file({"decoder.weight_g": numbers(4, 1, 1)}, tmp_path / "m")
    with pytest.raises(WeightsError, match="no 'decoder.weight_v'"):
        read_mimi(tmp_path / "m")


def test_mimi_of_a_whole_model(tmp_path):
    path = stored(tmp_path / "m", ["mimi.decoder.weight_g", "mimi.in_proj_weight", "flow_lm.bos_emb"])
    assert sorted(read_mimi(path)) == ["mimi.decoder.weight_g", "mimi.in_proj_weight"]  # as they are
