"""The catalog of voices, and the file for a voice's name, path or address."""

import os
from pathlib import Path

from ..config.parse import join_with_or, show, similar_names
from ..config.schema import Config
from ..errors import VoiceError
from ..storage import hub

# The catalog: each voice with its source recording. Source: pocket_tts/utils/utils.py.
ORIGINS = {
    "alba": "hf://kyutai/tts-voices/alba-mackenna/casual.wav",
    "anna": "hf://kyutai/tts-voices/vctk/p228_023_enhanced.wav",
    "azelma": "hf://kyutai/tts-voices/vctk/p303_023_enhanced.wav",
    "bill_boerst": "hf://kyutai/tts-voices/voice-zero/bill_boerst.wav",
    "caro_davy": "hf://kyutai/tts-voices/voice-zero/caro_davy.wav",
    "charles": "hf://kyutai/tts-voices/vctk/p254_023_enhanced.wav",
    "cosette": "hf://kyutai/tts-voices/expresso/ex04-ex02_confused_001_channel1_499s.wav",
    "daan": "hf://kyutai/pocket-tts/cml_tts_nl_11290_9412_000030_0001.flac@2dd944b099d06bb9edbd221fef138685711d9bf0",
    "eponine": "hf://kyutai/tts-voices/vctk/p262_023_enhanced.wav",
    "estelle": "hf://kyutai/tts-voices/unmute-prod-website/developpeuse-3.wav@1fc7395b7e012e2bbebfca14b942a4ef62ccc899",
    "eve": "hf://kyutai/tts-voices/vctk/p361_023_enhanced.wav",
    "fantine": "hf://kyutai/tts-voices/vctk/p244_023_enhanced.wav",
    "george": "hf://kyutai/tts-voices/vctk/p315_023_enhanced.wav",
    "giovanni": "hf://kyutai/pocket-tts/common_voice_it_36520747-enhanced-v2.mp3@64ab7d24c479d736a83b8cc666c4a776fca30fda",
    "jane": "hf://kyutai/tts-voices/vctk/p339_023_enhanced.wav",
    "javert": "hf://kyutai/tts-voices/voice-donations/Butter.wav",
    "jean": "hf://kyutai/tts-voices/ears/p010/freeform_speech_01_enhanced.wav",
    "juergen": "hf://kyutai/pocket-tts/de-DE-juergen.mp3@64ab7d24c479d736a83b8cc666c4a776fca30fda",
    "lola": "hf://kyutai/pocket-tts/common_voice_es_19762977-enhanced-v2.mp3@64ab7d24c479d736a83b8cc666c4a776fca30fda",
    "marius": "hf://kyutai/tts-voices/voice-donations/Selfie.wav",
    "mary": "hf://kyutai/tts-voices/vctk/p333_023_enhanced.wav",
    "michael": "hf://kyutai/tts-voices/vctk/p360_023_enhanced.wav",
    "paul": "hf://kyutai/tts-voices/vctk/p259_023_enhanced.wav",
    "peter_yearsley": "hf://kyutai/tts-voices/voice-zero/peter_yearsley.wav",
    "rafael": "hf://kyutai/pocket-tts/g-Vi8PgmSY0-enhanced-v2.wav@64ab7d24c479d736a83b8cc666c4a776fca30fda",
    "stuart_bell": "hf://kyutai/tts-voices/voice-zero/stuart_bell.wav",
    "vera": "hf://kyutai/tts-voices/vctk/p229_023_enhanced.wav",
}


def names(config: Config) -> list[str]:
    """The names of a model's voices."""
    return config.voice_names or list(ORIGINS)


def default_voice(config: Config) -> str:
    """The voice to use if none is given: the config's default, or else the model's first voice."""
    return config.default_voice or names(config)[0]


def gated_page(config: Config) -> str:
    """The web page for accepting the terms of a model's weights for voice cloning."""
    owner, repository = str(config.weights_path).removeprefix("hf://").split("/")[:2]
    return f"https://huggingface.co/{owner}/{repository}"


def source(name: str, config: Config) -> str:
    """The address or path of a voice of `names`."""
    return config.voices_path.replace("{voice}", name) if config.voices_path else ORIGINS[name]


def find(voice: str | Path, config: Config) -> Path:
    """The file of a voice, downloaded if necessary: a .safetensors file or a recording.

    Raises:
        VoiceError: as in `locate`.
        DownloadError: as in `hub.local_path`.
    """
    place = locate(voice, config)
    return Path(place) if os.path.isfile(place) else hub.local_path(place)


def locate(voice: str | Path, config: Config) -> str | Path:
    """The path or address of a voice. Nothing is downloaded.

    Args:
        voice: a name of the catalog, a path, or an address, `hf://` or `https://`.
        config: the model. If it has no voice states of its own, a name stands for the source recording.

    Raises:
        VoiceError: the voice is unknown, or there is no such file.
    """
    text, known = str(voice), names(config)
    if voice in known:
        return source(text, config)
    if "://" in text or os.path.isfile(text):
        return voice
    if os.path.exists(text):
        raise VoiceError(
            f"{text} is not a file: give a sound file, a .safetensors file, or a voice of `pockettts voices`"
        )
    if isinstance(voice, Path) or os.path.basename(text) != text or os.path.splitext(text)[1]:
        raise VoiceError(f"{text} does not exist: check the path, or use a voice of `pockettts voices`")
    similar = similar_names(text.lower(), known)
    advice = "`pockettts voices` lists them; or give a sound file"
    if similar or not config.voice_cloning:  # without cloning, a sound file does not help
        advice = (
            f"did you mean {join_with_or(similar)}?" if similar else f"take {join_with_or(known)}, or another model"
        )
    raise VoiceError(f"{config.name} has no voice called {show(text)}; {advice}")
