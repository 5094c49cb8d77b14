"""`pockettts serve`: many voices at once over HTTP.

From the outside in: `wsgi` (sockets) -> `front` (keys, log) -> `app` (routes) -> `bodies` (what is asked), `voices`, `answers`
(what is given) -> the engine.
"""

import logging
import signal
from collections.abc import Callable

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
        try:
            self.web = WebServer(self.app.wsgi, settings.host, settings.port, self.app.places + _OTHERS, settings.max_body)
        except OSError as error:
            self.app.close()
            self.engine.close(0)
            reason = error.strerror or error
            raise OptionError(f"can't listen on {settings.host}:{settings.port} ({reason}): take another --host or --port") from None

    def run(self) -> None:
        """Answer until `web.stop()`; live answers then have `drain_seconds` to end."""
        try:
            self.web.run()
            self.app.stopping = True
            if not self.web.drain(self.settings.drain_seconds):
                logger.warning("some answers had not ended after %g seconds", self.settings.drain_seconds)
        finally:
            self.engine.close(0)
            self.web.close()
            self.app.close()


def serve(model: TTSModel, settings: Settings, voice: str | None = None, ready: Callable[[list[str]], None] = print) -> int:
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
    ready(server.web.addresses)
    server.run()
    return caught[0]
