"""The pre-norm transformer of the flow LM's backbone and of Mimi (reference: pocket_tts.modules.transformer)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .attention import Attention
from .layers import Linear, Weights, layer_norm, residual_mlp
from .shapes import CodecTransformerShape
from .state import BatchedCaches, KVCache


class TransformerLayer:
    """Pre-norm attention and feed-forward, each with a residual connection and an optional layer scale."""

    def __init__(self, w: Weights, d_model: int, dim_feedforward: int, layer_scale: bool, **attention: Any) -> None:
        self.norm1 = layer_norm(w / "norm1", d_model)
        self.self_attn = Attention(w / "self_attn", d_model, **attention)
        self.norm2 = layer_norm(w / "norm2", d_model)
        self.linear1 = Linear(w / "linear1", d_model, dim_feedforward)
        self.linear2 = Linear(w / "linear2", dim_feedforward, d_model)
        self.layer_scale_1 = w.vector("layer_scale_1.scale", d_model)[None] if layer_scale else None
        self.layer_scale_2 = w.vector("layer_scale_2.scale", d_model)[None] if layer_scale else None

    def __call__(
        self, x: np.ndarray, cache: KVCache | BatchedCaches, wanted: Sequence[int] | np.ndarray | None = None
    ) -> np.ndarray:
        # x + layer_scale_1 * self_attn(norm1(x)), then x + layer_scale_2 * linear2(gelu(linear1(norm2(x))))
        x = self.self_attn(x, cache, self.norm1, self.layer_scale_1, wanted)
        return residual_mlp(x, self.norm2, self.linear1, "gelu", self.linear2, self.layer_scale_2)


class Transformer:
    """A stack of layers, each with its own KV cache."""

    def __init__(self, w: Weights, num_layers: int, **layer: Any) -> None:
        self.layers = [TransformerLayer(w / "layers" / i, **layer) for i in range(num_layers)]

    def init_state(self) -> list[KVCache]:
        return [layer.self_attn.init_state() for layer in self.layers]

    def __call__(
        self, x: np.ndarray, state: Sequence[KVCache | BatchedCaches], wanted: Sequence[int] | np.ndarray | None = None
    ) -> np.ndarray:
        """x [T, d_model] -> [T, d_model], or only the rows with the indices `wanted`; for others the last layer computes keys and values only."""
        for layer, cache in zip(self.layers, state, strict=True):
            x = layer(x, cache, wanted if layer is self.layers[-1] else None)
        return x


class ProjectedTransformer:
    """The transformer of Mimi: windowed, with layer scales, and projections in and out if the widths differ."""

    def __init__(self, w: Weights, shape: CodecTransformerShape) -> None:
        self.transformer = Transformer(
            w / "transformer",
            shape.num_layers,
            d_model=shape.d_model,
            dim_feedforward=shape.dim_feedforward,
            layer_scale=True,
            num_heads=shape.num_heads,
            max_period=shape.max_period,
            context=shape.context,
        )
        (out,) = shape.output_dimensions
        self.input_proj = (
            Linear(w / "input_proj", shape.input_dimension, shape.d_model)
            if shape.input_dimension != shape.d_model
            else None
        )
        self.output_proj = Linear(w / "output_projs" / 0, shape.d_model, out) if out != shape.d_model else None

    def init_state(self) -> list[KVCache]:
        return self.transformer.init_state()

    def __call__(self, x: np.ndarray, state: list[KVCache]) -> np.ndarray:
        x = self.input_proj(x) if self.input_proj else x
        x = self.transformer(x, state)
        return self.output_proj(x) if self.output_proj else x
