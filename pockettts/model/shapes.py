"""The sizes of a model, with the names of the official configs. Layers take these, so the graph does not depend on files.

Source: pocket_tts/utils/config.py of the official package.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FlowNetShape:
    """The AdaLN MLP that samples latents."""

    dim: int
    depth: int  # residual blocks
    type: str = "lsd"  # the sampler, a key of samplers.SAMPLERS


@dataclass(frozen=True, kw_only=True)
class BackboneShape:
    """The transformer of the flow LM."""

    hidden_scale: int
    max_period: int
    d_model: int
    num_heads: int
    num_layers: int
    attn_dim: int | None = None  # width of the queries; None: d_model
    num_kv_heads: int | None = None  # None: num_heads
    dim_feedforward: int | None = None  # None: d_model * hidden_scale

    @property
    def head_dim(self) -> int:
        return (self.attn_dim or self.d_model) // self.num_heads


@dataclass(frozen=True, kw_only=True)
class LookupTableShape:
    """The embeddings of text tokens."""

    dim: int
    n_bins: int
    rank: int | None = None  # None: a full table, without a projection


@dataclass(frozen=True, kw_only=True)
class FlowLMShape:
    """The flow LM: text and voice to latents."""

    flow: FlowNetShape
    transformer: BackboneShape
    lookup_table: LookupTableShape
    z_dim: int | None = None  # None: no z_proj
    insert_bos_before_voice: bool = False


@dataclass(frozen=True, kw_only=True)
class SEANetShape:
    """A convolutional encoder or decoder of samples."""

    dimension: int
    channels: int
    n_filters: int
    n_residual_layers: int
    ratios: list[int]
    kernel_size: int
    residual_kernel_size: int
    last_kernel_size: int
    dilation_base: int
    pad_mode: str
    compress: int

    @property
    def hop_length(self) -> int:
        """Samples per feature vector: the product of `ratios`."""
        return math.prod(self.ratios)


@dataclass(frozen=True, kw_only=True)
class CodecTransformerShape:
    """The transformer next to a SEANet."""

    d_model: int
    input_dimension: int
    output_dimensions: tuple[int, ...]
    num_heads: int
    num_layers: int
    layer_scale: float
    context: int
    max_period: float = 10000.0
    dim_feedforward: int


@dataclass(frozen=True, kw_only=True)
class QuantizerShape:
    """The projection that remains of the quantizer."""

    dimension: int
    output_dimension: int


@dataclass(frozen=True, kw_only=True)
class MimiShape:
    """The codec: latents to samples, and the samples of a voice prompt to latents."""

    sample_rate: int
    channels: int
    frame_rate: float
    seanet: SEANetShape
    transformer: CodecTransformerShape
    quantizer: QuantizerShape
    inner_dim: int | None = None  # width of the encoder's output; None: seanet.dimension
    outer_dim: int | None = None  # width of the upsampling's input; None: that of the decoder's SEANet
    decoder_seanet: SEANetShape | None = None  # None: the same as the encoder's
    decoder_transformer: CodecTransformerShape | None = None  # None: the same as the encoder's

    @property
    def frame_size(self) -> int:
        """Samples in a frame: 1,920."""
        return int(self.sample_rate / self.frame_rate)

    @property
    def upsampling(self) -> int:
        """Transformer positions in a frame: 16."""
        return int(self.sample_rate / self.seanet.hop_length / self.frame_rate)

    @property
    def latent_dim(self) -> int:
        """Width of a latent: 32."""
        return self.quantizer.dimension

    @property
    def voice_dim(self) -> int:
        """Width of the encoder's output for a voice prompt."""
        return self.inner_dim or self.seanet.dimension
