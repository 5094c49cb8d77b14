"""Play sound on the loudspeaker, through an installed player."""

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..errors import AudioError
from .encode import pcm16
from .files import Writer

EARLY = 2  # seconds of sound, more than a pipe holds: a player that has accepted this much works

# In order of preference. All read 16-bit mono PCM from stdin, except afplay, which needs a file.
PLAYERS = {
    "aplay": "-q -t raw -f S16_LE -c 1 -r {rate} -",
    "paplay": "--raw --format=s16le --channels=1 --rate={rate}",
    "ffplay": "-nodisp -autoexit -loglevel error -f s16le -ar {rate} -i -",
    "pw-play": "--raw --format=s16 --channels=1 --rate={rate} -",
    "afplay": "",
}


class Player:
    """Plays a stream of sound, without gaps as long as blocks arrive in time.

        with Player(24000) as player:
            player.write(block)

    The end of the block waits for the end of the sound; an exception, such as Ctrl-C, stops the sound at once. If a player fails, for
    instance because its sound server does not run, the next one is tried.

    Raises:
        AudioError: no player is installed, or none works.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._names = [name for name in PLAYERS if shutil.which(name)]
        if not self._names:
            raise AudioError(
                "no audio player found: install alsa-utils (aplay) or ffmpeg (ffplay), or write a file with -o FILE"
            )
        self._process: _Process | _WholeFile | None = None  # None after `finish`, until the next `write`
        self._early: list[np.ndarray] | None = []  # all blocks so far; None when the player is known to work

    def __enter__(self) -> "Player":
        self._start()
        return self

    def write(self, block: np.ndarray) -> None:
        """Play float32 [samples]. Returns when the player has accepted them, about a second before they are heard."""
        process = self._process or self._start()
        if self._early is not None:
            self._early.append(block)
            if sum(map(len, self._early)) > EARLY * self.sample_rate:
                self._early = None
        try:
            process.write(block)
        except AudioError as error:
            self._try_next_player(error)

    def finish(self) -> None:
        """Wait until all sound has been played. Raises AudioError."""
        while self._process:
            try:
                self._process.finish()
                self._process = self._early = None
            except AudioError as error:
                self._try_next_player(error)

    def __exit__(self, error: type | None, *_: object) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            if self._process:
                self._process.stop()

    def _try_next_player(self, error: AudioError) -> None:
        """After an error of the player: send all blocks to the next one. Raises the error if there is none, or the player worked."""
        if self._early is None or len(self._names) == 1:
            raise error
        if self._process:
            self._process.stop()
        self._names.pop(0)
        process = self._start()
        try:
            for block in self._early:
                process.write(block)
        except AudioError as error:
            self._try_next_player(error)

    def _start(self) -> "_Process | _WholeFile":
        name = self._names[0]
        self._process = (_WholeFile if name == "afplay" else _Process)(name, self.sample_rate)
        return self._process


class _Process:
    """A player that reads sound from its stdin."""

    def __init__(self, name: str, sample_rate: int) -> None:
        self.name = name
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (until `stop`)
        command = [name, *PLAYERS[name].format(rate=sample_rate).split()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._messages
        )
        assert self._process.stdin
        self._stdin = self._process.stdin

    def write(self, block: np.ndarray) -> None:
        try:
            self._stdin.write(pcm16(block))
            self._stdin.flush()
        except BrokenPipeError:
            raise self._error() from None

    def finish(self) -> None:
        try:
            try:
                self._stdin.close()
            except BrokenPipeError:
                raise self._error() from None
            if self._process.wait():
                raise self._error()
        finally:
            self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._messages.close()

    def _error(self) -> AudioError:
        self._process.wait()
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines() or [
            f"it ended with {self._process.returncode}"
        ]
        return AudioError(
            f"{self.name} can't play ({lines[-1].strip():.100}): check the sound card, or write a file with -o FILE"
        )


class _WholeFile:
    """A player that plays a complete file."""

    def __init__(self, name: str, sample_rate: int) -> None:
        self.name, self._folder = name, tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "speech.wav")
        self._file = Writer(self._path, sample_rate).__enter__()
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, block: np.ndarray) -> None:
        self._file.write(block)

    def finish(self) -> None:
        try:
            self._file.__exit__(None, None, None)
            self._process = subprocess.Popen([self.name, self._path])
            if code := self._process.wait():
                raise AudioError(
                    f"{self.name} can't play (it ended with {code}): check the sound card, or write a file with -o FILE"
                )
        finally:
            self.stop()

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
