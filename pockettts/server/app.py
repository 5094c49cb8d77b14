"""The routes."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import bottle
import yaml

from .. import __version__
from ..config.load import is_bundled
from ..config.schema import Config
from ..engine import Engine
from ..errors import PocketTTSError
from ..sound.formats import FORMATS, SERVED
from . import errors
from .metrics import Sample, buckets, family
from .middleware import Middleware
from .models import Models
from .requests import SPEECH_OPTIONS, Speech, from_captioned, from_form, from_json, from_openai, from_upload
from .responses import Client, Response, Responses
from .settings import Settings

STATIC = Path(__file__).parent / "static"
_PAGE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
                               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # browsers ask each time (the answer may be 304), so files of two releases never mix
}  # fmt: skip
OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")  # clients look for these names; they mean the first model
SPARE = 4  # responses whose audio is complete but not sent yet
logger = logging.getLogger("pockettts.server")


class App:
    """The server as a WSGI application, `app.wsgi`. While `stopping` is set, it refuses new texts."""

    def __init__(self, models: Models, engine: Engine, settings: Settings) -> None:
        self.models, self.engine, self.settings = models, engine, settings
        self.stopping = False
        self.places = settings.max_streams + settings.max_queue + SPARE
        self.responses = Responses(engine, models, self.places, settings.max_seconds)
        self.bottle = bottle.Bottle()
        self.bottle.default_error_handler = self._http_error
        self.bottle.install(self._plugin)
        for method, path, handler in (
            ("GET", "/", lambda: _page("index.html")),
            ("GET", "/docs", lambda: _page("docs.html")),
            ("GET", "/static/<name:path>", _page),
            ("GET", "/health", self.health),
            ("GET", "/metrics", self.prometheus),
            ("GET", "/openapi.json", self.openapi),
            ("POST", "/generate", lambda: self.speak(partial(from_json, whole=True))),
            ("POST", "/stream", lambda: self.speak(from_json)),
            ("POST", "/tts", self.speak_form),
            ("POST", "/v1/audio/speech", lambda: self.speak(from_openai)),
            ("POST", "/dev/captioned_speech", lambda: self.speak(from_captioned)),
            ("GET", "/v1/audio/voices", self.list_voices),
            ("GET", "/v1/voices", self.list_voices),
            ("POST", "/v1/audio/voices", self.add_voice),
            ("DELETE", "/v1/audio/voices/<name>", self.remove_voice),
            ("GET", "/v1/models", self.list_models),
            ("GET", "/v1/audio/models", self.list_models),
            ("GET", "/v1/models/<name:path>", self.show_model),
        ):
            self.bottle.route(path, method, handler)
        self.wsgi = Middleware(self.bottle, settings)

    def close(self) -> None:
        self.responses.close()

    # --- speech ----------------------------------------------------------------------------------------------------------

    def speak(self, read: Callable[..., Speech]) -> Response | bytes:
        """Speak the text of a request: streamed, or whole.

        The headers are sent with the first audio, so an error before that gets its own status.

        Args:
            read: parses the request's body.
        """
        client = self._client()
        speech = read(bottle.request, self.settings, lambda name: self.models.entry(name).options)
        entry = self.models.entry(speech.model)
        voice = "upload" if isinstance(speech.voice, bytes) else speech.voice or entry.names.default
        client.log_fields |= {"characters": len(speech.text), "voice": voice}
        if len(self.models.entries) > 1:
            client.log_fields["model"] = entry.name
        response = self.responses.start(speech, client)
        bottle.response.content_type = _content_type(speech)
        bottle.response.headers.update(
            {
                "X-Sample-Rate": str(entry.config.mimi.sample_rate),
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        if not speech.whole:
            return response
        try:
            return b"".join(response)
        finally:
            response.close()

    def speak_form(self) -> Response | bytes:
        """The official server's route, with its file name for browsers that save the audio."""
        response = self.speak(from_form)
        bottle.response.headers["Content-Disposition"] = "attachment; filename=generated_speech.wav"
        return response

    def _client(self) -> Client:
        if self.stopping:
            raise errors.RequestError("this server is stopping: try again in a moment", 503)
        client: Client = bottle.request.environ["pockettts.client"]
        return client

    # --- voices ----------------------------------------------------------------------------------------------------------

    def list_voices(self) -> dict[str, Any]:
        """The voices of the model that the query names, by default of the first model."""
        names = self.models.entry(bottle.request.query.getunicode("model")).names
        own = names.own.voices()
        voices: list[dict[str, Any]] = []
        for name in names.all():
            extra = {"own": True, "uploaded": own[name].uploaded} if name in own else {}
            voices.append({"id": name, "name": name, "default": name == names.default} | extra)
        return {"voices": voices}

    def add_voice(self) -> dict[str, Any]:
        client = self._client()
        self._check_uploads()
        upload = from_upload(bottle.request, self.settings)
        entry = self.models.entry(upload.model)
        until = client.arrived + self.settings.max_seconds
        model, _ = self.models.acquire(entry, until, client.gone)
        try:
            taken = {name for other in self.models.entries.values() for name in other.names.all()}
            voice = self.models.voices.add(model, taken, upload.name, upload.data, upload.suffix)
        finally:
            self.models.release(entry)
        client.log_fields["voice"] = voice.name
        return {"id": voice.name, "object": "audio.voice", "name": voice.name, "created_at": int(time.time())}

    def remove_voice(self, name: str) -> dict[str, Any]:
        self._check_uploads()
        self.models.voices.remove(name)
        return {"id": name, "object": "audio.voice.deleted", "deleted": True}

    def _check_uploads(self) -> None:
        if not self.settings.allow_uploads:
            raise errors.RequestError("this server takes no uploaded voices: start it with --allow-uploads", 403)

    # --- the rest --------------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        if self.stopping:
            bottle.response.status = 503
        return {"status": "stopping" if self.stopping else "healthy", "version": __version__}

    def prometheus(self) -> str:
        bottle.response.content_type = "text/plain; version=0.0.4; charset=utf-8"
        stats, cached = self.engine.stats(), self.models.voices.cached_bytes
        ended = {"done": stats.done, "left": stats.left, "failed": stats.failed, "refused": stats.refused}
        loaded: list[Sample] = [
            ("", {"model": entry.name}, int(entry.loaded is not None)) for entry in self.models.entries.values()
        ]
        families: tuple[tuple[str, str, str, Iterable[Sample]], ...] = (
            ("pockettts_info", "gauge", "What is served.", [("", {"model": self.models.first.name, "version": __version__}, 1)]),
            ("pockettts_model_loaded", "gauge", "Whether a model is in memory.", loaded),
            ("pockettts_requests_total", "counter", "Requests, by route and status.", self.wsgi.requests.samples()),
            ("pockettts_broken_answers_total", "counter", "Responses that ended midway, by route.", self.wsgi.broken.samples()),
            ("pockettts_streams", "gauge", "Texts that are being spoken (live) or waiting (queued).",
             [("", {"state": "live"}, stats.live), ("", {"state": "queued"}, stats.queued)]),
            ("pockettts_streams_total", "counter", "Texts, by how they ended.", [("", {"end": end}, n) for end, n in ended.items()]),
            ("pockettts_audio_seconds_total", "counter", "Seconds of generated audio.", [("", {}, stats.audio)]),
            ("pockettts_ttfa_seconds", "histogram", "Seconds from the arrival of a text to its first audio.", buckets(stats.ttfa)),
            ("pockettts_rtf", "histogram", "Processing time / audio time.", buckets(stats.rtf)),
            ("pockettts_voice_cache_bytes", "gauge", "Voice states in memory.", [("", {}, cached)]),
        )  # fmt: skip
        return "".join(family(*figures) for figures in families)

    def openapi(self) -> bytes:
        bottle.response.content_type = "application/json"
        return openapi()

    def list_models(self) -> dict[str, Any]:
        """In OpenAI's form. Some clients, such as Open WebUI, look for `models` instead of `data`."""
        models = [model_object(name, entry.config) for name, entry in self.models.entries.items()]
        return {"object": "list", "data": models, "models": models}

    def show_model(self, name: str) -> dict[str, Any]:
        if name not in self.models.entries and name not in OPENAI_MODELS:
            known = ", ".join(self.models.entries)
            raise errors.RequestError(f"there is no model {name[:60]!r} here: use {known}", 404, "model")
        return model_object(name, self.models.entry(name).config)

    # --- errors ----------------------------------------------------------------------------------------------------------

    def _plugin(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps each handler: notes the route for the log, and turns errors into responses."""

        def handle(*args: str, **kwargs: str) -> object:
            bottle.request.environ["pockettts.client"].log_fields["route"] = bottle.request.route.rule
            try:
                return handler(*args, **kwargs)
            except PocketTTSError as error:
                return self._error(errors.status_of(error), str(error), getattr(error, "param", None))
            except bottle.HTTPResponse:
                raise
            except Exception:
                logger.exception("unexpected error in %s", bottle.request.path)
                return self._error(500, "an unexpected error; the server's log has the details")

        return handle

    def _http_error(self, error: bottle.HTTPError) -> bytes:
        """Bottle's own errors: no such route or file, or another method."""
        status, what = error.status_code, str(error.body)
        if status in (403, 404):  # 403: a path that leads out of the folder of static files
            status, what = 404, "there is nothing here"
        elif status == 405:
            allowed = self.wsgi.allowed(bottle.request.path)
            bottle.response.headers["Allow"] = allowed
            what = f"{bottle.request.method[:20]} is not allowed here: use {allowed}"
        return self._error(status, f"{what}; /openapi.json lists the routes")

    def _error(self, status: int, message: str, param: str | None = None) -> bytes:
        bottle.request.environ["pockettts.client"].log_fields["error"] = message
        line, headers, body = errors.error_response(bottle.request.path, status, message, param)
        bottle.response.status = line
        bottle.response.headers.update(headers)
        return body


def _page(name: str) -> bottle.HTTPResponse:
    return bottle.static_file(name, STATIC, headers=_PAGE)


def _content_type(speech: Speech) -> str:
    kinds = {"events": "text/event-stream", "captions": "application/json"}
    return kinds.get(speech.wrapping, FORMATS[speech.format].media_type)


def model_object(name: str, config: Config) -> dict[str, Any]:
    """A model in OpenAI's form. A model that is neither Kyutai's nor bundled belongs to the operator."""
    is_kyutais = str(config.weights_path).startswith("hf://kyutai/")
    owner = "pockettts" if is_bundled(config) else "kyutai" if is_kyutais else "user"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner, "name": name}


@cache
def openapi() -> bytes:
    """The OpenAPI description of the server, as JSON."""
    description = yaml.safe_load((Path(__file__).parent / "openapi.yaml").read_text("utf-8"))
    description["info"]["version"] = __version__
    options = {name: {"type": ["integer" if n.kind is int else "number", "null"], "minimum": n.minimum, "maximum": n.maximum,
                      "description": n.about} for name, n in SPEECH_OPTIONS.items()}  # fmt: skip
    schemas = description["components"]["schemas"]
    for schema in ("Speech", "SpeechForm", "OpenAISpeech", "CaptionedSpeech"):
        schemas[schema]["properties"].update(options)
    for schema in ("OpenAISpeech", "CaptionedSpeech"):
        schemas[schema]["properties"]["response_format"]["enum"] = [*SERVED, None]
    content = description["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    content.update({form.media_type: {"schema": {"type": "string", "format": "binary"}} for form in SERVED.values()})
    return json.dumps(description).encode()
