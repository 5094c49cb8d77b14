"""The routes."""

import json
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

import bottle
import yaml

from .. import __version__
from ..engine import Engine
from ..errors import PocketTTSError
from ..sound.encode import wav_header
from ..sound.formats import FORMATS, SERVED
from ..tts import TTSModel
from . import errors
from .metrics import buckets, family
from .middleware import Middleware
from .requests import SPEECH_OPTIONS, Speech, from_form, from_json, from_openai
from .responses import Client, Response, Responses
from .settings import Settings
from .voices import Voices

STATIC = Path(__file__).parent / "static"
_PAGE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
                               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # ask each time, as bottle can say that nothing has changed: files of two releases never mix
}  # fmt: skip
SPARE = 4  # answers whose speech is made, but that were not taken yet
logger = logging.getLogger("pockettts.server")


class App:
    """The server as a WSGI application: `app.wsgi`. `stopping` makes it turn new texts away."""

    def __init__(self, model: TTSModel, engine: Engine, voices: Voices, settings: Settings) -> None:
        self.model, self.voices, self.settings = model, voices, settings
        self.stopping = False
        self.engine = engine
        self.places = settings.max_streams + settings.max_queue + SPARE
        self.responses = Responses(engine, self.places, settings.max_seconds)
        self.bottle = bottle.Bottle()
        self.bottle.default_error_handler = self._http_error
        self.bottle.install(self._plugin)
        for method, path, handler in (
            ("GET", "/", lambda: bottle.static_file("index.html", STATIC, headers=_PAGE)),
            ("GET", "/static/<name:path>", lambda name: bottle.static_file(name, STATIC, headers=_PAGE)),
            ("GET", "/health", self.health),
            ("GET", "/metrics", self.prometheus),
            ("GET", "/openapi.json", self.openapi),
            ("POST", "/generate", self.generate),
            ("POST", "/stream", lambda: self.stream(from_json)),
            ("POST", "/tts", lambda: self.stream(from_form)),
            ("POST", "/v1/audio/speech", lambda: self.stream(from_openai)),
            ("GET", "/v1/audio/voices", self.list_voices),
            ("GET", "/v1/models", self.list_models),
            ("GET", "/v1/models/<name>", self.show_model),
        ):
            self.bottle.route(path, method, handler)
        self.wsgi = Middleware(self.bottle, settings)

    def close(self) -> None:
        self.responses.close()

    # --- speech ----------------------------------------------------------------------------------------------------------

    def generate(self) -> bytes:
        """A whole WAV, which says how long it is."""
        answer = self._answer(from_json)
        try:
            pcm = b"".join(answer)
        finally:
            answer.close()
        bottle.response.content_type = "audio/wav"
        return wav_header(self.model.sample_rate, len(pcm) // 2) + pcm

    def stream(self, read: Callable[..., Speech]) -> Response:
        """Sound as it is made. The headers leave with the first of it, so that until then an error can be one."""
        return self._answer(read)

    def _answer(self, read: Callable[..., Speech]) -> Response:
        """The answer to a body that `read` knows how to read, begun; with its headers."""
        client: Client = bottle.request.environ["pockettts.client"]
        if self.stopping:
            raise errors.RequestError("this server is stopping: try again in a moment", 503)
        speech = read(bottle.request, self.settings, self.model.options)
        name = "upload" if isinstance(speech.voice, bytes) else speech.voice or self.voices.default
        client.figures |= {"characters": len(speech.text), "voice": name}
        answer = self.responses.start(speech, client, lambda: self.voices.state(speech.voice))
        bottle.response.content_type = "text/event-stream" if speech.events else FORMATS[speech.format].media_type
        bottle.response.headers.update({"X-Sample-Rate": str(self.model.sample_rate), "Cache-Control": "no-store",
                                        "X-Accel-Buffering": "no"})  # fmt: skip
        return answer

    # --- the rest --------------------------------------------------------------------------------------------------------

    def health(self) -> dict:
        if self.stopping:
            bottle.response.status = 503
        return {"status": "stopping" if self.stopping else "healthy", "version": __version__}

    def prometheus(self) -> str:
        bottle.response.content_type = "text/plain; version=0.0.4; charset=utf-8"
        stats, cached = self.engine.stats(), self.voices.cached_bytes
        ended = {"done": stats.done, "left": stats.left, "failed": stats.failed, "refused": stats.refused}
        return "".join(family(*figures) for figures in (
            ("pockettts_info", "gauge", "What is served.", [("", {"model": self.model.config.name, "version": __version__}, 1)]),
            ("pockettts_requests_total", "counter", "Requests, by route and status.", self.wsgi.requests.samples()),
            ("pockettts_broken_answers_total", "counter", "Answers that ended midway, by route.", self.wsgi.broken.samples()),
            ("pockettts_streams", "gauge", "Texts that are spoken now, and that wait for it.",
             [("", {"state": "live"}, stats.live), ("", {"state": "queued"}, stats.queued)]),
            ("pockettts_streams_total", "counter", "Texts, by how they ended.", [("", {"end": end}, n) for end, n in ended.items()]),
            ("pockettts_audio_seconds_total", "counter", "Sound made.", [("", {}, stats.audio)]),
            ("pockettts_ttfa_seconds", "histogram", "From a text's arrival to its first sound.", buckets(stats.ttfa)),
            ("pockettts_rtf", "histogram", "Seconds that it took to make a second of sound.", buckets(stats.rtf)),
            ("pockettts_voice_cache_bytes", "gauge", "Voice states in memory.", [("", {}, cached)]),
        ))  # fmt: skip

    def openapi(self) -> bytes:
        bottle.response.content_type = "application/json"
        return openapi()

    def list_voices(self) -> dict:
        default = self.voices.default
        return {"voices": [{"id": name, "name": name, "default": name == default} for name in self.voices.names]}

    def list_models(self) -> dict:
        return {"object": "list", "data": [self._model()]}

    def show_model(self, name: str) -> dict:
        if name != self.model.config.name:
            raise errors.RequestError(
                f"there is no model {name[:60]!r} here: this is {self.model.config.name}", 404, "model"
            )
        return self._model()

    def _model(self) -> dict:
        return {"id": self.model.config.name, "object": "model", "created": 0, "owned_by": "kyutai"}

    # --- errors ----------------------------------------------------------------------------------------------------------

    def _plugin(self, handler: Callable) -> Callable:
        """Around each handler: which route it was, and errors as answers."""

        def handle(*args: str, **kwargs: str) -> object:
            bottle.request.environ["pockettts.client"].figures["route"] = bottle.request.route.rule
            try:
                return handler(*args, **kwargs)
            except PocketTTSError as error:
                return self._error(errors.status_of(error), str(error), getattr(error, "param", None))
            except bottle.HTTPResponse:
                raise
            except Exception:
                logger.exception("unexpected error in %s", bottle.request.path)
                return self._error(500, "an unexpected error; the server's log says more")

        return handle

    def _http_error(self, error: bottle.HTTPError) -> bytes:
        """Bottle's own: no such route or file, another method."""
        what = {404: "there is nothing here", 405: "this address takes another method"}.get(
            error.status_code, str(error.body)
        )
        return self._error(error.status_code, f"{what}; /openapi.json says what there is")

    def _error(self, status: int, message: str, param: str | None = None) -> bytes:
        bottle.request.environ["pockettts.client"].figures["error"] = message
        line, headers, body = errors.answer(bottle.request.path, status, message, param)
        bottle.response.status = line
        bottle.response.headers.update(headers)
        return body


@cache
def openapi() -> bytes:
    """The description of all this, as JSON."""
    description = yaml.safe_load((Path(__file__).parent / "openapi.yaml").read_text("utf-8"))
    description["info"]["version"] = __version__
    options = {name: {"type": ["integer" if n.kind is int else "number", "null"], "minimum": n.least, "maximum": n.most,
                      "description": n.about} for name, n in SPEECH_OPTIONS.items()}  # fmt: skip
    for schema in ("Speech", "OpenAISpeech"):
        description["components"]["schemas"][schema]["properties"].update(options)
    speech = description["components"]["schemas"]["OpenAISpeech"]["properties"]
    speech["response_format"]["enum"] = [*SERVED, None]
    content = description["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    content.update({form.media_type: {"schema": {"type": "string", "format": "binary"}} for form in SERVED.values()})
    return json.dumps(description).encode()
