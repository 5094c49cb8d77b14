"""Tags of sound files: title, author, cover and chapters, in the representation of each format.

| format         | tags                     | cover                      | chapters                       |
| -------------- | ------------------------ | -------------------------- | ------------------------------ |
| mp3            | ID3v2.3                  | APIC                       | CHAP and CTOC                  |
| m4a, m4b       | iTunes atoms             | covr                       | chapter track (see `encode`)   |
| flac, ogg, opus| Vorbis comments          | METADATA_BLOCK_PICTURE     | CHAPTER001, CHAPTER001NAME ... |
| wav            | LIST INFO (see `encode`) | none                       | none                           |
| aac, pcm       | none                     | none                       | none                           |

All formats except WAV need mutagen (`pip install 'pockettts[tags]'`).
"""

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from .formats import Format, has_extra

_COVERS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}  # first bytes -> media type
_MAX_COVER = 8 << 20  # bytes; a FLAC picture can have 16 MB, and players load it whole
_FRONT_COVER = 3  # the picture type "cover (front)" of ID3 and FLAC
_MAX_CHAPTERS = 255  # limit of an ID3 table of contents


class Chapter(NamedTuple):
    """A chapter: its title, and where it starts and ends in the file, in seconds."""

    title: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The tags of a sound file. Empty fields, and those that a format does not support, are left out.

        tags = Tags(title="Emma", author="Jane Austen", language="en", cover=jpeg, chapters=[Chapter("1", 0.0, 61.5)])
        with Writer("emma.m4b", 24_000, tags=tags) as file: ...

    Attributes:
        title: title of the book, or of the chapter if each has its own file.
        author: author of the book, or artist of music.
        album: title of the book if the file is one chapter. Empty: the same as `title`.
        language: BCP 47, such as "en" or "pt-BR".
        track, tracks: the number of this file, and the number of files; 0: unknown.
        cover: a JPEG or PNG image; `check_cover` rejects others.
        chapters: in order, in seconds of the finished file.
    """

    title: str = ""
    author: str = ""
    album: str = ""
    language: str = ""
    track: int = 0
    tracks: int = 0
    cover: bytes = b""
    chapters: Sequence[Chapter] = ()

    @property
    def cover_type(self) -> str:
        """The media type of the cover: "image/jpeg", "image/png", or "" if it is neither."""
        return next((kind for start, kind in _COVERS.items() if self.cover.startswith(start)), "")

    def replace(self, **fields: Any) -> "Tags":
        """A copy with these fields changed."""
        return replace(self, **fields)

    def __bool__(self) -> bool:
        return any(vars(self).values())


def check_cover(cover: bytes) -> str | None:
    """The reason in one line if an image can't be a cover; None if it can."""
    if not Tags(cover=cover).cover_type:
        return "the cover is not a JPEG or PNG image"
    if len(cover) > _MAX_COVER:
        return f"the cover has {len(cover) >> 20} MB: make it smaller than {_MAX_COVER >> 20} MB"
    return None


def missing_extra(form: Format, tags: Tags) -> str | None:
    """A message in one line if tags of this format need an extra that is not installed; else None."""
    if not tags or form.name not in _WRITERS:
        return None
    if not has_extra("tags"):
        return f"tags of {form.name} files need the extra tags: pip install 'pockettts[tags]'"
    return None


def write_tags(path: str | Path, form: Format, tags: Tags) -> None:
    """Add tags to a finished file. Without mutagen, and in formats without tags, the file does not change.

    Raises OSError if the file can't be written.
    """
    if not tags or form.name not in _WRITERS or missing_extra(form, tags):
        return
    import mutagen

    try:
        _WRITERS[form.name](str(path), tags)
    except mutagen.MutagenError as error:  # it hides the OSError
        cause = error.args[0] if error.args and isinstance(error.args[0], OSError) else error.__cause__
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from None


def _mp3(path: str, tags: Tags) -> None:
    from mutagen import id3

    frames = id3.ID3()
    if tags.title:
        frames.add(id3.TIT2(encoding=3, text=tags.title))
    if tags.author:
        frames.add(id3.TPE1(encoding=3, text=tags.author))
    if tags.album or tags.title:
        frames.add(id3.TALB(encoding=3, text=tags.album or tags.title))
    if tags.language:
        frames.add(id3.TLAN(encoding=3, text=iso_639_2(tags.language)))
    if tags.track:
        frames.add(id3.TRCK(encoding=3, text=_track(tags)))
    if tags.cover_type:
        frames.add(id3.APIC(encoding=0, mime=tags.cover_type, type=_FRONT_COVER, desc="", data=tags.cover))
    # Players list chapters in the order of their frames. mutagen sorts frames by size, then by name, so all get the same size.
    widths = [len(chapter.title.encode("utf-16-le")) for chapter in tags.chapters]
    names = [f"ch{number:05}".ljust(7 + max(widths) - width, "-") for number, width in enumerate(widths)]
    for name, chapter in zip(names, tags.chapters, strict=True):
        title = id3.TIT2(encoding=3, text=chapter.title)
        frames.add(
            id3.CHAP(
                element_id=name,
                start_time=round(chapter.start * 1000),
                end_time=round(chapter.end * 1000),
                start_offset=0xFFFFFFFF,  # not given
                end_offset=0xFFFFFFFF,
                sub_frames=[title],
            )
        )
    if names:
        flags = id3.CTOCFlags.TOP_LEVEL | id3.CTOCFlags.ORDERED
        frames.add(id3.CTOC(element_id="toc", flags=flags, child_element_ids=names[:_MAX_CHAPTERS], sub_frames=[]))
    frames.save(path, v2_version=3, v1=0)  # 2.3 is what every player reads


