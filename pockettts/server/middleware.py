"""What applies to every request: the API key, CORS, one line in the log, and the counters of /metrics."""

import hmac
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import monotonic
from typing import Any, TypeAlias

from bottle import Bottle, HTTPError

from . import errors
from .metrics import LabeledCounter
from .responses import Client
from .settings import Settings

logger = logging.getLogger("pockettts.requests")
_OPEN = ("/", "/docs", "/health", "/openapi.json")  # these and /static/ need no key
_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
_PLAIN = ("client", "method", "path", "status")  # values that the log shows without their names


Environ: TypeAlias = dict[str, Any]
App: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Middleware:
    """A WSGI application around another one.

    `environ["pockettts.client"]` is the Client. The inner application adds to its `log_fields`, among them the route.
    """

    def __init__(self, app: Bottle, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.requests, self.broken = LabeledCounter(), LabeledCounter()
        self.cut_off = "the client left"  # why a response ended early, if nothing failed

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        client = Client()
        client.gone = environ.get("waitress.client_disconnected", client.gone)
        client.hang_up = environ.get("pockettts.hang_up", client.hang_up)
        environ["pockettts.client"] = client
        environ["PATH_INFO"] = _without_extra_slashes(environ.get("PATH_INFO", ""))
        response = _LoggedBody(self, environ, client)

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            response.status = int(status[:3])
            return start_response(status, headers + self._for_origin(environ), exc_info)

        response.body = self._inner(environ)(environ, start)
        return response

    def _inner(self, environ: Environ) -> App:
        path, method = environ.get("PATH_INFO", "/"), environ["REQUEST_METHOD"]
        if method == "OPTIONS" and (allowed := self.allowed(path)):
            return partial(_options, allowed, bool(self.settings.cors))
        if (
            self.settings.api_key
            and not (path in _OPEN or path.startswith("/static/"))
            and not self._knows_the_key(environ)
        ):
            return _error_app(path, 401, "this server needs an API key: send `Authorization: Bearer KEY`")
        if int(environ.get("CONTENT_LENGTH") or 0) > self.settings.max_body:
            return _error_app(path, 413, f"the body is larger than {self.settings.max_body / 2**20:.1f} MB: send less")
        app: App = self.app
        return app

    def allowed(self, path: str) -> str:
        """The allowed methods of a path, as in an Allow header; "" if the path does not exist."""
        if path == "*":  # the server as a whole
            return _METHODS
        try:
            self.app.router.match({"PATH_INFO": path, "REQUEST_METHOD": "OPTIONS"})
        except HTTPError as error:
            methods = set(filter(None, str(error.headers.get("Allow", "")).split(",")))
            more = {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()) if methods else set()
            return ", ".join(sorted(methods | more))
        return _METHODS

    def _knows_the_key(self, environ: Environ) -> bool:
        scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            key.strip().encode("latin-1"), (self.settings.api_key or "").encode()
        )

    def _for_origin(self, environ: Environ) -> list[tuple[str, str]]:
        """CORS headers, which let web pages of allowed origins read the response."""
        origin, allowed = environ.get("HTTP_ORIGIN"), self.settings.cors
        if not allowed:
            return []
        headers = [("Vary", "Origin")]
        if origin and (origin in allowed or "*" in allowed):
            headers += [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Expose-Headers", "X-Sample-Rate, Retry-After"),
            ]
        return headers

    def log(self, environ: Environ, client: Client, status: int, size: int, error: str | None) -> None:
        """Write one line for a request that has ended."""
        fields = client.log_fields
        route = fields.pop("route", "other")
        self.requests.add(route=route, status=str(status))
        if error:
            self.broken.add(route=route)
        entry = {
            "client": environ.get("REMOTE_ADDR", ""), "method": environ["REQUEST_METHOD"], "path": environ.get("PATH_INFO", ""),
            "status": status, "seconds": round(monotonic() - client.arrived, 4), "bytes": size,
            **{name: round(value, 4) if isinstance(value, float) else value for name, value in fields.items()},
        }  # fmt: skip
        if error:
            entry["error"] = error
        words = [
            str(value) if name in _PLAIN else f"{name}={value}" for name, value in entry.items() if value is not None
        ]
        logger.info("%s", _printable(" ".join(words)), extra={"fields": entry})


class _LoggedBody:
    """The body of a response; it writes the log line when it ends."""

    def __init__(self, middleware: Middleware, environ: Environ, client: Client) -> None:
        self.middleware, self.environ, self.client = middleware, environ, client
        self.body: Iterable[bytes] = ()
        self.status, self.size, self.whole = 500, 0, False
        self.error: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self.body:
                self.size += len(piece)
                yield piece
            self.whole = True
        except Exception as error:
            self.error = str(error) or type(error).__name__
            raise

    def close(self) -> None:
        if hasattr(self.body, "close"):
            self.body.close()
        error = self.error or (None if self.whole else self.middleware.cut_off)
        self.middleware.log(self.environ, self.client, self.status, self.size, error)
        self.environ.clear()  # bottle keeps the last environ of each thread, and with it an upload


def _without_extra_slashes(path: str) -> str:
    """The path as the routes have it. Clients append their path to an address that ends in a slash: `/v1/` + `/audio/speech`."""
    path = re.sub("//+", "/", path)
    return path.rstrip("/") if path.startswith("/v1/") else path  # the links of /docs are relative


def _options(allowed: str, cors: bool, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    """The response to OPTIONS: the methods, and with CORS the headers that browsers ask for in a preflight.

    All request headers are allowed: OpenAI's SDK adds some of its own, such as X-Stainless-Lang.
    """
    headers = [("Allow", allowed)]
    wanted = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "Authorization, Content-Type")
    if cors:
        headers += [
            ("Access-Control-Allow-Methods", allowed),
            ("Access-Control-Max-Age", "86400"),
            ("Access-Control-Allow-Headers", wanted),
        ]
    start_response("204 No Content", headers)
    return []


def _error_app(path: str, status: int, message: str) -> App:
    def app(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        line, headers, body = errors.error_response(path, status, message)
        start_response(line, list(headers.items()))
        return [body]

    return app


def _printable(line: str) -> str:
    """The line without control characters, so no client can add lines to the log or move the cursor of a terminal."""
    return "".join(c if c.isprintable() else "?" for c in line)
