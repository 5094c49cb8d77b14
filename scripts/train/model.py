"""The model in PyTorch: the layers of pockettts/model/ for whole sequences, with the parameter names of the official files.

Convolutions take [B, C, T], everything else [B, T, C]. A sequence starts from a fresh state. Parameters are initialized
so that each layer preserves the variance: with PyTorch's defaults the output of a SEANet is a thousandth of its input,
and with the official layer scales of 0.01 the transformers have almost no effect for thousands of steps.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

LAYER_SCALE = 0.5  # initial value, of Mimi's transformers
MAX_POSITIONS = 2048


def causal_mask(length: int, context: int | None, device: torch.device) -> torch.Tensor:
    """[T, T], true where the query (row) attends to the key (column): itself and the `context - 1` before it; None: all before."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
    return (distance >= 0) & (distance < (context or length))


class Rope(nn.Module):
    """Rotates interleaved pairs of [B, H, T, D] by their positions."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, dim: int, max_period: float) -> None:
        super().__init__()
        frequencies = torch.exp(torch.arange(dim // 2) * (-math.log(max_period) * 2 / dim))
        angles = torch.arange(MAX_POSITIONS)[:, None] * frequencies
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = self.cos[: x.shape[2]].to(x.dtype), self.sin[: x.shape[2]].to(x.dtype)
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Attention(nn.Module):
    """Causal attention. PyTorch's fused one can't be used: it does not return the attention weights, which are trained."""

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        max_period: float,
        attn_dim: int | None = None,
        num_kv_heads: int | None = None,
    ) -> None:
        super().__init__()
        attn_dim, self.num_heads, self.num_kv_heads = attn_dim or d_model, num_heads, num_kv_heads or num_heads
        self.head_dim = attn_dim // num_heads
        self.in_proj = nn.Linear(d_model, attn_dim + 2 * self.num_kv_heads * self.head_dim, bias=False)
        self.out_proj = nn.Linear(attn_dim, d_model, bias=False)
        self.rope = Rope(self.head_dim, max_period)

    def qkv(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """[B, T, d_model] -> queries [B, H, T, D], keys and values [B, H_kv, T, D]; queries and keys are rotated."""
        heads = self.in_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q, k, v = heads.split([self.num_heads, self.num_kv_heads, self.num_kv_heads], 1)
        return self.rope(q), self.rope(k), v

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, return_weights: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """x [B, T, d_model], mask [T, T] -> output [B, T, d_model], and log attention [B, H, T, T] with `return_weights`."""
        q, k, v = self.qkv(x)
        if self.num_kv_heads != self.num_heads:
            k, v = (u.repeat_interleave(self.num_heads // self.num_kv_heads, 1) for u in (k, v))
        logits = torch.where(mask, (q @ k.transpose(2, 3)).float() * self.head_dim**-0.5, -1e9)
        logs = logits.log_softmax(-1) if return_weights else None
        weights = logits.softmax(-1) if logs is None else logs.exp()
        y = weights.to(v.dtype) @ v
        return self.out_proj(y.transpose(1, 2).flatten(2)), logs


class ChannelDropout(nn.Module):
    """Drops the same channels at all times of a row of [B, T, C], which needs few random numbers."""

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return x
        kept = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.p
        return x * (kept.to(x.dtype) * (1 / (1 - self.p)))


class LayerScale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), LAYER_SCALE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x


class TransformerLayer(nn.Module):
    def __init__(self, d_model: int, dim_feedforward: int, layer_scale: bool, **attention: Any) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.self_attn = Attention(d_model, **attention)
        self.linear1 = nn.Linear(d_model, dim_feedforward, bias=False)
        self.linear2 = nn.Linear(dim_feedforward, d_model, bias=False)
        self.dropout = ChannelDropout()
        self.layer_scale_1, self.layer_scale_2 = (
            LayerScale(d_model) if layer_scale else nn.Identity() for _ in range(2)
        )

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, return_weights: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        y, logs = self.self_attn(self.norm1(x), mask, return_weights)
        x = x + self.dropout(self.layer_scale_1(y))
        y = self.linear2(F.gelu(self.linear1(self.norm2(x)), approximate="tanh"))
        return x + self.dropout(self.layer_scale_2(y)), logs


class Transformer(nn.Module):
    """`num_layers` layers. context: size of the attention window; None: unlimited."""

    def __init__(self, num_layers: int, context: int | None, **layer: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(**layer) for _ in range(num_layers))
        self.context = context
        for module in self.layers:
            for w in (module.self_attn.in_proj, module.linear1):
                nn.init.normal_(w.weight, std=w.in_features**-0.5)
            for w in (module.self_attn.out_proj, module.linear2):  # num_layers of these are summed
                nn.init.normal_(w.weight, std=(w.in_features * num_layers) ** -0.5)

    def forward(self, x: torch.Tensor, watched: tuple[int, ...] = ()) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """[B, T, d_model] -> the same shape, and log attention [B, H, T, T] of the layers `watched`."""
        mask, seen = causal_mask(x.shape[1], self.context, x.device), []
        for i, layer in enumerate(self.layers):
            x, logs = layer(x, mask, i in watched)
            if logs is not None:
                seen.append(logs)
        return x, seen


class ProjectedTransformer(nn.Module):
    """A transformer of Mimi: [B, C, T] -> [B, C, T]."""

    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        if c["input_dimension"] != c["d_model"] or list(c["output_dimensions"]) != [c["d_model"]]:
            raise ValueError("this training code requires codec transformers as wide as the SEANet")
        self.transformer = Transformer(
            c["num_layers"],
            c["context"],
            d_model=c["d_model"],
            dim_feedforward=c["dim_feedforward"],
            layer_scale=True,
            num_heads=c["num_heads"],
            max_period=c.get("max_period", 10000),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.transformer(x.transpose(1, 2))[0]
        return y.transpose(1, 2)


def conv(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    history: int,
    stride: int = 1,
    dilation: int = 1,
    padding: str = "constant",
) -> torch.Tensor:
    """Causal convolution of x [B, C, T] with weight [C', C, k], after `history` padded samples.

    It is computed as a 2-D convolution of height 1, which keeps x's memory layout: SEANet stores channels last, which is
    several times faster on a CPU.
    """
    y = F.pad(x[:, :, None], (history, 0, 0, 0), mode=padding)
    return F.conv2d(y, weight[:, :, None], bias, (1, stride), dilation=(1, dilation))[:, :, 0]


class Conv1d(nn.Module):
    """Causal convolution: [B, C_in, T] -> [B, C_out, T / stride]."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
        replicate: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(c_in, c_out, kernel, stride, dilation=dilation, bias=bias)
        self.stride, self.dilation, self.history = stride, dilation, (kernel - 1) * dilation + 1 - stride
        self.padding = "replicate" if replicate else "constant"
        nn.init.normal_(self.conv.weight, std=(c_in * kernel) ** -0.5)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return conv(x, self.conv.weight, self.conv.bias, self.history, self.stride, self.dilation, self.padding)


class ConvTranspose1d(nn.Module):
    """Causal transposed convolution, kernel 2 s, stride s: [B, C_in, T] -> [B, C_out, s T]."""

    def __init__(self, c_in: int, c_out: int, stride: int, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.convtr = nn.ConvTranspose1d(c_in, c_out, 2 * stride, stride, groups=groups, bias=bias)
        self.stride, self.groups = stride, groups
        nn.init.normal_(self.convtr.weight, std=(2 * c_in / groups) ** -0.5)  # each sample is a sum of two taps
        if self.convtr.bias is not None:
            nn.init.zeros_(self.convtr.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.groups > 1:
            y: torch.Tensor = self.convtr(x)
            return y[..., : -self.stride]  # the rest overlaps with the next samples
        # A convolution of two taps with s * C_out outputs, which are then interleaved: this keeps channels last.
        w = self.convtr.weight  # [C_in, C_out, 2 s]
        c_in, c_out, s = w.shape[0], w.shape[1], self.stride
        taps = torch.stack([w[..., s:], w[..., :s]], -1).permute(2, 1, 0, 3).reshape(s * c_out, c_in, 2)
        y = conv(x, taps, None, history=1).transpose(1, 2).contiguous()  # [B, T, s * C_out]
        y = y.view(x.shape[0], x.shape[2] * s, c_out)
        if self.convtr.bias is not None:
            y = y + self.convtr.bias.to(y.dtype)
        return y.transpose(1, 2)


class ResnetBlock(nn.Module):
    def __init__(self, dim: int, kernel: int, dilation: int, compress: int) -> None:
        super().__init__()
        narrow, widen = Conv1d(dim, dim // compress, kernel, dilation=dilation), Conv1d(dim // compress, dim, 1)
        widen.conv.weight.data *= 0.5
        self.block = nn.Sequential(nn.ELU(), narrow, nn.ELU(), widen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.block(x)
        return x + y


class SEANet(nn.Module):
    """A chain of convolutions, with channels last in memory."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.model(x.transpose(1, 2).contiguous().transpose(1, 2))
        return y


def seanet_encoder(c: dict[str, Any]) -> SEANet:
    """[B, 1, T] -> [B, dimension, T / prod(ratios)]."""
    width = c["n_filters"]
    layers: list[nn.Module] = [Conv1d(c["channels"], width, c["kernel_size"])]
    for ratio in reversed(c["ratios"]):
        for j in range(c["n_residual_layers"]):
            layers.append(ResnetBlock(width, c["residual_kernel_size"], c["dilation_base"] ** j, c["compress"]))
        layers += [nn.ELU(), Conv1d(width, 2 * width, 2 * ratio, ratio)]
        width *= 2
    return SEANet([*layers, nn.ELU(), Conv1d(width, c["dimension"], c["last_kernel_size"])])


def seanet_decoder(c: dict[str, Any]) -> SEANet:
    """[B, dimension, T] -> [B, 1, T * prod(ratios)]."""
    width = c["n_filters"] * 2 ** len(c["ratios"])
    layers: list[nn.Module] = [Conv1d(c["dimension"], width, c["kernel_size"])]
    for ratio in c["ratios"]:
        layers += [nn.ELU(), ConvTranspose1d(width, width // 2, ratio)]
        width //= 2
        for j in range(c["n_residual_layers"]):
            layers.append(ResnetBlock(width, c["residual_kernel_size"], c["dilation_base"] ** j, c["compress"]))
    last = Conv1d(width, c["channels"], c["last_kernel_size"])
    last.conv.weight.data *= 0.1  # the corpus has an RMS of 0.06
    return SEANet([*layers, nn.ELU(), last])


class Mimi(nn.Module):
    """The codec: samples -> `encoder` -> `latents()` -> `features()` -> `decoder` -> samples."""

    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        enc, dec, q = c["seanet"], decoder_seanet(c), c["quantizer"]
        ratio = int(c["sample_rate"] / math.prod(enc["ratios"]) / c["frame_rate"])
        self.encoder: nn.Module | None = seanet_encoder(enc)
        self.encoder_transformer: nn.Module | None = ProjectedTransformer(c["transformer"])
        self.downsample: nn.Module | None = nn.Module()
        self.downsample.conv = Conv1d(enc["dimension"], c["inner_dim"], 2 * ratio, ratio, bias=False, replicate=True)
        self.quantizer = nn.Module()
        self.quantizer.output_proj = nn.Conv1d(q["dimension"], q["output_dimension"], 1, bias=False)
        nn.init.normal_(self.quantizer.output_proj.weight, std=q["dimension"] ** -0.5)
        self.upsample = nn.Module()
        width = dec["dimension"]
        self.upsample.convtr = ConvTranspose1d(q["output_dimension"], width, ratio, groups=width, bias=False)
        self.decoder_transformer = ProjectedTransformer(c.get("decoder_transformer") or c["transformer"])
        self.decoder: nn.Module | None = seanet_decoder(dec)

    def latents(self, encoded: torch.Tensor) -> torch.Tensor:
        """Output of the SEANet encoder [B, dimension, R T] -> latents [B, inner_dim, T]."""
        y: torch.Tensor = self.downsample.conv(self.encoder_transformer(encoded))
        return y

    def features(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents [B, inner_dim, T] -> input of the SEANet decoder [B, dimension, R T]."""
        y: torch.Tensor = self.decoder_transformer(self.upsample.convtr(self.quantizer.output_proj(latents)))
        return y


def decoder_seanet(c: dict[str, Any]) -> dict[str, Any]:
    """The shapes of the SEANet decoder; the encoder's if the config has no others."""
    shapes: dict[str, Any] = c.get("decoder_seanet") or c["seanet"]
    return shapes


class TimestepEmbedder(nn.Module):
    freqs: torch.Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.exp(-math.log(10000) * torch.arange(128) / 128))
        norm = nn.Module()
        norm.alpha = nn.Parameter(torch.ones(dim))
        self.mlp = nn.ModuleList([nn.Linear(256, dim), nn.SiLU(), nn.Linear(dim, dim), norm])

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Times [N, 1] -> [N, dim]. The last norm is the official one: it divides by the variance's root but keeps the mean."""
        angles = t * self.freqs
        x = self.mlp[2](self.mlp[1](self.mlp[0](torch.cat([angles.cos(), angles.sin()], -1))))
        y: torch.Tensor = x * self.mlp[3].alpha * torch.rsqrt(1e-5 + x.var(-1, keepdim=True))
        return y


def layer_norm(x: torch.Tensor) -> torch.Tensor:
    """LayerNorm of the flow net (eps 1e-6), without weights."""
    x = x - x.mean(-1, keepdim=True)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class ResBlock(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.in_ln = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        shift, scale, gate = self.adaLN_modulation(condition).chunk(3, -1)
        h = layer_norm(x) * self.in_ln.weight + self.in_ln.bias
        y: torch.Tensor = x + gate * self.mlp(h * (1 + scale) + shift)
        return y


class FlowNet(nn.Module):
    def __init__(self, dim: int, depth: int, latent_dim: int, cond_dim: int, times: int) -> None:
        super().__init__()
        self.time_embed = nn.ModuleList(TimestepEmbedder(dim) for _ in range(times))
        self.cond_embed, self.input_proj = nn.Linear(cond_dim, dim), nn.Linear(latent_dim, dim)
        self.res_blocks = nn.ModuleList(ResBlock(dim) for _ in range(depth))
        self.final_layer = nn.Module()
        self.final_layer.linear = nn.Linear(dim, latent_dim)
        self.final_layer.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim))
        nn.init.zeros_(self.final_layer.linear.weight)
        for block in self.res_blocks:
            nn.init.normal_(block.adaLN_modulation[1].weight, std=0.5 * dim**-0.5)

    def forward(self, condition: torch.Tensor, times: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """condition [N, cond_dim], times [N, 1] each, x [N, latent_dim] -> velocity [N, latent_dim]."""
        c = self.cond_embed(condition)
        if times:
            c = c + sum(embed(t) for embed, t in zip(self.time_embed, times, strict=True)) / len(times)
        x = self.input_proj(x)
        for block in self.res_blocks:
            x = block(x, c)
        shift, scale = self.final_layer.adaLN_modulation(c).chunk(2, -1)
        y: torch.Tensor = self.final_layer.linear(layer_norm(x) * (1 + scale) + shift)
        return y


class FlowLM(nn.Module):
    """The parameters of the flow LM. lm.Learner assembles its input sequence."""

    emb_mean: torch.Tensor
    emb_std: torch.Tensor

    def __init__(self, c: dict[str, Any], latent_dim: int = 32) -> None:
        super().__init__()
        t, table, flow = c["transformer"], c["lookup_table"], c["flow"]
        d = t["d_model"]
        self.conditioner = nn.Module()
        self.conditioner.embed = nn.Embedding(table["n_bins"] + 1, d)
        self.bos_emb = nn.Parameter(torch.randn(latent_dim))
        self.bos_before_voice = nn.Parameter(torch.randn(1, 1, d) * 0.5)
        self.speaker_proj_weight = nn.Parameter(torch.randn(d, latent_dim) * latent_dim**-0.5)
        self.register_buffer("emb_mean", torch.zeros(latent_dim))
        self.register_buffer("emb_std", torch.ones(latent_dim))
        self.input_linear = nn.Linear(latent_dim, d, bias=False)
        self.transformer = Transformer(
            t["num_layers"],
            None,
            d_model=d,
            dim_feedforward=t.get("dim_feedforward") or d * t["hidden_scale"],
            layer_scale=False,
            num_heads=t["num_heads"],
            max_period=t["max_period"],
        )
        self.out_norm, self.out_eos = nn.LayerNorm(d), nn.Linear(d, 1)
        times = {"lsd": 2, "flow_matching": 1}[flow["type"]]
        self.flow_net = FlowNet(flow["dim"], flow["depth"], latent_dim, d, times)
        nn.init.normal_(self.conditioner.embed.weight, std=0.5)
        nn.init.normal_(self.input_linear.weight, std=0.5 * latent_dim**-0.5)

    def normalize(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents - self.emb_mean) / self.emb_std

    def denormalize(self, latents: torch.Tensor) -> torch.Tensor:
        return latents * self.emb_std + self.emb_mean
