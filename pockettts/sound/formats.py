"""The table of sound formats, for files, stdout, HTTP, and all texts that list them."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ..errors import AudioError


@dataclass(frozen=True)
class Format:
    """An output format.

    Attributes:
        name: the `response_format` over HTTP, and the name in messages.
        extensions: file extensions with the dot, in lower case; the first is the usual one. Empty: not a file format.
        media_type: the media type over HTTP.
        writer: the encoder: "pcm" (this package), "sndfile" (libsndfile) or "av" (PyAV).
        container, codec: their names in the encoder's library.
        stream_options: more arguments of the encoder for a stream.
        bit_rate: bits per second, for encoders that take one.
        is_served: whether HTTP offers it: it can be played as a stream.
        extra: the optional dependencies that it needs, as in `pip install 'pockettts[av]'`.
    """

    name: str
    extensions: tuple[str, ...]
    media_type: str
    writer: Literal["pcm", "sndfile", "av"]
    container: str = ""
    codec: str = ""
    stream_options: dict[str, str | float] = field(default_factory=dict, compare=False)
    bit_rate: int = 0
    is_served: bool = True
    extra: str | None = None

    @property
    def suffix(self) -> str:
        return self.extensions[0] if self.extensions else ""

    def is_available(self) -> bool:
        """Whether its extra is installed."""
        return self.extra is None or has_extra(self.extra)

    def check(self) -> "Format":
        """The format itself. Raises AudioError if its extra is not installed."""
        if not self.is_available():
            raise AudioError(f"{self.name} needs the extra {self.extra}: pip install 'pockettts[{self.extra}]'")
        return self


# An MP3 stream has a constant bit rate, level 0.5: 80 kbit/s at 24 kHz. With a variable one, players need a table at the start for
# the length, and it is only known at the end. An opus stream is Ogg Opus, like OpenAI's. AAC at 64 kbit/s is transparent for a mono
# voice at 24 kHz.
_CONSTANT: dict[str, str | float] = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("wav", (".wav", ".wave"), "audio/wav", "pcm"),
        Format("flac", (".flac",), "audio/flac", "sndfile", "FLAC", "PCM_16"),
        Format("mp3", (".mp3",), "audio/mpeg", "sndfile", "MP3", "MPEG_LAYER_III", _CONSTANT),
        Format("opus", (".opus",), "audio/ogg", "sndfile", "OGG", "OPUS"),
        Format("ogg", (".ogg", ".oga"), "audio/ogg", "sndfile", "OGG", "VORBIS", is_served=False),
        Format("aac", (".aac",), "audio/aac", "av", "adts", "aac", bit_rate=64_000, extra="av"),
        Format("m4a", (".m4a",), "audio/mp4", "av", "ipod", "aac", bit_rate=64_000, extra="av"),
        Format("m4b", (".m4b",), "audio/mp4", "av", "ipod", "aac", bit_rate=64_000, is_served=False, extra="av"),
        Format("pcm", (), "audio/pcm", "pcm"),
    )
}
SERVED: dict[str, Format] = {name: form for name, form in FORMATS.items() if form.is_served}

# Extensions of recordings in a voice folder. How a file is read depends on its content, not on its name.
READ_BY_SNDFILE = (
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64",
)  # fmt: skip
READ_BY_AV = (".aac", ".m4a", ".m4b", ".mp4", ".webm", ".mka", ".mkv", ".mov", ".wma", ".amr", ".3gp")
RECORDINGS = READ_BY_SNDFILE + READ_BY_AV


def has_extra(extra: str) -> bool:
    """Whether the optional dependencies "av" or "tags" are installed."""
    return find_spec({"av": "av", "tags": "mutagen"}[extra]) is not None


def extensions() -> list[str]:
    """The usual extension of each file format."""
    return [form.suffix for form in FORMATS.values() if form.extensions]


def names(conjunction: str = "or") -> str:
    """The file formats as a phrase: "wav, mp3 or flac"."""
    *others, last = (suffix[1:] for suffix in extensions())
    return f"{', '.join(others)} {conjunction} {last}"


def of_path(path: str | Path) -> Format:
    """The format of a file, by its extension in upper or lower case.

    Raises:
        AudioError: the extension is unknown, or the format's extra is not installed.
    """
    suffix = Path(path).suffix.lower()
    for form in FORMATS.values():
        if suffix in form.extensions:
            return form.check()
    raise AudioError(f"can't tell the format of {path} from its extension: use one of {', '.join(extensions())}")
