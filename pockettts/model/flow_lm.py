"""The flow LM: a causal transformer over voice, text and latents, and the head that samples the next latent.

Reference: pocket_tts.models.flow_lm (arXiv 2509.06926).
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from .. import ops
from .flow_net import FlowNet
from .layers import Embedding, Linear, Weights, layer_norm
from .samplers import SAMPLERS
from .shapes import FlowLMShape
from .state import AttentionProbe, BatchedCaches, KVCache
from .transformer import Transformer


class FlowLM:
    """The backbone with its inputs (text, voice, latents) and its outputs (hidden state, EOS logit, sampled latent).

    latent_dim: the width of a latent. voice_dim: the width of the encoder's output for a voice prompt.
    """

    def __init__(self, w: Weights, shape: FlowLMShape, latent_dim: int, voice_dim: int) -> None:
        t, table = shape.transformer, shape.lookup_table
        self.embed = Embedding(w / "conditioner.embed", table.n_bins + 1, table.rank or table.dim)
        self.embed_proj = Linear(w / "conditioner.proj", table.rank, table.dim) if table.rank else None
        self.speaker_proj = w.matrix("speaker_proj_weight", t.d_model, voice_dim)
        self.bos_before_voice = (
            w.vector("bos_before_voice", 1, 1, t.d_model)[0] if shape.insert_bos_before_voice else None
        )
        self.bos_emb = w.vector("bos_emb", latent_dim)[None]
        self.emb_mean, self.emb_std = w.vector("emb_mean", latent_dim), w.vector("emb_std", latent_dim)
        self.input_linear = Linear(w / "input_linear", latent_dim, t.d_model)
        self.transformer = Transformer(
            w / "transformer",
            t.num_layers,
            d_model=t.d_model,
            layer_scale=False,
            num_heads=t.num_heads,
            dim_feedforward=t.dim_feedforward or t.d_model * t.hidden_scale,
            max_period=t.max_period,
            attn_dim=t.attn_dim,
            num_kv_heads=t.num_kv_heads,
        )
        self.out_norm = layer_norm(w / "out_norm", t.d_model)
        self.z_proj = Linear(w / "z_proj", t.d_model, shape.z_dim) if shape.z_dim else None
        self.out_eos = Linear(w / "out_eos", shape.z_dim or t.d_model, 1, bias=True)
        self.flow_net = FlowNet(w / "flow_net", shape.flow, latent_dim, shape.z_dim or t.d_model)
        self.sampler = SAMPLERS[shape.flow.type]

    def init_state(self) -> list[KVCache]:
        return self.transformer.init_state()

    def embed_text(self, ids: list[int]) -> np.ndarray:
        """Token ids [T] -> embeddings [T, d_model]."""
        x = self.embed(ids)
        return self.embed_proj(x) if self.embed_proj else x

    def embed_voice(self, latents: np.ndarray) -> np.ndarray:
        """Mimi latents of a voice prompt, not normalized, [T, voice_dim] -> embeddings [T, d_model]."""
        return ops.linear(latents, self.speaker_proj.matrix)

    def prefill(self, x: np.ndarray, state: list[KVCache]) -> None:
        """Run embeddings [T, d_model] through the backbone, only to extend the KV caches."""
        if len(x):
            self.transformer(x, state, wanted=[])

    def step(self, latent: np.ndarray | None, state: list[KVCache]) -> np.ndarray:
        """One frame: the previous latent [1, latent_dim] (None for the first) -> hidden [1, z_dim or d_model]."""
        return self.head(self.transformer(self.embed_latent(latent), state))

    def step_batch(self, rows: list[np.ndarray], states: list[list[KVCache]]) -> list[np.ndarray]:
        """One step of several streams, which reads the weights once.

        Embeddings [T_i, d_model] of each stream -> the output of its last row, [1, d_model] each, for `head`.
        """
        counts = [len(x) for x in rows]
        state = [BatchedCaches(list(caches), counts) for caches in zip(*states, strict=True)]
        return np.split(self.transformer(np.concatenate(rows), state, wanted=np.cumsum(counts) - 1), len(rows))

    def embed_latent(self, latent: np.ndarray | None) -> np.ndarray:
        """The input of a frame: the previous latent [1, latent_dim] (None for the first frame) -> [1, d_model]."""
        return self.input_linear(self.bos_emb if latent is None else latent)

    def head(self, x: np.ndarray) -> np.ndarray:
        """The backbone's output for n frames [n, d_model] -> hidden [n, z_dim or d_model]."""
        x = self.out_norm(x)
        return self.z_proj(x) if self.z_proj else x

    def probe(
        self, heads: Sequence[tuple[int, ...]], start: int, stop: int, state: list[KVCache]
    ) -> list[AttentionProbe]:
        """Record the attention of `heads`, (layer, head) each, to positions start .. stop, in each step after `stop`."""
        probes = []
        for layer in sorted({layer for layer, _ in heads}):
            probes.append(AttentionProbe([head for at, head in heads if at == layer], start, stop))
            state[layer].probe = probes[-1]
        return probes

    def eos_logit(self, hidden: np.ndarray) -> float:
        """hidden [1, z_dim or d_model] -> the EOS logit. Stepper._is_over (synthesis.py) compares it with the threshold."""
        return float(self.out_eos(hidden)[0, 0])

    def sample(self, hidden: np.ndarray, noise: np.ndarray, steps: int = 1) -> np.ndarray:
        """hidden [n, z_dim or d_model], noise [n, latent_dim] -> normalized latents of n frames [n, latent_dim]."""
        return self.sampler(partial(self.flow_net, hidden), noise, steps)
