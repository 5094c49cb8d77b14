"""The model in PyTorch, to be trained: twins of pockettts/model/ with the names of the checkpoint, whole sequences at a time.

Shapes are [B, C, T] in the convolutions and [B, T, C] elsewhere. A sequence starts from a fresh state. Weights are initialised so
that variances are kept from layer to layer: with PyTorch's defaults a SEANet's output is a thousandth of its input, and the
official layer scales of 0.01 keep its transformers out of the computation for thousands of steps.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

LAYER_SCALE = 0.5                                                               # of Mimi's transformers, at first


def causal_mask(t: int, context: int | None, device: torch.device) -> torch.Tensor:
    """[T, T], true where the query (row) may look."""
    back = torch.arange(t, device=device)[:, None] - torch.arange(t, device=device)
    return (back >= 0) & (back < (context or t))


class Rope(nn.Module):
    """Rotates interleaved pairs of [B, H, T, D] by their positions."""

    def __init__(self, dim: int, max_period: float, length: int = 2048) -> None:
        super().__init__()
        angles = torch.arange(length)[:, None] * torch.exp(torch.arange(dim // 2) * (-math.log(max_period) * 2 / dim))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = self.cos[: x.shape[2]].to(x.dtype), self.sin[: x.shape[2]].to(x.dtype)
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, d_model: int, num_heads: int, max_period: float, attn_dim: int | None = None,
                 num_kv_heads: int | None = None) -> None:
        super().__init__()
        attn_dim, self.num_heads, self.num_kv_heads = attn_dim or d_model, num_heads, num_kv_heads or num_heads
        self.head_dim = attn_dim // num_heads
        self.in_proj = nn.Linear(d_model, attn_dim + 2 * self.num_kv_heads * self.head_dim, bias=False)
        self.out_proj = nn.Linear(attn_dim, d_model, bias=False)
        self.rope = Rope(self.head_dim, max_period)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None, weights: bool = False):
        """[B, T, d_model]; without a mask each position looks back at all before it; with `weights` also log attention [B, H, T, T]."""
        qkv = self.in_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q, k, v = qkv.split([self.num_heads, self.num_kv_heads, self.num_kv_heads], 1)
        q, k = self.rope(q), self.rope(k)
        if self.num_kv_heads != self.num_heads:
            k, v = (u.repeat_interleave(self.num_heads // self.num_kv_heads, 1) for u in (k, v))
        if weights:
            logits = (q @ k.transpose(2, 3)).float() / math.sqrt(self.head_dim)
            logs = logits.masked_fill(~(causal_mask(x.shape[1], None, x.device) if mask is None else mask), -1e9).log_softmax(-1)
            y = logs.exp().to(v.dtype) @ v
        else:
            logs, y = None, F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        return self.out_proj(y.transpose(1, 2).flatten(2)), logs


class LayerScale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), LAYER_SCALE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x


class TransformerLayer(nn.Module):
    def __init__(self, d_model: int, dim_feedforward: int, layer_scale: bool, **attention) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.self_attn = Attention(d_model, **attention)
        self.linear1 = nn.Linear(d_model, dim_feedforward, bias=False)
        self.linear2 = nn.Linear(dim_feedforward, d_model, bias=False)
        self.dropout = nn.Dropout(0.0)                                          # lm.py sets it
        self.layer_scale_1, self.layer_scale_2 = (LayerScale(d_model) if layer_scale else nn.Identity() for _ in range(2))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None, weights: bool = False):
        y, logs = self.self_attn(self.norm1(x), mask, weights)
        x = x + self.dropout(self.layer_scale_1(y))
        return x + self.dropout(self.layer_scale_2(self.linear2(F.gelu(self.linear1(self.norm2(x)), approximate="tanh")))), logs


class Transformer(nn.Module):
    def __init__(self, num_layers: int, context: int | None, **layer) -> None:
        super().__init__()
        self.layers, self.context = nn.ModuleList(TransformerLayer(**layer) for _ in range(num_layers)), context
        for layer in self.layers:
            for w in (layer.self_attn.in_proj, layer.linear1):
                nn.init.normal_(w.weight, std=w.in_features**-0.5)
            for w in (layer.self_attn.out_proj, layer.linear2):                 # of num_layers branches that add up
                nn.init.normal_(w.weight, std=(w.in_features * num_layers) ** -0.5)

    def forward(self, x: torch.Tensor, watched: tuple[int, ...] = ()):
        """[B, T, d_model], and log attention [B, H, T, T] of the layers `watched`."""
        mask, seen = causal_mask(x.shape[1], self.context, x.device) if self.context else None, []
        for i, layer in enumerate(self.layers):
            x, logs = layer(x, mask, i in watched)
            if i in watched:
                seen.append(logs)
        return x, seen


class ProjectedTransformer(nn.Module):
    """Mimi's, with the widths of its surroundings: [B, C, T] -> [B, C, T]."""

    def __init__(self, c: dict) -> None:
        super().__init__()
        if c["input_dimension"] != c["d_model"] or list(c["output_dimensions"]) != [c["d_model"]]:
            raise ValueError("the transformers of a codec to be trained are as wide as its SEANet")
        self.transformer = Transformer(
            c["num_layers"], c["context"], d_model=c["d_model"], dim_feedforward=c["dim_feedforward"], layer_scale=True,
            num_heads=c["num_heads"], max_period=c.get("max_period", 10000))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.transformer(x.transpose(1, 2))[0].transpose(1, 2)


