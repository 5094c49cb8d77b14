"""waitress with some additions: errors in JSON, keep-alive after a streamed response, disconnecting a client, a graceful end.

One thread reads requests and sends responses; others run the application. A slow client blocks only its own thread, with 64 KB of
audio in the buffer. The server notices when a client leaves, even while nothing is sent.
"""

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from time import monotonic
from typing import Any

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, WSGITask

from . import errors

_BUFFER = 64 << 10  # bytes buffered for a client, in addition to those in the kernel
_IDLE_SECONDS = 30  # seconds without a byte in either direction, after which a connection is closed
# A body that is larger than the limit, but not by this factor, is read to its end: a client that is still sending would not see the response.
_READ_FACTOR = 4


class WebServer:
    """A WSGI application on a host and port.

    Raises OSError if it can't listen on the port.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], host: str, port: int, threads: int, max_body: int) -> None:
        self._map: dict[int, Any] = {}
        server = create_server(
            app, map=self._map, host=host, port=port, threads=threads, ident="pockettts", max_request_body_size=_READ_FACTOR * max_body,
            connection_limit=4 * threads + 100, channel_timeout=_IDLE_SECONDS, cleanup_interval=_IDLE_SECONDS / 3,
            channel_request_lookahead=1, outbuf_high_watermark=_BUFFER, asyncore_use_poll=True,
        )  # fmt: skip
        self._dispatcher = server.task_dispatcher
        self._listening = [item for item in self._map.values() if isinstance(item, BaseWSGIServer)]
        for item in self._listening:
            item.channel_class = _Channel
        self._stopping = False

    @property
    def addresses(self) -> list[str]:
        hosts = [(item.effective_host, item.effective_port) for item in self._listening]
        return [f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host, port in hosts]

    def run(self) -> None:
        """Serve until `stop` is called."""
        while not self._stopping:
            self._poll()

    def stop(self) -> None:
        """End `run`. Called by a signal handler or another thread."""
        self._stopping = True
        with suppress(OSError):  # it may have ended at this moment
            self._listening[0].pull_trigger()

    def drain(self, seconds: float) -> bool:
        """Refuse new connections, and wait up to `seconds` for responses to end. Returns whether all have ended."""
        for item in self._listening:
            wasyncore.dispatcher.close(item)
        until = monotonic() + seconds
        while (busy := self._busy()) and monotonic() < until:
            self._poll()
        return not busy

    def close(self) -> None:
        """Disconnect the remaining clients, and end all threads."""
        for channel in self._channels():
            channel.handle_close()
        self._dispatcher.shutdown(timeout=2)
        wasyncore.close_all(self._map)

    def _poll(self) -> None:
        wasyncore.loop(timeout=0.5, use_poll=True, map=self._map, count=1)

    def _channels(self) -> list[HTTPChannel]:
        return [item for item in self._map.values() if isinstance(item, HTTPChannel)]

    def _busy(self) -> bool:
        return any(channel.requests or channel.request or channel.total_outbufs_len for channel in self._channels())


class _Parser(HTTPRequestParser):
    """Reads a body that is too large to its end without keeping it, so that the client sees the response."""

    def received(self, data: bytes) -> int:
        count: int = super().received(data)
        size = max(self.content_length, self.body_bytes_received)
        if (
            self.body_rcv
            and size > self.adj.max_request_body_size // _READ_FACTOR
            and not isinstance(self.body_rcv.buf, _DiscardedBody)
        ):
            self.body_rcv.buf.close()
            self.body_rcv.buf = _DiscardedBody(len(self.body_rcv.buf))
        return count


class _DiscardedBody:
    """A buffer that counts bytes and drops them, with the methods that waitress calls."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def append(self, data: bytes) -> None:
        self.size += len(data)

    def getfile(self) -> BytesIO:
        return BytesIO()

    def close(self) -> None:
        pass


class _ErrorTask(ErrorTask):
    """The response to a request that waitress refuses itself: not HTTP, or too large."""

    def execute(self) -> None:
        error = self.request.error
        path = getattr(self.request, "path", "/")  # not set before the first line has been read
        message = f"{error.reason}: {error.body}"
        if error.code == 413:  # waitress's message has its own limit
            limit = self.channel.adj.max_request_body_size / _READ_FACTOR
            message = f"the body is larger than {limit / 2**20:.1f} MB: send less"
        line, headers, body = errors.error_response(path, error.code, message)
        self.status = line
        self.response_headers.extend(headers.items())
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Task(WSGITask):
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ["pockettts.hang_up"] = self.channel.hang_up
        return environ

    def set_close_on_finish(self) -> None:
        """Does nothing after a chunked response: its end is marked, so the connection can be used again."""
        if not self.chunked_response:
            super().set_close_on_finish()


class _Channel(HTTPChannel):
    parser_class = _Parser
    task_class = _Task
    error_task_class = _ErrorTask

    def hang_up(self) -> None:
        """Disconnect the client; thread-safe. The main thread then closes the channel and wakes the thread that writes to it."""
        with suppress(OSError, AttributeError):  # it may be closed, or be None by now
            self.socket.shutdown(socket.SHUT_RDWR)
