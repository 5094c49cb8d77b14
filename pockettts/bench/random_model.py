"""A model of random weights at real sizes, in files like a real one, so that benchmarks need no download."""

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

VOICE_ROWS = 126  # rows in the KV caches for a voice of 10 seconds, including `bos_before_voice`
LEAST_BINS = 400  # tokens; a smaller vocabulary has no room for all bytes and the words of a text
BLOCK = 1 << 20  # random numbers drawn at a time, to limit memory use


@contextmanager
def temporary(config: Config, text: str) -> Iterator[Path]:
    """Write a model into a temporary folder. When the context ends, the folder and all cache files of the model are deleted.

    Raises WeightsError if the disk is full.
    """
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="pockettts-")))
            stack.enter_context(assets_in(folder / "assets"))
            path = write(config, folder, text)
        except OSError as error:
            raise WeightsError(
                f"{cannot_write('a model of random weights', error)} (the environment variable TMPDIR)"
            ) from None
        yield path


def write(config: Config, folder: Path, text: str) -> Path:
    """Write the model of a config, in bf16: NAME.yaml, weights.safetensors, tokenizer.json, voice.safetensors.

    The official package reads them as well. Each word and each mark of `text` is a token. Returns the YAML file. Raises OSError.
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
    facts = dataclasses.asdict(config)
    for name in list(facts)[list(facts).index("name") :]:  # our own keys, which the official package does not know
        del facts[name]
    facts |= dict(weights_path="weights.safetensors", weights_path_without_voice_cloning=None)
    facts["mimi"]["weights_path"] = facts["flow_lm"]["weights_path"] = None
    facts["flow_lm"]["lookup_table"] |= dict(tokenizer="tokenizers", tokenizer_path="tokenizer.json")
    path = folder / f"{config.name}.yaml"
    path.write_text(yaml.safe_dump(facts), "utf-8")
    return path


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The tensors of the model's official file by name, in the order in which the graph asks for them."""
    noted, mimi = _Shapes(), config.mimi
    w = cast(Weights, noted)  # no layer multiplies by its matrix here
    FlowLM(w / "flow_lm", config.flow_lm, mimi.latent_dim, mimi.voice_dim)
    MimiDecoder(w / "mimi", mimi)
    MimiEncoder(w / "mimi", mimi)
    return noted.shapes


class _Shapes:
    """Stands in for `Weights` while a graph is built: records the tensors that the layers request, and returns zeros."""

    def __init__(self, scope: str = "", shapes: dict[str, tuple[int, ...]] | None = None) -> None:
        self.scope, self.shapes = scope, {} if shapes is None else shapes

    def __truediv__(self, scope: str | int) -> "_Shapes":
        return _Shapes(f"{self.scope}{scope}.", self.shapes)

    def vector(self, name: str, *shape: int) -> np.ndarray:
        self.shapes[self.scope + name] = shape
        return np.zeros(shape, np.float32)  # zero pages take no memory until they are written to

    matrix = upsampling_matrix = table = vector

    def concatenate(self, others: "list[_Shapes]", name: str, shapes: list[tuple[int, int]]) -> None:
        for w, shape in zip([self, *others], shapes, strict=True):
            w.vector(name, *shape)


def _write_weights(shapes: dict[str, tuple[int, ...]], path: Path, rng: np.random.Generator) -> None:
    """Write a safetensors file of bf16, tensor by tensor: the safetensors library needs all tensors in memory at once."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = dict(dtype="BF16", shape=shape, data_offsets=(start, end))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            # Sounds stay neither silent nor beyond all bounds: vectors (norms, biases) are about 1, matrices keep lengths.
            spread, middle = (math.prod(shape[1:]) ** -0.5, 0) if len(shape) > 1 else (0.2, 1)
            for i in range(0, math.prod(shape), BLOCK):
                numbers = rng.standard_normal(min(BLOCK, math.prod(shape) - i), np.float32) * np.float32(
                    spread
                ) + np.float32(middle)
                file.write((numbers.view(np.uint32) >> 16).astype("<u2").tobytes())  # bf16 is the upper half


def _write_tokenizer(n_bins: int, text: str, path: Path) -> None:
    """Write a vocabulary: all bytes, the words and marks of a text, and unused words to fill it up."""
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