class Conv1d(nn.Module):
    """Causal: [B, C_in, T] -> [B, C_out, T / stride]."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, dilation: int = 1, bias: bool = True,
                 replicate: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv1d(c_in, c_out, kernel, stride, dilation=dilation, bias=bias)
        self.history, self.replicate = (kernel - 1) * dilation + 1 - stride, replicate
        nn.init.normal_(self.conv.weight, std=(c_in * kernel) ** -0.5)
        if bias:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.pad(x, (self.history, 0), mode="replicate" if self.replicate else "constant"))


class ConvTranspose1d(nn.Module):
    """Kernel 2 s, stride s: [B, C_in, T] -> [B, C_out, s T]."""

    def __init__(self, c_in: int, c_out: int, stride: int, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.convtr = nn.ConvTranspose1d(c_in, c_out, 2 * stride, stride, groups=groups, bias=bias)
        nn.init.normal_(self.convtr.weight, std=(2 * c_in / groups) ** -0.5)     # two taps meet in each sample
        if bias:
            nn.init.zeros_(self.convtr.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convtr(x)[..., : -self.convtr.stride[0]]                    # the rest belongs to what comes after


class ResnetBlock(nn.Module):
    def __init__(self, dim: int, kernel: int, dilation: int, compress: int) -> None:
        super().__init__()
        narrow, widen = Conv1d(dim, dim // compress, kernel, dilation=dilation), Conv1d(dim // compress, dim, 1)
        widen.conv.weight.data *= 0.5
        self.block = nn.Sequential(nn.ELU(), narrow, nn.ELU(), widen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


class SEANet(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def seanet_encoder(c: dict) -> SEANet:
    """[B, 1, T] -> [B, dimension, T / prod(ratios)]."""
    width = c["n_filters"]
    layers: list[nn.Module] = [Conv1d(c["channels"], width, c["kernel_size"])]
    for ratio in reversed(c["ratios"]):
        for j in range(c["n_residual_layers"]):
            layers.append(ResnetBlock(width, c["residual_kernel_size"], c["dilation_base"] ** j, c["compress"]))
        layers += [nn.ELU(), Conv1d(width, 2 * width, 2 * ratio, ratio)]
        width *= 2
    return SEANet([*layers, nn.ELU(), Conv1d(width, c["dimension"], c["last_kernel_size"])])


def seanet_decoder(c: dict) -> SEANet:
    """[B, dimension, T] -> [B, 1, T * prod(ratios)]."""
    width = c["n_filters"] * 2 ** len(c["ratios"])
    layers: list[nn.Module] = [Conv1d(c["dimension"], width, c["kernel_size"])]
    for ratio in c["ratios"]:
        layers += [nn.ELU(), ConvTranspose1d(width, width // 2, ratio)]
        width //= 2
        for j in range(c["n_residual_layers"]):
            layers.append(ResnetBlock(width, c["residual_kernel_size"], c["dilation_base"] ** j, c["compress"]))
    last = Conv1d(width, c["channels"], c["last_kernel_size"])
    last.conv.weight.data *= 0.1                                                # speech has an RMS of 0.06
    return SEANet([*layers, nn.ELU(), last])


class Mimi(nn.Module):
    """The codec. `encoder` (SEANet) hears samples; `latents` and `features` are the parts between it and the decoder (SEANet)."""

    def __init__(self, c: dict) -> None:
        super().__init__()
        enc, dec = c["seanet"], c.get("decoder_seanet") or c["seanet"]
        q, ratio = c["quantizer"], int(c["sample_rate"] / math.prod(enc["ratios"]) / c["frame_rate"])
        self.encoder, self.encoder_transformer = seanet_encoder(enc), ProjectedTransformer(c["transformer"])
        self.downsample = nn.Module()
        self.downsample.conv = Conv1d(enc["dimension"], c["inner_dim"], 2 * ratio, ratio, bias=False, replicate=True)
        self.quantizer = nn.Module()
        self.quantizer.output_proj = nn.Conv1d(q["dimension"], q["output_dimension"], 1, bias=False)
        nn.init.normal_(self.quantizer.output_proj.weight, std=q["dimension"] ** -0.5)
        self.upsample = nn.Module()
        self.upsample.convtr = ConvTranspose1d(q["output_dimension"], dec["dimension"], ratio, groups=dec["dimension"], bias=False)
        self.decoder_transformer = ProjectedTransformer(c.get("decoder_transformer") or c["transformer"])
        self.decoder = seanet_decoder(dec)

    def latents(self, heard: torch.Tensor) -> torch.Tensor:
        """What the SEANet encoder hears [B, dimension, 8 T] -> latents [B, inner_dim, T]."""
        return self.downsample.conv(self.encoder_transformer(heard))

    def features(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents [B, 32, T] -> what the SEANet decoder speaks from, [B, dimension, 8 T]."""
        return self.decoder_transformer(self.upsample.convtr(self.quantizer.output_proj(latents)))


