"""Load configs by name, path or URL, and download the files that a model needs.

Every known model has a .json file in this folder. A bundled model has a folder in ../models, with its config and its weights.
"""

import dataclasses
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ConfigError, VoiceError
from ..storage.hub import is_cached, local_path, local_path_or_open
from .parse import join_with_or, read_json, read_yaml, show, similar_names
from .schema import Config, problems

DEFAULT_MODEL = "english"
BUNDLED_MODEL = "mini"  # its files are part of this package
_FOLDERS = (Path(__file__).parent, Path(__file__).parents[1] / "models")


def model_names() -> list[str]:
    """The names of the known models, in alphabetical order."""
    return sorted(_known())


def _known() -> dict[str, Path]:
    """The config file of each known model, by name."""
    downloaded, bundled = _FOLDERS
    return {path.stem: path for path in [*downloaded.glob("*.json"), *bundled.glob("*/*.json")]}


def is_bundled(config: Config) -> bool:
    """Whether the model's files are part of this package."""
    return str(config.weights_path).startswith(str(_FOLDERS[1]))


def load_config(source: str | Path) -> Config:
    """The config of a known model, or of a YAML or JSON file.

    Relative paths in a file are relative to the working directory if they exist there, as in the official package, and to the
    file's folder otherwise.

    Args:
        source: a name of `model_names`, or the path, `https://` or `hf://` URL of a .yaml or .json file.

    Raises:
        ConfigError: the model is unknown, or the file does not describe a model.
        DownloadError: the file does not exist or can't be downloaded.
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
    similar = [name for name in sorted(known) if text and text in name] or similar_names(text, known)
    advice = f"did you mean {join_with_or(similar)}?" if similar else "`pockettts models` lists them all"
    raise ConfigError(f"no model is called {show(text)}; {advice}")


def is_downloaded(config: Config) -> bool:
    """Whether the model works without a network: its weights (with or without voice cloning) and its tokenizer are on this machine."""
    single = [path for path in (config.weights_path, config.weights_path_without_voice_cloning) if path]
    return (not single or any(map(is_cached, single))) and all(map(is_cached, _parts(config)))


def download_model(config: Config, voices: Iterable[str] = ()) -> list[Path]:
    """Download what a model needs to work without a network: weights, tokenizer, and voices.

    It requests the weights with voice cloning, even if those without it are already on this machine.

    Args:
        config: the model.
        voices: names of the catalog, URLs or paths; empty: the default voice.

    Returns:
        The files: the weights first, the voices last.

    Raises:
        DownloadError, GatedError: as in `hub.local_path`.
        VoiceError: `voices` has a name, but the model has no voices.
    """
    wanted = list(voices) or ([config.default_voice] if config.default_voice else [])
    sources = _parts(config) + [_voice_source(config, voice) for voice in wanted]
    files = []
    if config.weights_path:
        files.append(local_path_or_open(config.weights_path, config.weights_path_without_voice_cloning, ask=True)[0])
    return files + [local_path(source) for source in sources]


def _parts(config: Config) -> list[str]:
    """The files of a model except `weights_path`: separate weights of flow LM and Mimi, and the tokenizer."""
    parts = (config.flow_lm.weights_path, config.mimi.weights_path, config.flow_lm.lookup_table.tokenizer_path)
    return [path for path in parts if path]


def _voice_source(config: Config, voice: str) -> str:
    """The path or address of a voice, given as a name, path or address."""
    if not re.fullmatch(r"[\w-]+", voice):
        return voice  # a URL or a path
    if not config.voices_path:
        raise VoiceError(f"{voice}: {config.name} has no voices of its own; give an audio file or its address")
    return config.voices_path.replace("{voice}", voice)


def _read(file: Path, name: str, trusted: bool = False) -> Config:
    config = read_json(file, Config) if trusted else read_yaml(file, Config)
    for problem in problems(config):
        raise ConfigError(problem)
    return dataclasses.replace(config, name=config.name or name)


def _resolve_paths(section: Any, folder: Path, always: bool = False) -> Any:
    """Prefix relative paths with `folder`; with `always`, even those that exist in the working directory."""
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        if dataclasses.is_dataclass(value):
            changes[f.name] = _resolve_paths(value, folder, always)
        elif value and "_path" in f.name and "://" not in value and (always or not os.path.exists(value)):
            changes[f.name] = str(folder / value)
    return dataclasses.replace(section, **changes)