def _mp4(path: str, tags: Tags) -> None:
    from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm

    file = MP4(path)
    for atom, text in (("\xa9nam", tags.title), ("\xa9ART", tags.author), ("\xa9alb", tags.album or tags.title)):
        if text:
            file[atom] = [text]
    if tags.author:
        file["aART"] = [tags.author]
    if tags.language:
        file["----:com.apple.iTunes:LANGUAGE"] = [MP4FreeForm(tags.language.encode(), AtomDataType.UTF8)]
    if tags.track:
        file["trkn"] = [(tags.track, tags.tracks)]
    if tags.cover_type:
        kind = MP4Cover.FORMAT_PNG if tags.cover_type == "image/png" else MP4Cover.FORMAT_JPEG
        file["covr"] = [MP4Cover(tags.cover, kind)]
    if path.lower().endswith(".m4b"):
        file["stik"] = [2]  # an audiobook
    file.save()


def _flac(path: str, tags: Tags) -> None:
    from mutagen.flac import FLAC

    file = FLAC(path)
    for key, text in _comments(tags):
        file[key] = text
    if tags.cover_type:
        file.add_picture(_picture(tags))
    file.save()


def _ogg(path: str, tags: Tags) -> None:
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    with open(path, "rb") as raw:
        kind = OggOpus if b"OpusHead" in raw.read(64) else OggVorbis
    file = kind(path)
    for key, text in _comments(tags):
        file[key] = text
    if tags.cover_type:
        file["METADATA_BLOCK_PICTURE"] = base64.b64encode(_picture(tags).write()).decode("ascii")
    file.save()


_WRITERS = {"mp3": _mp3, "m4a": _mp4, "m4b": _mp4, "flac": _flac, "ogg": _ogg, "opus": _ogg}


def _comments(tags: Tags) -> list[tuple[str, str]]:
    """Vorbis comments. Chapters as in the Ogg chapter extension: CHAPTER001=00:01:02.500, CHAPTER001NAME=title."""
    pairs = [("TITLE", tags.title), ("ARTIST", tags.author), ("ALBUM", tags.album or tags.title)]
    pairs += [("LANGUAGE", tags.language), ("TRACKNUMBER", str(tags.track or ""))]
    pairs += [("TRACKTOTAL", str(tags.tracks or ""))]
    for number, chapter in enumerate(tags.chapters):
        milliseconds = round(chapter.start * 1000)
        minutes, rest = divmod(milliseconds, 60_000)
        time = f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
        pairs += [(f"CHAPTER{number:03}", time), (f"CHAPTER{number:03}NAME", chapter.title)]
    return [(key, text) for key, text in pairs if text]


def _picture(tags: Tags) -> Any:
    from mutagen.flac import Picture

    picture = Picture()
    picture.type, picture.mime, picture.data = _FRONT_COVER, tags.cover_type, tags.cover
    return picture


def _track(tags: Tags) -> str:
    return f"{tags.track}/{tags.tracks}" if tags.tracks else str(tags.track)


def iso_639_2(language: str) -> str:
    """The three-letter code of a language that the models speak; other codes are returned as given."""
    code = language.lower().partition("-")[0]
    return _LANGUAGES.get(code, code)


_LANGUAGES = {"en": "eng", "fr": "fra", "de": "deu", "it": "ita", "es": "spa", "pt": "por", "nl": "nld"}


def list_info(tags: Tags) -> bytes:
    """A LIST INFO chunk of a WAV file; empty if there are no tags for it."""
    fields = ((b"INAM", tags.title), (b"IART", tags.author), (b"IPRD", tags.album or tags.title),
              (b"ILNG", tags.language), (b"IPRT", _track(tags) if tags.track else ""))  # fmt: skip
    body = b""
    for name, text in fields:
        if text:
            data = text.encode() + b"\0"
            body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"LIST" + struct.pack("<I", len(body) + 4) + b"INFO" + body if body else b""
