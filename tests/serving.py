"""A server in this process, on its own port, and shared helpers of its tests."""

import contextlib
import socket
import threading
import time

import numpy as np

from pockettts import TTSModel
from pockettts.server import Server
from pockettts.server.models import Source
from pockettts.server.settings import Settings

HUM = (0.3 * np.sin(np.arange(30_000) / 20)).astype(np.float32)
LONG = "This goes on and on, and then on again. " * 400


def load(tiny_model) -> TTSModel:
    """The tiny model, with a catalog that needs no network: each name is a different tone."""
    model = TTSModel.load(config=tiny_model, threads=2)
    real = model.get_voice_state
    names = {name: HUM[: 9_000 + 1_000 * i] for i, name in enumerate(("alba", "marius", "cosette"))}
    model.get_voice_state = lambda voice: real(names.get(voice, voice) if isinstance(voice, str) else voice)
    return model


@contextlib.contextmanager
def serving(*models, **settings):
    """A running Server, with its `url` and `port`. models: TTSModel or Source."""
    sources = [Source.of(model) if isinstance(model, TTSModel) else model for model in models]
    server = Server(sources, Settings(port=0, **{"drain_seconds": 5, "voice": "alba"} | settings))
    server.url = server.web.addresses[0]
    server.port = int(server.url.rpartition(":")[2])
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.web.stop()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


def connect(server, request=b"", buffer=None):
    """A socket that has sent a request. Its timeout is 20 s. buffer: bytes that its kernel takes before it reads; None: the default."""
    connection = socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(request)
    return connection


def post(path, body, kind=b"application/json", **headers):
    """The bytes of a POST request."""
    more = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: ".encode()
    return head + kind + b"\r\n" + more + b"\r\n" + body


def read_until(connection, end):
    """All bytes up to and including `end`, or until the connection is closed."""
    data = b""
    while end not in data:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            break
        data += more
    return data
