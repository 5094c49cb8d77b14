"""Export a model for ONNX Runtime as two optimized graphs, each for one frame.

    python scripts/export_onnx.py FOLDER MODEL.yaml             # in MODEL.yaml's folder, with the official package and onnxruntime

    step.onnx     latent, noise [1, 32], position [1], past keys and values [T, H_kv, D] -> next latent, EOS logit, new keys and values
    decoder.onnx  latent [1, 1, 32], position [1], state -> samples [1, 1, 1920], state

Each is also written as NAME_int8.onnx, with dynamically quantized matrix products. Constants are folded, and the caller keeps the
caches, so that only new rows are copied. The script prints the differences from the official package over three frames.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from onnxruntime.quantization import QuantType, quantize_dynamic
from pocket_tts import TTSModel
from pocket_tts.modules.stateful_module import increment_steps, init_states
from torch import Tensor, nn

POSITIONS = 16  # positions of the decoder's transformer per frame


def rotated(x: Tensor, position: Tensor, max_period: float) -> Tensor:
    """RoPE of x [T, H, D] at positions [T]."""
    pairs = x.shape[-1] // 2
    frequencies = max_period ** (-torch.arange(pairs, dtype=torch.float32) / pairs)
    angle = position[:, None, None] * frequencies
    a, b = x.view(*x.shape[:2], pairs, 2).unbind(-1)
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(2)


def attention(
    m: nn.Module, x: Tensor, past: tuple[Tensor, Tensor], position: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, ...]:
    """x [T, d_model] over past keys and values [P, H_kv, D] and itself -> output, new keys and values [T, H_kv, D]."""
    T, H, H_kv, D = len(x), m.num_heads, m.num_kv_heads, m.dim_per_head
    q, k, v = (part.reshape(T, -1, D) for part in m.in_proj(x).split([H * D, H_kv * D, H_kv * D], 1))
    q, k = rotated(q, position, m.rope.max_period), rotated(k, position, m.rope.max_period)
    keys, values = (torch.cat(rows).transpose(0, 1) for rows in zip(past, (k, v), strict=True))  # [H_kv, P + T, D]
    q = q.view(T, H_kv, H // H_kv, D).permute(1, 2, 0, 3)  # [H_kv, H / H_kv, T, D]
    scores = q.flatten(1, 2) @ keys.transpose(1, 2) * D**-0.5
    if mask is not None:
        scores = (scores.view(*q.shape[:3], -1) + mask).flatten(1, 2)
    y = (scores.softmax(-1) @ values).view(q.shape).permute(2, 0, 1, 3)
    return m.out_proj(y.reshape(T, H * D)), k, v


class Step(nn.Module):
    """One frame of the flow LM, with one sampler step."""

    def __init__(self, lm: nn.Module) -> None:
        super().__init__()
        self.lm = lm
        times = [embed(torch.full((1, 1), float(i))) for i, embed in enumerate(getattr(lm.flow_net, "time_embed", []))]
        self.time = sum(times) / len(times) if times else None  # embedding of the step from 0 to 1

    def forward(self, latent: Tensor, noise: Tensor, position: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        lm, rows = self.lm, []
        x = lm.input_linear(latent)
        for i, layer in enumerate(lm.transformer.layers):
            y, *new = attention(layer.self_attn, layer.norm1(x), past[2 * i : 2 * i + 2], position)
            x = x + y
            x = x + layer.linear2(F.gelu(layer.linear1(layer.norm2(x)), approximate="tanh"))
            rows += new
        x = lm.out_norm(x)
        x = x if lm.z_proj is None else lm.z_proj(x)
        net = lm.flow_net
        y, u = net.cond_embed(x), net.input_proj(noise)
        y = y if self.time is None else y + self.time
        for block in net.res_blocks:
            u = block(u, y)
        u = net.final_layer(u, y)
        return u if lm.flow_type == "drifting" else noise + u, lm.out_eos(x), *rows


class Decoder(nn.Module):
    """Denormalization, then one frame of Mimi's decoder."""

    def __init__(self, model: TTSModel) -> None:
        super().__init__()
        self.mimi, self.mean, self.std = model.mimi, model.flow_lm.emb_mean, model.flow_lm.emb_std

    def init_state(self) -> list[Tensor]:
        """Zeros for the overlaps and last inputs of the convolutions and the windows of keys and values, in the order of use."""
        transformer = self.mimi.decoder_transformer.transformer
        states = [self._conv_state(self.mimi.upsample.convtr)]
        for layer in transformer.layers:
            m = layer.self_attn
            states += [torch.zeros(transformer.context, m.num_kv_heads, m.dim_per_head)] * 2
        return states + [self._conv_state(m) for layer in self.mimi.decoder.model for m in self._convolutions(layer)]

    @staticmethod
    def _convolutions(layer: nn.Module) -> list[nn.Module]:
        return [m for m in getattr(layer, "block", [layer]) if hasattr(m, "conv") or hasattr(m, "convtr")]

    @staticmethod
    def _conv_state(m: nn.Module) -> Tensor:
        if hasattr(m, "convtr"):
            return torch.zeros(1, m.convtr.out_channels, m.convtr.kernel_size[0] - m.convtr.stride[0])
        return torch.zeros(1, m.conv.in_channels, m._effective_kernel_size - m._stride)

    def forward(self, latent: Tensor, position: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        old, new = iter(states), []

        def convolved(m: nn.Module, x: Tensor) -> Tensor:
            state = next(old)
            n = state.shape[-1]
            if hasattr(m, "convtr"):
                y = m.convtr(x)
                bias = 0 if m.convtr.bias is None else m.convtr.bias[:, None]
                new.append(y[..., -n:] - bias)
                return torch.cat([y[..., :n] + state, y[..., n:-n]], -1)
            x = torch.cat([state, x], -1)
            new.append(x[..., x.shape[-1] - n :])
            return m.conv(x)

        mimi = self.mimi
        x = mimi.quantizer((latent * self.std + self.mean).transpose(1, 2))
        x = convolved(mimi.upsample.convtr, x)[0].transpose(0, 1)  # [16, dimension]
        transformer = mimi.decoder_transformer.transformer
        query, key = torch.arange(POSITIONS)[:, None], torch.arange(-transformer.context, POSITIONS)
        sees = (query >= key) & (query - key < transformer.context) & (key + position >= 0)
        mask = torch.where(sees, 0.0, -1e9)
        for layer in transformer.layers:
            past = next(old), next(old)
            y, *rows = attention(layer.self_attn, layer.norm1(x), past, position + torch.arange(POSITIONS), mask)
            new += [torch.cat(both)[POSITIONS:] for both in zip(past, rows, strict=True)]
            x = x + layer.layer_scale_1(y)
            x = x + layer.layer_scale_2(layer.linear2(F.gelu(layer.linear1(layer.norm2(x)), approximate="tanh")))
        x = x.transpose(0, 1)[None]
        for layer in mimi.decoder.model:
            y = x
            for m in getattr(layer, "block", [layer]):
                y = convolved(m, y) if m in self._convolutions(layer) else m(y)
            x = x + y if hasattr(layer, "block") else y
        return x, *new


@torch.no_grad()
def export(model: TTSModel, folder: Path) -> None:
    step, decoder = Step(model.flow_lm), Decoder(model)
    layers, dim = model.flow_lm.transformer.layers, model.flow_lm.ldim
    m = layers[0].self_attn
    none = [torch.zeros(0, m.num_kv_heads, m.dim_per_head)] * (2 * len(layers))
    past = [f"past_{kind}{i}" for i in range(len(layers)) for kind in "kv"]
    write(
        step,
        [torch.zeros(1, dim), torch.zeros(1, dim), torch.tensor([7.0]), *(torch.randn(7, *n.shape[1:]) for n in none)],
        folder / "step.onnx",
        ["latent", "noise", "position", *past],
        ["next", "eos", *(f"new_{n}" for n in past)],
        past,
    )
    state = decoder.init_state()
    names = [f"state{i}" for i in range(len(state))]
    write(
        decoder,
        [torch.zeros(1, 1, dim), torch.tensor([0.0]), *state],
        folder / "decoder.onnx",
        ["latent", "position", *names],
        ["samples", *(f"new_{n}" for n in names)],
    )

    model.temp, worst = 0.0, {"step": 0.0, "decoder": 0.0}
    lm_state, codec = init_states(model.flow_lm, 1, 8), init_states(model.mimi, 1, 8 * POSITIONS)
    for i in range(3):
        latent = torch.randn(1, 1, dim)
        right, _ = model._run_flow_lm_and_increment_step(model_state=lm_state, backbone_input_latents=latent)
        ours, _, *rows = step(latent[0], torch.zeros(1, dim), torch.tensor([float(i)]), *none)
        none = [torch.cat(both) for both in zip(none, rows, strict=True)]
        worst["step"] = max(worst["step"], float((right[0] - ours).abs().max() / right.abs().max()))
        right = model.mimi.decode_from_latent(latent * model.flow_lm.emb_std + model.flow_lm.emb_mean, codec)
        increment_steps(model.mimi, codec, POSITIONS)
        ours, *state = decoder(latent, torch.tensor([float(POSITIONS * i)]), *state)
        worst["decoder"] = max(worst["decoder"], float((right - ours).abs().max() / right.abs().max()))
    print("differences from the official package:", ", ".join(f"{name} {value:.0e}" for name, value in worst.items()))
    if max(worst.values()) > 1e-4:
        sys.exit("the graphs do not compute the same as the official package")


def write(
    graph: nn.Module, inputs: list[Tensor], path: Path, names: list[str], outputs: list[str], grow: list[str] = ()
) -> None:
    """Write the graph, and its dynamically quantized version. grow: names of inputs with a dynamic number of rows."""
    torch.onnx.export(
        graph.eval(),
        tuple(inputs),
        str(path),
        input_names=names,
        output_names=outputs,
        dynamic_axes={name: {0: "rows"} for name in grow},
        opset_version=20,
        dynamo=False,
    )
    quantize_dynamic(
        path,
        path.with_name(f"{path.stem}_int8.onnx"),
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
        extra_options={"DefaultTensorType": 1},
    )


if __name__ == "__main__":
    export(TTSModel.load_model(config=sys.argv[2]).eval(), Path(sys.argv[1]))
