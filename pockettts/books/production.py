"""From jobs to sound files. A backend speaks the chunks; the results are written, tagged, and recorded for `--resume`.

    jobs --plan--> pieces --Backend--> Spoken --Production--> files

The pieces of all jobs form one stream, so a cluster does not idle at the end of a file.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..documents.reader import Document
from ..errors import PocketTTSError
from ..sound.encode import from_pcm16, pcm16
from ..sound.files import Writer
from ..sound.formats import of_path
from ..sound.stretch import Stretcher
from ..sound.tags import Chapter as Mark, Tags
from ..words.alignment import Word
from .plan import Job, Piece, Split, Track, pieces, tracks, with_chapters
from .resume import Note, ResumeState
from .speaker import Backend, Order, Spoken

MAX_CUE_SPEED = 1.5  # the largest factor by which a subtitle is sped up to end before the next begins
MAX_SILENCE = 60  # seconds of silence to write at once
MIN_CHAPTER = 0.05  # seconds; a shorter chapter gets no mark

logger = logging.getLogger("pockettts")


@dataclass
class Work:
    """A job in progress.

    Attributes:
        document: has only the selected chapters.
        state: the progress, for `--resume`.
        failed: the error that ended the job.
        samples: the number of samples of all its files in this run.
    """

    job: Job
    document: Document
    tracks: list[Track]
    state: ResumeState
    failed: PocketTTSError | None = None
    samples: int = 0
    words: list[Word] = field(default_factory=list)

    @property
    def characters(self) -> int:
        return sum(len(chapter.text) for track in self.tracks for chapter in track.chapters)

    @property
    def word_count(self) -> int:
        return sum(len(chapter.text.split()) for track in self.tracks for chapter in track.chapters)


class Observer(Protocol):
    """Is notified of the progress."""

    def begin(self, work: Work) -> None: ...
    def piece(self, work: Work, track: int, piece: Piece, seconds: float, spent: float) -> None: ...
    def chapter(self, work: Work, track: int, part: int) -> None: ...
    def end(self, work: Work, interrupted: bool) -> None: ...


@dataclass(frozen=True)
class Settings:
    """Settings that all jobs share.

    Attributes:
        split: splits a text into chunks and pauses.
        is_voice: whether there is a voice of this name.
        check: raises TextError for a text that can't be spoken.
        facts: returns the facts of a job and its texts: the values that must be the same to `--resume` it. The seed may be None.
        writer: the arguments `loudness` and `volume` of `Writer`.
        live: an output that gets the sound immediately, such as a `Player`.
        with_marks: `[voice:NAME]` changes the voice.
    """

    sample_rate: int
    split: Split
    is_voice: Callable[[str], bool]
    check: Callable[[str], None]
    facts: Callable[[Job, list[str]], dict[str, Any]]
    writer: dict[str, Any] = field(default_factory=dict)
    live: Any = None
    with_marks: bool = True


# The items that pass through a backend: the work, the index of the track, and the piece. A piece None is the end of a track, a track -1 the
# end of a job. A job that could not begin comes with its error.
Item = tuple[Work | Job, int, Piece | None | PocketTTSError]


class Production:
    """Make the files of jobs, in order.

    Args:
        backend: speaks the chunks.
        resume: continue interrupted jobs. A job is finished if it has outputs but no journal (see resume.py).
        skip_finished: with `resume`, skip finished jobs. Otherwise a job without a journal is an error.
    """

    def __init__(
        self,
        backend: Backend,
        settings: Settings,
        observer: Observer,
        *,
        resume: bool = False,
        skip_finished: bool = False,
    ) -> None:
        self.backend, self.settings, self.observer = backend, settings, observer
        self.resume, self.skip_finished = resume, skip_finished
        self.failures: list[tuple[Job, PocketTTSError]] = []
        self._output: _Output | None = None
        self._begun: Work | None = None

    def run(self, jobs: Iterable[Job]) -> list[tuple[Job, PocketTTSError]]:
        """Run the jobs, and return those that failed with their errors. A failed job does not stop the others.

        Raises KeyboardInterrupt after Ctrl-C, when the finished chunks are in their file.
        """
        try:
            for item, spoken in self.backend.speak(self._items(jobs)):
                self._handle(item, spoken)
        except KeyboardInterrupt:
            self._interrupt()
            raise
        except BaseException:
            self._abandon()
            raise
        return self.failures

    # --- input: items in order ---------------------------------------------------------------------------------------------

    def _items(self, jobs: Iterable[Job]) -> Iterator[tuple[Item, Order | None]]:
        for job in jobs:
            try:
                work = self._open(job)
            except PocketTTSError as error:
                yield (job, -1, error), None
                continue
            if work is None:
                continue
            try:
                yield from self._orders(work)
                yield (work, -1, None), None
            except PocketTTSError as error:  # a text that can't be split
                yield (work, -1, error), None

    def _open(self, job: Job) -> Work | None:
        """Open a job. Returns None if an earlier run finished it."""
        import secrets

        whole = job.read()
        document = with_chapters(whole, job.chapters)
        files = tracks(job, document, len(whole.chapters))
        texts = [text for track in files for text in _texts(track)]
        for text in texts:
            self.settings.check(text)
        state = ResumeState(job.output, self.settings.facts(job, texts))
        if self.resume and self.skip_finished and not state.path.exists():
            if all(os.path.exists(track.path) for track in files):
                logger.info("%s exists already: it is skipped", job.output)
                return None
        elif self.resume:
            state.reopen()
        elif state.path.exists():
            logger.warning(
                "%s of an earlier run exists, and --resume would continue it; this run begins anew and replaces it",
                state.path,
                extra={"at_once": True},
            )
        if state.facts["seed"] is None:
            state.facts["seed"] = secrets.randbits(64)
        return Work(job, document, files, state)

    def _orders(self, work: Work) -> Iterator[tuple[Item, Order | None]]:
        first, done = work.state.chapter, work.state.chunks
        for number in range(first, len(work.tracks)):
            track = work.tracks[number]
            for piece in pieces(
                track, self.settings.split, work.job.voice, self.settings.is_voice if self.settings.with_marks else None
            ):
                if work.failed:
                    return
                if number == first and piece.number < done:
                    continue
                seed = work.state.facts["seed"]
                order = Order(piece.chunk, piece.number, piece.voice, seed) if piece.chunk else None
                yield (work, number, piece), order
            yield (work, number, None), None

    # --- output: results in order ----------------------------------------------------------------------------------------------------

    def _handle(self, item: Item, spoken: Spoken | PocketTTSError | None) -> None:
        work, number, piece = item
        if isinstance(work, Job):
            assert isinstance(piece, PocketTTSError)
            self.failures.append((work, piece))
            return
        if work.failed:
            if number < 0:
                self._end(work)
            return
        try:
            if isinstance(piece, PocketTTSError) or isinstance(spoken, PocketTTSError):
                raise piece if isinstance(piece, PocketTTSError) else spoken  # type: ignore[misc]
            if self._begun is not work:
                self._begun = work
                self.observer.begin(work)
            if number < 0:
                self._end(work)
            elif piece is None:
                self._close(work, number)
            else:
                self._write(work, number, piece, spoken)
        except PocketTTSError as error:
            work.failed = error
            self.failures.append((work.job, error))
            self._abandon()
            if number < 0:
                self._end(work)

    def _write(self, work: Work, number: int, piece: Piece, spoken: Spoken | None) -> None:
        for message in spoken.messages if spoken else ():
            logger.warning("%s", message)
        before = work.samples
        self._opened(work, number).add(piece, spoken)
        seconds = (work.samples - before) / self.settings.sample_rate
        self.observer.piece(work, number, piece, seconds, spoken.work if spoken else 0.0)

    def _opened(self, work: Work, number: int) -> "_Output":
        """The open file; it is opened for its first piece."""
        if self._output is None:
            self._output = _Output(work, number, self.settings, self.observer)
        return self._output

    def _close(self, work: Work, number: int) -> None:
        """Finish a file."""
        output = self._opened(work, number)
        output.finish()
        self._output = None
        work.state.next_chapter()

    def _end(self, work: Work) -> None:
        work.state.close(finished=work.failed is None)
        self.observer.end(work, work.failed is not None)
        self._begun = None

    def _interrupt(self) -> None:
        """After Ctrl-C: finish the file with the chunks so far, if there is at least one."""
        output, self._output = self._output, None
        if output is not None:
            if output.work.state.chunks:
                output.finish(is_whole=False)
            else:
                output.abandon()
        if self._begun is not None:
            self._begun.state.close(finished=False)
            self.observer.end(self._begun, True)

    def _abandon(self) -> None:
        """Discard the open file. The journal is kept."""
        output, self._output = self._output, None
        if output is not None:
            output.abandon()
            if output.work.failed is None:  # the run is over
                output.work.state.close(finished=False)
                self.observer.end(output.work, True)


class _Output:
    """An open sound file."""

    def __init__(self, work: Work, number: int, settings: Settings, observer: Observer) -> None:
        self.work, self.number, self.track = work, number, work.tracks[number]
        self.settings, self.observer = settings, observer
        self.samples, self.part = 0, -1
        self._stack = ExitStack()
        self._speech: list[Spoken] = []  # of the current subtitle
        self._cue_pieces: list[Piece] = []
        form = of_path(self.track.path)
        self._writer = self._stack.enter_context(
            Writer(self.track.path, settings.sample_rate, tags=_tags(work, number), **settings.writer)
        )
        self._has_chapters = len(self.track.chapters) > 1 and form.name not in ("wav", "aac")
        self._starts: dict[int, int] = {}  # the first sample of each chapter
        for note, data in work.state.pieces():
            self._append(note, data)

    def add(self, piece: Piece, spoken: Spoken | None) -> None:
        """Write a piece, and record it in the journal."""
        if self.track.cues:
            if self._cue_pieces and piece.part != self._cue_pieces[0].part:
                self._end_cue()
            if spoken:
                self._cue_pieces.append(piece)
                self._speech.append(spoken)
            return
        silence = np.zeros(round(piece.silence * self.settings.sample_rate), np.float32)
        if piece.part != self.part and piece.chunk is not None:
            if self.part >= 0:
                self.observer.chapter(self.work, self.number, self.part)
            self.part = piece.part
        data = pcm16(silence) + (spoken.pcm if spoken else b"")
        for word in spoken.words if spoken else ():
            self._add_word(word, (self.samples + len(silence)) / self.settings.sample_rate)
        note = Note(piece.part, len(silence), piece.voice if piece.chunk else self._writer.speaker)
        if piece.chunk is not None:
            self._keep(note, data, piece.chunk.characters, 1)
        else:
            self._emit(note, data)

    def _end_cue(self) -> None:
        """Write the speech of the current subtitle at its time. It is sped up if it would end after the start of the next one."""
        rate = self.settings.sample_rate
        parts, self._cue_pieces = self._cue_pieces, []
        speech, self._speech = self._speech, []
        cue = self.track.cues[parts[0].part]
        following = self.track.cues[parts[0].part + 1] if parts[0].part + 1 < len(self.track.cues) else None
        blocks: list[np.ndarray] = []
        words: list[Word] = []  # in seconds since the cue, at the speed of the model
        for piece, spoken in zip(parts, speech, strict=True):
            pause = 0.0 if piece is parts[0] else piece.silence
            blocks.append(np.zeros(round(pause * rate), np.float32))
            before = sum(map(len, blocks)) / rate
            words += [replace(word, start=word.start + before, end=word.end + before) for word in spoken.words]
            blocks.append(from_pcm16(spoken.pcm))
        samples = np.concatenate(blocks)
        start = max(self.samples, round(cue.start * rate))
        room = round(following.start * rate) - start if following else len(samples)
        speed = min(MAX_CUE_SPEED, max(1.0, len(samples) / max(1, room)))
        if speed > 1:
            samples = _sped_up(samples, speed, rate)
        if len(samples) > room + rate // 10:
            late = (len(samples) - room) / rate
            logger.warning(
                "%.40r at %.1f s takes %.1f s more than there is: the next begins later", cue.text, cue.start, late
            )
        for word in words:
            self._add_word(replace(word, start=word.start / speed, end=word.end / speed), start / rate)
        voice = parts[0].voice
        while (missing := start - self.samples) > 0:
            lead = min(missing, MAX_SILENCE * rate)
            self._keep(Note(parts[0].part, lead, voice), bytes(2 * lead), 0, 0)
        characters = sum(piece.chunk.characters for piece in parts if piece.chunk)
        self._keep(Note(parts[0].part, 0, voice), pcm16(samples), characters, len(parts))

    def _keep(self, note: Note, data: bytes, characters: int, chunks: int) -> None:
        """Write new sound, and record it in the journal."""
        self._emit(note, data)
        self.work.state.add(data, characters, note, chunks)

    def _emit(self, note: Note, data: bytes) -> None:
        """Write new sound, and play it."""
        self._append(note, data)
        self.work.samples += len(data) // 2
        self._play(data)

    def _add_word(self, word: Word, offset: float) -> None:
        """Add a word whose times are relative to `offset`, in seconds."""
        self.work.words.append(replace(word, start=word.start + offset, end=word.end + offset))

    def _append(self, note: Note, data: bytes) -> None:
        """Write new or recorded sound to the file."""
        self._starts.setdefault(note.part, self.samples + note.lead)
        self._writer.speaker = note.voice
        self._writer.write(from_pcm16(data))
        self.samples += len(data) // 2

    def _play(self, data: bytes) -> None:
        if self.settings.live is not None:
            self.settings.live.write(from_pcm16(data))
            if hasattr(self.settings.live, "flush"):
                self.settings.live.flush()

    def finish(self, is_whole: bool = True) -> None:
        """Finish the file. is_whole: False after Ctrl-C; then an incomplete subtitle is dropped."""
        if self._cue_pieces and is_whole:
            self._end_cue()
        if self.part >= 0:
            self.observer.chapter(self.work, self.number, self.part)
        if self._has_chapters and self._starts:
            self._writer.tags = self._writer.tags.replace(chapters=self._marks())
        self._stack.close()

    def abandon(self) -> None:
        """Discard the file."""
        error = PocketTTSError("abandoned")
        self._stack.__exit__(type(error), error, None)

    def _marks(self) -> list[Mark]:
        """The chapter marks of the file. The first one starts at 0."""
        starts = sorted(self._starts.items())
        ends = [start for _, start in starts[1:]] + [self.samples]
        marks: list[Mark] = []
        for (part, start), end in zip(starts, ends, strict=True):
            title = self.track.chapters[part].title or (self.work.document.title if not part else "")
            if end - start >= MIN_CHAPTER * self.settings.sample_rate:
                first = start if marks else 0
                marks.append(
                    Mark(
                        title or f"{self.track.number + part}",
                        first / self.settings.sample_rate,
                        end / self.settings.sample_rate,
                    )
                )
        return marks


def _sped_up(samples: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    stretcher = Stretcher(factor, sample_rate)
    return np.concatenate([stretcher.write(samples), stretcher.flush()])


def _tags(work: Work, number: int) -> Tags:
    """The tags of a sound file. number: the index of the file, from 0."""
    document, track = work.document, work.tracks[number]
    is_part = track.path != work.job.output
    return Tags(
        title=(track.chapters[0].title or document.title) if is_part else document.title,
        author=document.author,
        album=document.title,
        language=document.language,
        cover=document.cover,
        track=track.number if is_part else 0,
        tracks=work.tracks[-1].number if is_part else 0,
    )


def _texts(track: Track) -> list[str]:
    return [cue.text for cue in track.cues] or [chapter.text for chapter in track.chapters]
