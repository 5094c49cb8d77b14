"""The schema of a model config: frozen dataclasses with the names, types and defaults of the official configs, and the checks.

Source: pocket_tts/utils/config.py of the official package.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model.shapes import FlowLMShape, LookupTableShape, MimiShape
from .parse import join_with_or, show

# The range of each number, by key; any other number is between 1 and a million.
_RANGES = {
    "num_layers": (1, 1000),
    "depth": (1, 1000),
    "n_residual_layers": (0, 16),
    "dilation_base": (1, 64),
    "max_period": (1, 10**9),
    "parameters": (1, 10**12),
    "model_recommended_frames_after_eos": (0, 1000),
    "frame_rate": (0.1, 1e5),
    "layer_scale": (-1e6, 1e6),
    "default_temperature": (0, 100),
    "default_eos_threshold": (-1e6, 1e6),
}
_CHOICES = {
    "type": ("lsd", "flow_matching", "drifting", "pointwise"),
    "pad_mode": ("constant", "replicate"),
    "tokenizer": ("sentencepiece", "tokenizers", "json"),
    "dtype": ("float32", "bfloat16", "float16"),
}


@dataclass(frozen=True, kw_only=True)
class LookupTableConfig(LookupTableShape):
    """The tokenizer, and the embeddings of its tokens."""

    tokenizer: str
    tokenizer_path: str


@dataclass(frozen=True, kw_only=True)
class FlowLMConfig(FlowLMShape):
    """The flow LM, and the path of its weights."""

    dtype: str
    lookup_table: LookupTableConfig
    weights_path: str | None = None


@dataclass(frozen=True, kw_only=True)
class MimiConfig(MimiShape):
    """The codec, and the path of its weights."""

    dtype: str
    weights_path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """A model: its parts, its files, its text rules and its defaults."""

    flow_lm: FlowLMConfig
    mimi: MimiConfig
    weights_path: str | None = None
    weights_path_without_voice_cloning: str | None = None
    pad_with_spaces_for_short_inputs: bool = False
    remove_semicolons: bool = False
    append_terminal_punctuation: bool = True
    capitalize_first_letter: bool = True
    replace_characters: dict[str, str] = field(default_factory=dict)
    model_recommended_frames_after_eos: int | None = None
    default_temperature: float = 0.3
    default_eos_threshold: float = -4.0
    # Not in the official configs: the official package has these in its code.
    name: str = ""  # if the file has none: the file name without its extension
    description: str | None = None  # one sentence for the list of models
    language: str | None = None
    default_voice: str | None = None
    voices_path: str | None = None  # path of the voice states, with {voice} in place of the name
    voice_names: list[str] | None = None  # the model's voices; None: the whole catalog
    parameters: int | None = None  # number of weights in the file, including the voice encoder
    alignment_heads: list[tuple[int, ...]] | None = None  # [layer, head] pairs whose attention follows the spoken text
    alignment_lead: int | None = None  # frames by which these heads are ahead of the sound; None: 0
    voice_cloning: bool = True  # False: this model can't clone voices


def problems(config: Config) -> Iterator[str]:
    """The errors in the values of a config, one line each."""
    yield from itertools.chain(_invalid_values(config), _contradictions(config))


def _invalid_values(section: Any, prefix: str = "") -> Iterator[str]:
    """The errors in single values."""
    for f in dataclasses.fields(section):
        value, key = getattr(section, f.name), prefix + f.name
        minimum, maximum = _RANGES.get(f.name, (1, 10**6))
        if dataclasses.is_dataclass(value):
            yield from _invalid_values(value, key + ".")
        for number in value if isinstance(value, (list, tuple)) else [value]:
            if type(number) in (int, float) and not minimum <= number <= maximum:  # or NaN
                yield f"{key}: {show(number)} makes no sense; give a number from {minimum:,} to {maximum:,}"
        if value not in (choices := _CHOICES.get(f.name, (value,))):
            yield f"{key}: {show(value)} is not known; use {join_with_or(choices)}"
        if f.name == "voices_path" and value and "{voice}" not in value:
            yield f"{key}: {show(value)} has no {{voice}} in it; write that in place of the voice's name"


def _contradictions(config: Config) -> Iterator[str]:
    """The contradictions between values."""
    lm, mimi = config.flow_lm, config.mimi
    decoder_seanet = "decoder_seanet" if mimi.decoder_seanet else "seanet"
    decoder_transformer = "decoder_transformer" if mimi.decoder_transformer else "transformer"
    attentions = [("flow_lm.transformer", lm.transformer.attn_dim or lm.transformer.d_model, lm.transformer.num_heads)]
    equals: list[tuple[str, Any, str, Any]] = [
        ("flow_lm.lookup_table.dim", lm.lookup_table.dim, "flow_lm.transformer.d_model", lm.transformer.d_model)
    ]
    for seanet, transformer in (("seanet", "transformer"), (decoder_seanet, decoder_transformer)):
        net, layers = getattr(mimi, seanet), getattr(mimi, transformer)
        attentions.append((f"mimi.{transformer}", layers.d_model, layers.num_heads))
        width = f"mimi.{seanet}.dimension"
        equals += [
            (f"mimi.{transformer}.input_dimension", layers.input_dimension, width, net.dimension),
            (f"mimi.{transformer}.output_dimensions", [*layers.output_dimensions], f"[{width}]", [net.dimension]),
            (f"mimi.{seanet}.channels", net.channels, "mono", 1),
        ]
        if net.compress > net.n_filters:
            yield f"mimi.{seanet}.compress: {net.compress} is more than n_filters ({net.n_filters}); choose a smaller one"
    outer = mimi.outer_dim or net.dimension  # `net` is now the decoder's
    equals += [
        ("mimi.quantizer.output_dimension", mimi.quantizer.output_dimension, "mimi.outer_dim", outer),
        ("mimi.channels", mimi.channels, "mono", 1),
    ]
    if outer % net.dimension:
        yield f"mimi.outer_dim: {outer} is not a multiple of {width} ({net.dimension}); change one of them"
    for key, value, other, wanted in equals:
        if value != wanted:
            yield f"{key}: {value} is not {other} ({wanted}); make them equal"
    for key, dim, heads in attentions:
        if dim % (2 * heads):
            yield f"{key}.num_heads: a width of {dim} can't be split into {heads} heads of even width; change one of them"
    if lm.transformer.num_heads % (lm.transformer.num_kv_heads or 1):
        yield f"flow_lm.transformer.num_kv_heads: must divide num_heads ({lm.transformer.num_heads}); choose a divisor"
    for n, place in enumerate(config.alignment_heads or []):
        sizes = (lm.transformer.num_layers, lm.transformer.num_heads)
        if len(place) != 2 or not all(0 <= i < size for i, size in zip(place, sizes, strict=True)):
            yield f"alignment_heads[{n}]: {[*place]} is not [layer, head], below {sizes[0]} and {sizes[1]}; correct it"
    stride = mimi.sample_rate / mimi.seanet.hop_length / mimi.frame_rate
    if not stride.is_integer():
        yield f"mimi.frame_rate: sample_rate / frame_rate / product of ratios is {stride:g}; it must be a whole number"
    if lm.weights_path and not mimi.weights_path:
        yield "mimi.weights_path: missing; add it, since flow_lm.weights_path requires it"
    if mimi.weights_path and not (lm.weights_path or config.weights_path):
        yield "flow_lm.weights_path: missing; add it, since mimi.weights_path requires it"
