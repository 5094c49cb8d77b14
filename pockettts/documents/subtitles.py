"""Read subtitles, SubRip (.srt) and WebVTT (.vtt)."""

import re
from dataclasses import dataclass

from ..errors import TextError

MAX_HOURS = 24
TIMES = re.compile(r"(?m)^\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}).*$")
SPEAKER = re.compile(r"<v(?:\.[\w.-]+)*\s+([^>\n]{1,80})>")


@dataclass(frozen=True)
class Cue:
    """A text with its start and end in seconds. speaker: the name in WebVTT's <v NAME>; "": unknown."""

    start: float
    end: float
    text: str
    speaker: str = ""


def is_subtitles(text: str) -> bool:
    """Whether a text is subtitles, by the first line of WebVTT or the first times of SubRip."""
    return text.startswith("WEBVTT") or re.match(r"\s*\d+\s*\n\s*\d+:\d{2}:\d{2}[,.]\d{1,3}\s*-->", text) is not None


def read_cues(text: str, name: str) -> list[Cue]:
    """The cues that have text, sorted by start. name: the file, for messages. Raises TextError if there are none."""
    from html import unescape  # a slow import that few texts need

    text = text.replace("\r\n", "\n").replace("\r", "\n")
    marks = list(TIMES.finditer(text))
    cues = []
    for mark, following in zip(marks, [*marks[1:], None], strict=False):
        body = text[mark.end() : following.start() if following else len(text)]
        lines = re.split(r"\n[ \t]*\n", body.strip("\n"), maxsplit=1)[0]
        spoken = " ".join(unescape(re.sub(r"<[^>]*>|\{\\[^}]*\}", "", lines)).split())
        if spoken:
            speaker = SPEAKER.search(lines)
            cues.append(Cue(_seconds(mark[1]), _seconds(mark[2]), spoken, speaker[1].strip() if speaker else ""))
    if not cues:
        raise TextError(f"{name} has no subtitles with text: check the file")
    cues.sort(key=lambda cue: cue.start)
    if cues[-1].start > MAX_HOURS * 3600:
        raise TextError(
            f"{name} has a text after {cues[-1].start / 3600:.0f} hours: at most {MAX_HOURS} hours are spoken"
        )
    return cues


def _seconds(clock: str) -> float:
    """ "1:02:03,5" -> seconds."""
    *rest, seconds = clock.replace(",", ".").split(":")
    minutes = sum(int(part) * 60**power for power, part in enumerate(reversed(rest)))
    return float(60 * minutes + float(seconds))
