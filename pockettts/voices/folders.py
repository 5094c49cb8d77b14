"""Own voices: the recordings and voice states in a folder. A voice's name is its file name without the extension.

    DIR/me.wav                the owner's voice `me`
    DIR/uploads/guest.mp3     a voice that a client of the server added and may remove

Each look-up reads the folder, so files can be added and removed while a server runs.
"""

import os
import re
import sys
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from ..config.parse import show
from ..errors import VoiceError
from ..sound.formats import RECORDINGS
from ..storage.files import cannot_write, whole_file

VARIABLE = "POCKETTTS_VOICES"  # an environment variable: the user's folder
UPLOADS = "uploads"  # the subfolder that marks a voice as uploaded
STATE = ".safetensors"
MAX_NAME = 64  # characters
MAX_NAME_BYTES = 200  # in UTF-8; file systems allow 255 with the extension

_FORBIDDEN = re.compile(r"[/\\:*?\"<>|%]")  # in file names, on some systems; % is ambiguous in URLs
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[1-9])(\..*)?", re.IGNORECASE)  # not file names on Windows


@dataclass(frozen=True)
class OwnVoice:
    """A voice in a folder. `version` changes when the file changes; `size` is in bytes."""

    name: str
    path: Path
    uploaded: bool
    version: tuple[int, int, int]
    size: int


class NameTaken(VoiceError):
    """A voice of this name exists already."""


class FolderFull(VoiceError):
    """The limit of uploaded voices in a folder is reached."""


def user_folder() -> Path:
    """The folder of the user's own voices: POCKETTTS_VOICES, or a folder in the user's data folder. It may not exist yet."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    if sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "pockettts" / "voices"


def check_name(name: str) -> str:
    """The name of a voice, normalized to NFC. Raises VoiceError if it is not a valid file name on every system."""
    name = unicodedata.normalize("NFC", name)
    fits = 0 < len(name) <= MAX_NAME and name.isprintable() and len(name.encode()) <= MAX_NAME_BYTES
    if not fits or _FORBIDDEN.search(name) or _DEVICES.fullmatch(name) or name[0] in ". " or name[-1] in ". ":
        raise VoiceError(
            f"{show(name)} can't be the name of a voice: give 1 to {MAX_NAME} letters, digits, spaces or any of - _ . ( )"
        )
    return name


def is_state(data: bytes) -> bool:
    """Whether the data is a .safetensors file: it starts with the length of the header, then JSON. No sound file does."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data)


class VoiceFolder:
    """The voices of one folder. Thread-safe.

    Args:
        path: the folder; None: the user's own.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = user_folder() if path is None else Path(path)
        self._changes = threading.Lock()

    def voices(self) -> dict[str, OwnVoice]:
        """The voices by name, in alphabetical order. If files share a name, the owner's files come first, then voice states."""
        found: dict[str, OwnVoice] = {}
        for folder, uploaded in ((self.path, False), (self.path / UPLOADS, True)):
            for path, status in _files(folder):
                name = unicodedata.normalize("NFC", path.stem)
                version = (status.st_mtime_ns, status.st_size, status.st_ino)
                found.setdefault(name, OwnVoice(name, path, uploaded, version, status.st_size))
        return dict(sorted(found.items()))

    def find(self, name: str) -> OwnVoice | None:
        """The voice of this name; None if there is none."""
        return self.voices().get(unicodedata.normalize("NFC", name))

    def add(self, name: str, data: bytes, suffix: str, replace: bool = False) -> OwnVoice:
        """Add an owner's voice.

        Args:
            name: a name that `check_name` allows.
            data: the content of a recording or a voice state.
            suffix: the file extension: STATE or one of RECORDINGS.
            replace: replace an existing owner's voice of this name.

        Raises:
            NameTaken: the voice exists, and `replace` is not set or the voice was uploaded.
            VoiceError: the name is not allowed, or the file can't be written.
        """
        with self._changes:
            name = check_name(name)
            taken = self._of_name(name)
            if taken and not (replace and not taken.uploaded):
                raise NameTaken(f"there is a voice {show(taken.name)} already: remove it first, or choose another name")
            voice = self._write(self.path, name, data, suffix)
            if taken and taken.path != voice:
                taken.path.unlink(missing_ok=True)
            return self.voices()[name]

    def upload(self, name: str, data: bytes, suffix: str, max_voices: int, max_bytes: int) -> OwnVoice:
        """Add an uploaded voice.

        Args:
            name, data, suffix: as in `add`.
            max_voices: the largest number of uploaded voices.
            max_bytes: the largest total size of uploaded voices.

        Raises:
            NameTaken, VoiceError: as in `add`.
            FolderFull: a limit would be exceeded.
        """
        with self._changes:
            name = check_name(name)
            voices = self.voices()
            if taken := self._of_name(name):
                raise NameTaken(f"there is a voice {show(taken.name)} already: choose another name")
            uploaded = [voice for voice in voices.values() if voice.uploaded]
            if len(uploaded) >= max_voices:
                raise FolderFull(
                    f"there are {len(uploaded)} uploaded voices, as many as this server keeps: remove one first"
                )
            if sum(voice.size for voice in uploaded) + len(data) > max_bytes:
                raise FolderFull(f"the uploaded voices would take more than {max_bytes >> 20} MB: remove one first")
            self._write(self.path / UPLOADS, name, data, suffix)
            return self.voices()[name]

    def remove(self, name: str, uploaded: bool) -> bool:
        """Remove an uploaded voice or an owner's voice. Returns whether it existed. Raises VoiceError if it can't be removed."""
        with self._changes:
            voice = self.find(name)
            if voice is None or voice.uploaded != uploaded:
                return False
            try:
                voice.path.unlink(missing_ok=True)
            except OSError as error:
                raise VoiceError(f"can't remove {voice.path} ({error.strerror or error})") from None
            return True

    def _of_name(self, name: str) -> OwnVoice | None:
        """The voice of this name, ignoring case, as some file systems do."""
        return next((voice for own, voice in self.voices().items() if own.casefold() == name.casefold()), None)

    def _write(self, folder: Path, name: str, data: bytes, suffix: str) -> Path:
        path = folder / (name + suffix)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            raise VoiceError(cannot_write(path, error)) from None
        return path


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """The voice files of a folder, voice states first. A missing folder has none."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                suffix = os.path.splitext(entry.name)[1].lower()
                if not entry.name.startswith(".") and (suffix == STATE or suffix in RECORDINGS) and entry.is_file():
                    found.append((suffix != STATE, entry.name, entry.stat()))
    except OSError:  # the folder has been removed since, or can't be read
        pass
    return [(folder / name, status) for _, name, status in sorted(found, key=lambda file: file[:2])]
