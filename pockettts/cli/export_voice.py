"""`pockettts export-voice`: convert a recording, or a folder of recordings, to voice files."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OptionError, PocketTTSError, VoiceError
from ..sound.formats import RECORDINGS
from .common import add_cache_option, add_model_options, check_voice, config_of, print_message

if TYPE_CHECKING:
    from ..config.schema import Config
    from ..tts import TTSModel


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "voice", metavar="IN", help="a sound file, a folder of them, a name of `pockettts voices`, hf:// or https://"
    )
    parser.add_argument(
        "output", metavar="OUT", help="the .safetensors file to write; if IN is a folder, the folder to write to"
    )
    add_model_options(parser)
    add_cache_option(parser)


def run(args: argparse.Namespace) -> None:
    """Export. The paths are checked before the model is downloaded and loaded."""
    from ..tts import TTSModel
    from ..voices.loader import find

    files: dict[Path, Path] = {}  # if it is a folder
    config = config_of(args, lambda config: files.update(_checked(args, config)))
    if files:
        _export_all(TTSModel.load(config=config, cache=args.cache), files, args.quiet)
        return
    voice = find(args.voice, config)
    TTSModel.load(config=config, cache=args.cache).get_voice_state(voice).save(args.output)
    if not args.quiet:
        print_message(f"{args.output}: a voice for {config.name}, {os.path.getsize(args.output) / 1e3:,.0f} kB")


def _checked(args: argparse.Namespace, config: "Config") -> dict[Path, Path]:
    """Check the paths. Returns the recordings of a folder, each with the path of its voice file; nothing if IN is a single voice."""
    from ..voices.loader import names

    if os.path.isdir(args.voice) and args.voice not in names(config):
        return _files(Path(args.voice), Path(args.output))
    if not args.output.endswith(".safetensors"):
        raise OptionError(f"{args.output} would not be known as a voice: use a name that ends in .safetensors")
    _check_place(args.output)
    check_voice(args, config)
    return {}


def _files(source: Path, target: Path) -> dict[Path, Path]:
    """The recordings of a folder, each with the path of its voice file. Makes the target folder."""
    recordings = sorted(path for path in source.iterdir() if path.suffix.lower() in RECORDINGS and path.is_file())
    if not recordings:
        raise VoiceError(f"{source} has no sound files ({', '.join(sorted(RECORDINGS))}): give a folder of recordings")
    files: dict[Path, Path] = {}
    for path in recordings:
        voice = target / f"{path.stem}.safetensors"
        if other := next((other for other, its in files.items() if its == voice), None):
            raise VoiceError(f"{other.name} and {path.name} would both become {voice}: rename one of them")
        files[path] = voice
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VoiceError(f"can't make the folder {target} ({error.strerror}): give another") from None
    _check_place(voice)
    return files


def _check_place(output: str | Path) -> None:
    from ..storage.files import cannot_write, check_place

    try:
        check_place(output)
    except OSError as error:
        raise VoiceError(cannot_write(output, error)) from None


def _export_all(model: "TTSModel", files: dict[Path, Path], quiet: bool) -> None:
    """Export each recording. One that fails does not stop the others."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # it shows no bar where that is turned off
    from tqdm.contrib.logging import logging_redirect_tqdm

    failed = 0
    hidden = True if quiet else None  # None: unless it is a terminal
    bar = tqdm(files.items(), unit=" voices", disable=hidden)  # type: ignore[no-untyped-call]
    with bar, logging_redirect_tqdm(tqdm_class=tqdm):  # warnings go above the bar
        for recording, voice in bar:
            bar.set_description(recording.name[-40:], refresh=False)
            try:
                model.get_voice_state(recording).save(voice)
            except PocketTTSError as error:
                failed += 1
                bar.clear()
                print_message(f"pockettts: {error}")
    if failed:
        raise VoiceError(
            f"{failed} of {len(files)} recordings could not be converted; the other voices are in {voice.parent}"
        )
    if not quiet:
        print_message(f"{voice.parent}: {len(files)} voices for {model.config.name}")
