"""What runs on a worker of a Dask cluster. It keeps its model from chunk to chunk, and speaks all of them in one thread.

Dask runs tasks in as many threads as the worker has. Each would open an OpenMP team of its own, and the idle ones would take time
from the one that works.
"""

import logging
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker

from .. import __version__
from .speaker import SENT, Order, Setup, Speaker, Spoken, VersionError

VOICES = Path(tempfile.gettempdir()) / f"pockettts-voices-{os.getuid() if hasattr(os, 'getuid') else 'user'}"

logger = logging.getLogger("pockettts")

_speakers: dict[str, Speaker] = {}
_thread = ThreadPoolExecutor(1, "pockettts")


def speak_on_worker(setup: Setup, order: Order, version: str) -> Spoken:
    """Speak a chunk in the process of a worker, with as many threads as the worker has unless the setup says how many.

    Raises what `Speaker.speak` raises, and VersionError.
    """
    if version != __version__:
        raise VersionError(f"a worker has pockettts {__version__}, but this is {version}: install the same everywhere")
    threads = setup.threads or get_worker().state.nthreads
    return _thread.submit(_speak, replace(setup, threads=threads), order).result()


def _speak(setup: Setup, order: Order) -> Spoken:
    key = repr(setup)
    if key not in _speakers:
        _speakers.clear()  # of another run
        voices = {name: _own_file(source) for name, source in setup.voices.items()}
        _speakers[key] = Speaker(replace(setup, voices=voices))
    speaker = _speakers[key]
    messages = _Messages()
    logger.addHandler(messages)
    try:
        return speaker.speak(order)._replace(messages=messages.lines)
    finally:
        logger.removeHandler(messages)


class _Messages(logging.Handler):
    """Collects the warnings of a thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if threading.get_ident() == self._thread:
            self.lines.append(record.getMessage())


class VoicesPlugin(WorkerPlugin):
    """Puts the files of voices on each worker, also on those that come late. files: their content by name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def setup(self, worker: Any) -> None:
        VOICES.mkdir(mode=0o700, exist_ok=True)
        for name, content in self.files.items():
            place = VOICES / name
            if not place.exists():
                partial = place.with_name(f".{name}.{os.getpid()}")
                partial.write_bytes(content)
                os.replace(partial, place)


def _own_file(source: str) -> str:
    return str(VOICES / source.removeprefix(SENT)) if source.startswith(SENT) else source
