"""`pockettts serve`: text to speech over HTTP, many texts at once.

The layers, from the outside in: `wsgi` (sockets) -> `middleware` (keys, log) -> `app` (routes) -> `requests` (parses bodies), `models`,
`voices`, `responses` -> the engine.
"""

import logging
import signal
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from ..engine import Engine
from ..errors import OptionError
from .app import App
from .models import Models, Source
from .settings import Settings
from .voices import Voices
from .wsgi import WebServer

if TYPE_CHECKING:
    from .discovery import Announcement
    from .wyoming import WyomingServer

logger = logging.getLogger("pockettts.server")
_SPARE_THREADS = 4  # additional threads, for /health and for 503 when all places are taken


class Server:
    """A server. The constructor opens its ports; `run` serves requests.

    Args:
        sources: the models. The first one is loaded now; it speaks for requests that name none of them.

    Raises:
        OptionError: the server can't listen on the address, or two models have the same name.
        PocketTTSError: the first model or its default voice can't be loaded.
    """

    def __init__(self, sources: Sequence[Source], settings: Settings) -> None:
        self.settings = settings
        models = Models(sources, settings, Voices(settings))
        self.engine = Engine(settings.max_streams, settings.max_queue)
        self.app = App(models, self.engine, settings)
        self.web: WebServer | None = None
        self.wyoming: WyomingServer | None = None
        self.announcement: Announcement | None = None
        host, port, option, threads = settings.host, settings.port, "--port", self.app.places + _SPARE_THREADS
        try:
            self.web = WebServer(self.app.wsgi, host, port, threads, settings.max_body)
            if settings.wyoming_port is not None:
                from . import wyoming

                port, option = settings.wyoming_port, "--wyoming"
                self.wyoming = wyoming.WyomingServer(self.app.responses, host, port, settings.max_text, threads)
        except (OSError, ValueError) as error:  # waitress raises ValueError for a host that has no address
            self._close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip(".")
            raise OptionError(f"can't listen on {host}:{port} ({reason}): use another --host or {option}") from None
        if self.wyoming and settings.zeroconf is not None:
            self.announcement = _announce(settings.zeroconf, host, self.wyoming.port)

    @property
    def addresses(self) -> list[str]:
        assert self.web is not None
        return self.web.addresses + ([self.wyoming.address] if self.wyoming else [])

    def run(self) -> None:
        """Serve until `web.stop()`. Responses in progress then have `drain_seconds` to end."""
        assert self.web is not None
        try:
            if self.wyoming:
                self.wyoming.start()
            self.web.run()
            self.app.stopping = True
            until = monotonic() + self.settings.drain_seconds
            if self.announcement:
                self.announcement.close()
                self.announcement = None
            if self.wyoming:
                self.wyoming.close()
            if not (self.web.drain(self.settings.drain_seconds) and self.app.responses.drain(until - monotonic())):
                logger.warning("some responses had not ended after %g seconds", self.settings.drain_seconds)
        finally:
            self._close()

    def _close(self) -> None:
        self.app.wsgi.cut_off = "the server stopped"
        self.engine.close(0)
        for part in (self.announcement, self.wyoming, self.web, self.app):
            if part:
                part.close()


def _announce(name: str, host: str, port: int) -> "Announcement | None":
    """Announce the Wyoming server in the local network. Returns None, with a warning, if that fails."""
    from .discovery import Announcement

    try:
        return Announcement(name, host, port)
    except OSError as error:
        logger.warning(
            "can't announce the Wyoming server (%s): give Home Assistant its address", error.strerror or error
        )
        return None


def serve(sources: Sequence[Source], settings: Settings, ready: Callable[[list[str]], None] = print) -> int:
    """Serve until SIGTERM or Ctrl-C. A second signal does not wait for responses in progress.

    Args:
        sources: the models, as for Server.
        ready: called with the addresses when the server listens.

    Returns the number of the signal. Raises as Server does.
    """
    server = Server(sources, settings)
    caught: list[int] = []

    def stop(number: int, _: object) -> None:
        assert server.web is not None
        if caught:
            raise SystemExit(128 + number)
        caught.append(number)
        server.web.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    ready(server.addresses)
    server.run()
    return caught[0]
