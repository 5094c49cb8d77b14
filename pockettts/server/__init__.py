"""`pockettts serve`: many voices at once over HTTP.

From the outside in: `wsgi` (sockets) -> `front` (keys, log) -> `app` (routes) -> `bodies` (what is asked), `voices`, `answers`
(what is given) -> the engine.
"""

import logging
import signal
from collections.abc import Callable
from time import monotonic

from ..engine import Engine
from ..errors import OptionError
from ..tts import TTSModel
from .app import App
from .settings import Settings
from .voices import Voices
from .wsgi import WebServer

logger = logging.getLogger("pockettts.server")
_OTHERS = 4  # threads that are left when all places are taken: to say so, and for /health


class Server:
    """A model at an address, from when it is made; `run` answers.

    Raises:
        OptionError: the address can't be had.
        PocketTTSError: the default voice can't be had.
    """

    def __init__(self, model: TTSModel, settings: Settings, voice: str | None = None) -> None:
        self.settings = settings
        voices = Voices(model, settings, voice)
        self.engine = Engine(model, settings.max_streams, settings.max_queue)
        self.app = App(model, self.engine, voices, settings)
        self.web = self.wyoming = None
        host, port, option, threads = settings.host, settings.port, "--port", self.app.places + _OTHERS
        try:
            self.web = WebServer(self.app.wsgi, host, port, threads, settings.max_body)
            if settings.wyoming_port is not None:
                from .wyoming import WyomingServer

                port, option = settings.wyoming_port, "--wyoming"
                self.wyoming = WyomingServer(self.app.responses, voices, host, port, settings.max_text, threads)
        except OSError as error:
            self._close()
            reason = error.strerror or error
            raise OptionError(f"can't listen on {host}:{port} ({reason}): take another --host or {option}") from None

    @property
    def addresses(self) -> list[str]:
        return self.web.addresses + ([self.wyoming.address] if self.wyoming else [])

    def run(self) -> None:
        """Answer until `web.stop()`; live answers then have `drain_seconds` to end."""
        try:
            if self.wyoming:
                self.wyoming.start()
            self.web.run()
            self.app.stopping = True
            until = monotonic() + self.settings.drain_seconds
            if self.wyoming:
                self.wyoming.close()
            if not (self.web.drain(self.settings.drain_seconds) and self.app.responses.drain(until - monotonic())):
                logger.warning("some answers had not ended after %g seconds", self.settings.drain_seconds)
        finally:
            self._close()

    def _close(self) -> None:
        self.app.wsgi.cut_off = "the server stopped"
        self.engine.close(0)
        for part in (self.wyoming, self.web, self.app):
            if part:
                part.close()


def serve(
    model: TTSModel, settings: Settings, voice: str | None = None, ready: Callable[[list[str]], None] = print
) -> int:
    """Serve until SIGTERM or Ctrl-C; a second one does not wait for live answers.

    Args:
        voice: of requests that name none, as for `TTSModel.get_voice_state`; None is the model's own.
        ready: is called with the addresses.

    Returns: the signal's number. Raises as Server.
    """
    server = Server(model, settings, voice)
    caught: list[int] = []

    def stop(number: int, _: object) -> None:
        if caught:
            raise SystemExit(128 + number)
        caught.append(number)
        server.web.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    ready(server.addresses)
    server.run()
    return caught[0]
