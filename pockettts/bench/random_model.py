"""A model with random weights at real sizes, in the files of a real model, so that benchmarks need no download."""

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import yaml

from ..config.schema import Config
from ..errors import WeightsError
from ..model.flow_lm import FlowLM
from ..model.layers import Weights
from ..model.mimi import MimiDecoder, MimiEncoder
from ..reading.tokenizer import EXPECTED, SPACE
from ..storage.files import cannot_write
from ..storage.hub import assets_in
from ..voices.state import VoiceState

VOICE_ROWS = 126  # KV cache rows of a voice of 10 seconds, including `bos_before_voice`
LEAST_BINS = 400  # tokens; enough for all bytes and the words of a text
BLOCK = 1 << 20  # random numbers to generate at a time, to save memory


@contextmanager
def temporary(config: Config, text: str) -> Iterator[Path]:
    """A model written by `write` to a temporary folder. The folder and the model's cache files are removed at the end of the block.

    Raises WeightsError if it can't be written.
    """
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="pockettts-")))
            stack.enter_context(assets_in(folder / "assets"))
            path = write(config, folder, text)
        except OSError as error:
            raise WeightsError(
                f"{cannot_write('a model with random weights', error)} (the environment variable TMPDIR)"
            ) from None
        yield path


def write(config: Config, folder: Path, text: str) -> Path:
    """Write the model of a config, in bf16: NAME.yaml, weights.safetensors, tokenizer.json, voice.safetensors.

    The official package can read them too. Each word and punctuation mark of `text` is a token. Returns the YAML file. Raises OSError.
    """
    rng = np.random.default_rng(0)
    table = config.flow_lm.lookup_table
    table = dataclasses.replace(table, n_bins=max(table.n_bins, LEAST_BINS))
    config = dataclasses.replace(config, flow_lm=dataclasses.replace(config.flow_lm, lookup_table=table))
    _write_weights(shapes(config), folder / "weights.safetensors", rng)
    _write_tokenizer(table.n_bins, text, folder / "tokenizer.json")
    t = config.flow_lm.transformer
    rows = (2, VOICE_ROWS, t.num_kv_heads or t.num_heads, (t.attn_dim or t.d_model) // t.num_heads)
    VoiceState([rng.standard_normal(rows, np.float32) for _ in range(t.num_layers)], None).save(
        folder / "voice.safetensors"
    )
    content = dataclasses.asdict(config)
    for name in list(content)[list(content).index("name") :]:  # keys that the official package does not know
        del content[name]
    content |= dict(weights_path="weights.safetensors", weights_path_without_voice_cloning=None)
    content["mimi"]["weights_path"] = content["flow_lm"]["weights_path"] = None
    content["flow_lm"]["lookup_table"] |= dict(tokenizer="tokenizers", tokenizer_path="tokenizer.json")
    path = folder / f"{config.name}.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in the model's official file, by name, in the order in which the graph requests them."""
    recorded, mimi = _Shapes(), config.mimi
    w = cast(Weights, recorded)  # no layer uses its weights here
    FlowLM(w / "flow_lm", config.flow_lm, mimi.latent_dim, mimi.voice_dim)
    MimiDecoder(w / "mimi", mimi)
    MimiEncoder(w / "mimi", mimi)
    return recorded.shapes


class _Shapes:
    """Replaces `Weights` while a graph is built: records the requested shapes and returns zeros."""

    def __init__(self, scope: str = "", shapes: dict[str, tuple[int, ...]] | None = None) -> None:
        self.scope, self.shapes = scope, {} if shapes is None else shapes

    def __truediv__(self, scope: str | int) -> "_Shapes":
        return _Shapes(f"{self.scope}{scope}.", self.shapes)

    def vector(self, name: str, *shape: int) -> np.ndarray:
        self.shapes[self.scope + name] = shape
        return np.zeros(shape, np.float32)  # takes no memory until it is written to

    matrix = upsampling_matrix = table = vector

    def concatenate(self, others: "list[_Shapes]", name: str, shapes: list[tuple[int, int]]) -> None:
        for w, shape in zip([self, *others], shapes, strict=True):
            w.vector(name, *shape)


def _write_weights(shapes: dict[str, tuple[int, ...]], path: Path, rng: np.random.Generator) -> None:
    """Write a safetensors file of bf16. The library for that would need the whole file in memory."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = dict(dtype="BF16", shape=shape, data_offsets=(start, end))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            # Activations neither vanish nor explode: vectors (norms, biases) are about 1, and matrices preserve norms.
            spread, middle = (math.prod(shape[1:]) ** -0.5, 0) if len(shape) > 1 else (0.2, 1)
            for i in range(0, math.prod(shape), BLOCK):
                numbers = rng.standard_normal(min(BLOCK, math.prod(shape) - i), np.float32) * np.float32(
                    spread
                ) + np.float32(middle)
                file.write((numbers.view(np.uint32) >> 16).astype("<u2").tobytes())  # bf16 is the upper half


def _write_tokenizer(n_bins: int, text: str, path: Path) -> None:
    """Write a vocabulary of all bytes, of the words and punctuation of a text, and of numbers that fill it up."""
    words = re.findall(r"\w+|[^\w\s]", text)
    pieces = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *sorted({*words, *(SPACE + word for word in words)}),
    ]
    pieces += [f"{SPACE}{i}" for i in range(n_bins - len(pieces))]
    model = dict(type="Unigram", unk_id=0, byte_fallback=True, vocab=[(piece, -1) for piece in pieces[:n_bins]])
    path.write_text(
        json.dumps(EXPECTED | dict(version="1.0", added_tokens=[], post_processor=None, model=model)), "utf-8"
    )