class TimestepEmbedder(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.exp(-math.log(10000) * torch.arange(128) / 128))
        norm = nn.Module()
        norm.alpha = nn.Parameter(torch.ones(dim))
        self.mlp = nn.ModuleList([nn.Linear(256, dim), nn.SiLU(), nn.Linear(dim, dim), norm])

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        args = t * self.freqs
        x = self.mlp[2](self.mlp[1](self.mlp[0](torch.cat([args.cos(), args.sin()], -1))))
        return x * self.mlp[3].alpha * torch.rsqrt(1e-5 + x.var(-1, keepdim=True))


def norm(x: torch.Tensor) -> torch.Tensor:
    """LayerNorm with eps 1e-6, in operations that have forward derivatives."""
    x = x - x.mean(-1, keepdim=True)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class ResBlock(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.in_ln = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        shift, scale, gate = self.adaLN_modulation(y).chunk(3, -1)
        h = norm(x) * self.in_ln.weight + self.in_ln.bias
        return x + gate * self.mlp(h * (1 + scale) + shift)


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

    def forward(self, cond: torch.Tensor, times: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """cond [N, cond_dim], times [N, 1] each, x [N, latent_dim] -> [N, latent_dim]."""
        y = self.cond_embed(cond)
        if times:
            y = y + sum(embed(t) for embed, t in zip(self.time_embed, times, strict=True)) / len(times)
        x = self.input_proj(x)
        for block in self.res_blocks:
            x = block(x, y)
        shift, scale = self.final_layer.adaLN_modulation(y).chunk(2, -1)
        return self.final_layer.linear(norm(x) * (1 + scale) + shift)


class FlowLM(nn.Module):
    def __init__(self, c: dict, latent_dim: int = 32) -> None:
        super().__init__()
        t, table, d = c["transformer"], c["lookup_table"], c["transformer"]["d_model"]
        self.conditioner = nn.Module()
        self.conditioner.embed = nn.Embedding(table["n_bins"] + 1, d)
        self.bos_emb = nn.Parameter(torch.randn(latent_dim))
        self.bos_before_voice = nn.Parameter(torch.randn(1, 1, d) * 0.5)
        self.speaker_proj_weight = nn.Parameter(torch.randn(d, latent_dim) * latent_dim**-0.5)
        self.register_buffer("emb_mean", torch.zeros(latent_dim))
        self.register_buffer("emb_std", torch.ones(latent_dim))
        self.input_linear = nn.Linear(latent_dim, d, bias=False)
        self.transformer = Transformer(
            t["num_layers"], None, d_model=d, dim_feedforward=t.get("dim_feedforward") or d * t["hidden_scale"], layer_scale=False,
            num_heads=t["num_heads"], max_period=t["max_period"])
        self.out_norm, self.out_eos = nn.LayerNorm(d), nn.Linear(d, 1)
        self.flow_net = FlowNet(c["flow"]["dim"], c["flow"]["depth"], latent_dim, d, {"lsd": 2, "flow_matching": 1}[c["flow"]["type"]])
        nn.init.normal_(self.conditioner.embed.weight, std=0.5)
        nn.init.normal_(self.input_linear.weight, std=0.5 * latent_dim**-0.5)
