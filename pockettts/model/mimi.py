"""Mimi, the codec: latents at 12.5 Hz <-> samples at 24 kHz (arXiv 2410.00037; reference: pocket_tts.models.mimi)."""

from typing import Any

import numpy as np

from .conv import Conv1d, DepthwiseUpsample
from .layers import Linear, Weights
from .seanet import SEANetDecoder, SEANetEncoder
from .shapes import MimiShape
from .transformer import ProjectedTransformer


class MimiDecoder:
    """Latents [T, latent_dim], not normalized -> samples [T * frame_size]."""

    def __init__(self, w: Weights, shape: MimiShape) -> None:
        seanet, q = shape.decoder_seanet or shape.seanet, shape.quantizer
        self.quantizer = Linear1x1(w / "quantizer.output_proj", q.dimension, q.output_dimension)
        self.upsample = None
        if shape.upsampling > 1:
            self.upsample = DepthwiseUpsample(
                w / "upsample.convtr.convtr", shape.outer_dim or seanet.dimension, seanet.dimension, shape.upsampling
            )
        self.transformer = ProjectedTransformer(
            w / "decoder_transformer", shape.decoder_transformer or shape.transformer
        )
        self.decoder = SEANetDecoder(w / "decoder", seanet)

    def init_state(self) -> tuple[Any, ...]:
        return self.upsample and self.upsample.init_state(), self.transformer.init_state(), self.decoder.init_state()

    def __call__(self, latents: np.ndarray, state: tuple[Any, ...]) -> np.ndarray:
        upsample, transformer, decoder = state
        x = self.quantizer(latents)  # [T, outer_dim] at 12.5 Hz
        x = self.upsample(x, upsample) if self.upsample else x  # [16 T, dimension] at 200 Hz
        x = self.transformer(x, transformer)
        return self.decoder(x, decoder).reshape(-1)  # [1920 T]


class MimiEncoder:
    """Samples -> latents [T, inner_dim], not normalized. Only for voice cloning."""

    def __init__(self, w: Weights, shape: MimiShape) -> None:
        self.frame_size = shape.frame_size
        self.encoder = SEANetEncoder(w / "encoder", shape.seanet)
        self.transformer = ProjectedTransformer(w / "encoder_transformer", shape.transformer)
        self.downsample = None
        if shape.upsampling > 1:
            self.downsample = Conv1d(
                w / "downsample.conv.conv",
                shape.seanet.dimension,
                shape.voice_dim,
                2 * shape.upsampling,
                shape.upsampling,
                bias=False,
                pad_mode="replicate",
            )

    def init_state(self) -> tuple[Any, ...]:
        return (
            self.encoder.init_state(),
            self.transformer.init_state(),
            self.downsample and self.downsample.init_state(),
        )

    def __call__(self, samples: np.ndarray, state: tuple[Any, ...]) -> np.ndarray:
        """Whole frames of samples [n * frame_size] -> [n, inner_dim]."""
        encoder, transformer, downsample = state
        x = self.encoder(samples[:, None], encoder)  # [16 n, dimension] at 200 Hz
        x = self.transformer(x, transformer)
        return self.downsample(x, downsample) if self.downsample else x  # [n, inner_dim] at 12.5 Hz

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """A whole recording [N], padded with zeros to whole frames -> [ceil(N / frame_size), inner_dim], in blocks of eight frames."""
        samples = np.pad(samples, (0, -len(samples) % self.frame_size))
        block, state = 8 * self.frame_size, self.init_state()
        return np.concatenate([self(samples[i : i + block], state) for i in range(0, len(samples), block)])


class Linear1x1(Linear):
    """A convolution of width 1, whose weight is [n_out, n_in, 1]."""

    def __init__(self, w: Weights, n_in: int, n_out: int) -> None:
        self.weight, self.bias = w.matrix("weight", n_out, n_in, 1), None
