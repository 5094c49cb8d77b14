"""What a model is: frozen dataclasses with the names, types and defaults of the official configs, from strict YAML.

Source: pocket_tts/utils/config.py of the official package. The facts of every known model are in configs/, as JSON with
comments, which is YAML too.
"""

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError, VoiceError
from .hub import is_cached, local_path, local_path_or_open
from .strict import either, near, read_yaml, show

DEFAULT_MODEL = "english"
BUNDLED_MODEL = "mini"  # its files are part of this package
_FOLDERS = (Path(__file__).parent / "configs", Path(__file__).parent / "models")
# Least and most that makes sense, by key; any other whole number may be 1 to a million.
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


# Where a dataclass has no docstring, `dataclasses` makes one, which takes as long as a third of all else about it.
@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """The MLP that samples latents."""

    dim: int
    depth: int
    type: str = "lsd"  # the sampler


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The backbone."""

    hidden_scale: int
    max_period: int
    d_model: int
    num_heads: int
    num_layers: int
    attn_dim: int | None = None  # width of the queries; None: d_model
    num_kv_heads: int | None = None  # None: num_heads
    dim_feedforward: int | None = None  # None: d_model * hidden_scale


@dataclass(frozen=True, kw_only=True)
class LookupTableConfig:
    """The tokenizer, and the embeddings of its tokens."""

    dim: int
    n_bins: int
    tokenizer: str
    tokenizer_path: str
    rank: int | None = None  # None: a full table, without a projection


@dataclass(frozen=True, kw_only=True)
class FlowLMConfig:
    """What makes latents of text."""

    dtype: str
    flow: FlowConfig
    transformer: TransformerConfig
    z_dim: int | None = None  # None: no z_proj
    lookup_table: LookupTableConfig
    weights_path: str | None = None
    insert_bos_before_voice: bool = False


@dataclass(frozen=True, kw_only=True)
class SEANetConfig:
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
        """Samples a vector: the product of `ratios`."""
        return math.prod(self.ratios)


@dataclass(frozen=True, kw_only=True)
class MimiTransformerConfig:
    """The transformer beside a SEANet."""

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
class QuantizerConfig:
    """What is left of the quantizer: widths."""

    dimension: int
    output_dimension: int


@dataclass(frozen=True, kw_only=True)
class MimiConfig:
    """What makes samples of latents, and latents of a voice prompt."""

    dtype: str
    sample_rate: int
    channels: int
    frame_rate: float
    seanet: SEANetConfig
    transformer: MimiTransformerConfig
    quantizer: QuantizerConfig
    weights_path: str | None = None
    inner_dim: int | None = None  # width of what the encoder gives; None: seanet.dimension
    outer_dim: int | None = None  # width of what the upsampling gets; None: that of the decoder's SEANet
    decoder_seanet: SEANetConfig | None = None  # None: as the encoder's
    decoder_transformer: MimiTransformerConfig | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """A model."""

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
    # Our own: facts that the official package keeps in its code.
    name: str = ""  # if the YAML has none: that of the known model, or of the file without its ending
    language: str | None = None
    default_voice: str | None = None
    voices_path: str | None = None  # of the catalogue's voices, with {voice} for the name
    voice_names: list[str] | None = None  # which of the catalogue there are; None: all
    parameters: int | None = None  # how many weights the file has, the voice encoder's included
    alignment_heads: list[tuple[int, ...]] | None = None  # [layer, head] whose attention is on the text being spoken
    voice_cloning: bool = True  # False: recordings can't be cloned, whatever the weights have


def model_names() -> list[str]:
    """The known models, in alphabetical order."""
    return sorted(_known())


def _known() -> dict[str, Path]:
    """The config file of each known model by name; a bundled model has its own folder, with its weights."""
    hub, bundled = _FOLDERS
    return {path.stem: path for path in [*hub.glob("*.yaml"), *bundled.glob("*/*.json")]}


def is_bundled(config: Config) -> bool:
    """Whether the model's files are part of this package."""
    return str(config.weights_path).startswith(str(_FOLDERS[1]))


def load_config(source: str | Path) -> Config:
    """The config of a known model by its name, or a custom one: a path, `https://` or `hf://` of a YAML file.

    Relative paths in a YAML file are looked for in the working directory, as upstream does, then beside the file.

    Raises:
        ConfigError: no such model, or a YAML that does not describe one.
        DownloadError: no such file.
    """
    text, known = str(source), _known()
    if source in known:
        config = _read(known[text], text, trusted=True)
        return config if known[text].parent == _FOLDERS[0] else _beside(config, known[text].parent, always=True)
    is_url = "://" in text
    path = Path(re.split("@" if text.startswith("hf://") else "[?#]", text)[0] if is_url else text)
    if path.suffix in (".yaml", ".yml", ".json"):
        file = local_path(source)
        try:
            config = _read(file, path.stem)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
        return config if is_url else _beside(config, file.parent)
    if isinstance(source, Path) or "/" in text:
        raise ConfigError(f"{source}: not a config; give a .yaml file, or a name that `pockettts models` lists")
    similar = [name for name in sorted(known) if text and text in name] or near(text, known)
    advice = f"did you mean {either(similar)}?" if similar else "`pockettts models` lists them all"
    raise ConfigError(f"no model is called {show(text)}; {advice}")


def is_downloaded(config: Config) -> bool:
    """Whether the model needs no network: its weights, of either kind, and its tokenizer are on this machine."""
    bundles = [path for path in (config.weights_path, config.weights_path_without_voice_cloning) if path]
    return (not bundles or any(map(is_cached, bundles))) and all(map(is_cached, _parts(config)))


