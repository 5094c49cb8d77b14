"""The code that runs on a worker of a Dask cluster. It keeps the model between chunks, and speaks all chunks in one thread.

Dask runs tasks in several threads. Each of them would start its own OpenMP threads, and the idle ones would slow down the active ones.
"""

import logging
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from typing import Any

from distributed import WorkerPlugin, get_worker

from .. import __version__, ops
from ..config.load import load_config
from ..errors import ConfigError, DownloadError, PocketTTSError, WeightsError
from .speaker import SENT, Order, Setup, Speaker, Spoken, WorkerError

VOICES = Path(tempfile.gettempdir()) / f"pockettts-voices-{os.getuid() if hasattr(os, 'getuid') else 'user'}"

logger = logging.getLogger("pockettts")

_speakers: dict[str, Speaker] = {}
_thread = ThreadPoolExecutor(1, "pockettts")


def build_of_worker() -> str:
    """The version of this package on a worker, and its build of the kernels: "1.0.0 avx2"."""
    return f"{__version__} {ops.ISA}"


def fault_of_worker(model: str) -> str:
    """The reason why a worker can't load a model; "" if it can. model: a name, or the path of a config."""
    try:
        load_config(model)
    except PocketTTSError as error:
        return f"it can't load the model: {error}"
    return ""


def speak_on_worker(setup: Setup, order: Order, version: str) -> Spoken:
    """Speak a chunk in the process of a worker. Without `setup.threads`, it uses as many threads as the Dask worker has.

    Raises the errors of `Speaker.speak`, and WorkerError.
    """
    if version != __version__:
        raise WorkerError(f"a worker has pockettts {__version__}, but this is {version}: install the same everywhere")
    threads = setup.threads or get_worker().state.nthreads
    return _thread.submit(_speak, replace(setup, threads=threads), order).result()


def _speak(setup: Setup, order: Order) -> Spoken:
    key = repr(setup)
    if key not in _speakers:
        _speakers.clear()  # free the model of an earlier run
        voices = {name: _own_file(source) for name, source in setup.voices.items()}
        _speakers[key] = Speaker(replace(setup, voices=voices))
    speaker = _speakers[key]
    messages = _Messages()
    logger.addHandler(messages)
    try:
        speaker.model  # noqa: B018 (load it)
    except (ConfigError, DownloadError, WeightsError) as error:
        raise WorkerError(
            f"the worker on {gethostname()} can't load the model: {error}; a --config FILE and its files must have the same paths there"
        ) from None
    try:
        return speaker.speak(order)._replace(messages=messages.lines)
    finally:
        logger.removeHandler(messages)


class _Messages(logging.Handler):
    """Collects the warnings of the current thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if threading.get_ident() == self._thread:
            self.lines.append(record.getMessage())


class VoicesPlugin(WorkerPlugin):
    """Copies voice files to each worker, including those that join later. files: their content by name."""

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
    """The source of a voice on this machine: the path of its copy if the file was sent."""
    return str(VOICES / source.removeprefix(SENT)) if source.startswith(SENT) else source
