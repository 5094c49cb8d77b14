"""Configs by name, path or address, and the files that a model needs.

The facts of every known model are in the .json files here; a bundled model has a folder in ../models with its weights.
"""

import dataclasses
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ConfigError, VoiceError
from ..storage.hub import is_cached, local_path, local_path_or_open
from .parse import either, near, read_json, read_yaml, show
from .schema import Config, problems

DEFAULT_MODEL = "english"
BUNDLED_MODEL = "mini"  # its files are part of this package
_FOLDERS = (Path(__file__).parent, Path(__file__).parents[1] / "models")


def model_names() -> list[str]:
    """The known models, in alphabetical order."""
    return sorted(_known())


def _known() -> dict[str, Path]:
    """The config file of each known model by name; a bundled model has its own folder, with its weights."""
    hub, bundled = _FOLDERS
    return {path.stem: path for path in [*hub.glob("*.json"), *bundled.glob("*/*.json")]}


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
        return config if known[text].parent == _FOLDERS[0] else _resolve_paths(config, known[text].parent, always=True)
    is_url = "://" in text
    path = Path(re.split("@" if text.startswith("hf://") else "[?#]", text)[0] if is_url else text)
    if path.suffix in (".yaml", ".yml", ".json"):
        file = local_path(source)
        try:
            config = _read(file, path.stem)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
        return config if is_url else _resolve_paths(config, file.parent)
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
    config = read_json(file, Config) if trusted else read_yaml(file, Config)
    for problem in problems(config):
        raise ConfigError(problem)
    return dataclasses.replace(config, name=config.name or name)


def _resolve_paths(section: Any, folder: Path, always: bool = False) -> Any:
    """`section` with relative paths made those of files in `folder`: of all, or of those not in the working directory."""
    changes = {}
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        if dataclasses.is_dataclass(value):
            changes[f.name] = _resolve_paths(value, folder, always)
        elif value and "_path" in f.name and "://" not in value and (always or not os.path.exists(value)):
            changes[f.name] = str(folder / value)
    return dataclasses.replace(section, **changes)