def download_model(config: Config, voices: Iterable[str] = ()) -> list[Path]:
    """Fetch what `config` needs without a network: weights, tokenizer, and `voices` or else the default voice.

    The hub is asked for the weights that can clone voices even if the open ones are here already.

    Args:
        config: the model.
        voices: names of the catalogue, addresses or paths.

    Returns:
        The files: the weights first, the voices last.

    Raises:
        DownloadError, GatedError: as `hub.local_path`.
        VoiceError: a name, but the model has no voices of its own.
    """
    wanted = list(voices) or [config.default_voice] if voices or config.default_voice else []
    sources = _parts(config) + [_voice_source(config, voice) for voice in wanted]
    files = []
    if config.weights_path:
        files.append(local_path_or_open(config.weights_path, config.weights_path_without_voice_cloning, ask=True)[0])
    return files + [local_path(source) for source in sources]


def _parts(config: Config) -> list[str]:
    """The files of a model beside its bundle of weights."""
    parts = (config.flow_lm.weights_path, config.mimi.weights_path, config.flow_lm.lookup_table.tokenizer_path)
    return [path for path in parts if path]


def _voice_source(config: Config, voice: str) -> str:
    if not re.fullmatch(r"[\w-]+", voice):
        return voice  # an address or a path
    if not config.voices_path:
        raise VoiceError(f"{voice}: {config.name} has no voices of its own; give an audio file or its address")
    return config.voices_path.replace("{voice}", voice)


def _read(file: Path, name: str, trusted: bool = False) -> Config:
    config = read_yaml(file, Config, trusted)
    for problem in itertools.chain(_nonsense(config), _contradictions(config)):
        raise ConfigError(problem)
    return dataclasses.replace(config, name=config.name or name)


def _beside(section: Any, folder: Path, always: bool = False) -> Any:
    """`section` with relative paths made those of files in `folder`: of all, or of those not in the working directory."""
    changes = {}
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        if dataclasses.is_dataclass(value):
            changes[f.name] = _beside(value, folder, always)
        elif value and "_path" in f.name and "://" not in value and (always or not os.path.exists(value)):
            changes[f.name] = str(folder / value)
    return dataclasses.replace(section, **changes)


def _nonsense(section: Any, prefix: str = "") -> Iterator[str]:
    """What is wrong with single values."""
    for f in dataclasses.fields(section):
        value, key = getattr(section, f.name), prefix + f.name
        least, most = _RANGES.get(f.name, (1, 10**6))
        if dataclasses.is_dataclass(value):
            yield from _nonsense(value, key + ".")
        for number in value if isinstance(value, (list, tuple)) else [value]:
            if type(number) in (int, float) and not least <= number <= most:  # NaN is neither
                yield f"{key}: {show(number)} makes no sense; give a number from {least:,} to {most:,}"
        if value not in (choices := _CHOICES.get(f.name, (value,))):
            yield f"{key}: {show(value)} is not known; use {either(choices)}"
        if f.name == "voices_path" and value and "{voice}" not in value:
            yield f"{key}: {show(value)} has no {{voice}} in it; write that where the voice's name goes"


def _contradictions(config: Config) -> Iterator[str]:
    """What is wrong among values that make sense by themselves."""
    lm, mimi = config.flow_lm, config.mimi
    decoder_seanet = "decoder_seanet" if mimi.decoder_seanet else "seanet"
    decoder_transformer = "decoder_transformer" if mimi.decoder_transformer else "transformer"
    attentions = [("flow_lm.transformer", lm.transformer.attn_dim or lm.transformer.d_model, lm.transformer.num_heads)]
    equals = [("flow_lm.lookup_table.dim", lm.lookup_table.dim, "flow_lm.transformer.d_model", lm.transformer.d_model)]
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
            yield f"mimi.{seanet}.compress: {net.compress} is more than n_filters ({net.n_filters}); choose less"
    outer = mimi.outer_dim or net.dimension  # of the decoder, the last of the two
    equals += [
        ("mimi.quantizer.output_dimension", mimi.quantizer.output_dimension, "mimi.outer_dim", outer),
        ("mimi.channels", mimi.channels, "mono", 1),
    ]
    if outer % net.dimension:
        yield f"mimi.outer_dim: {outer} is no multiple of {width} ({net.dimension}); change one of them"
    for key, value, other, wanted in equals:
        if value != wanted:
            yield f"{key}: {value} is not {other} ({wanted}); make them equal"
    for key, width, heads in attentions:
        if width % (2 * heads):
            yield f"{key}.num_heads: {width} numbers do not make {heads} heads of pairs; change one of them"
    if lm.transformer.num_heads % (lm.transformer.num_kv_heads or 1):
        yield f"flow_lm.transformer.num_kv_heads: must divide num_heads ({lm.transformer.num_heads}); choose a divisor"
    for n, place in enumerate(config.alignment_heads or []):
        sizes = (lm.transformer.num_layers, lm.transformer.num_heads)
        if len(place) != 2 or not all(0 <= i < size for i, size in zip(place, sizes, strict=True)):
            yield f"alignment_heads[{n}]: {[*place]} is not [layer, head], below {sizes[0]} and {sizes[1]}; correct it"
    stride = mimi.sample_rate / mimi.seanet.hop_length / mimi.frame_rate
    if not stride.is_integer():
        yield f"mimi.frame_rate: sample_rate / it / product of ratios is {stride:g}; make that a whole number"
    if lm.weights_path and not mimi.weights_path:
        yield "mimi.weights_path: missing; add it, since there is flow_lm.weights_path"
    if mimi.weights_path and not (lm.weights_path or config.weights_path):
        yield "flow_lm.weights_path: missing; add it, since there is mimi.weights_path"
