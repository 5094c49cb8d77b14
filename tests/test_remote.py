"""Addresses in requests: only public ones are fetched, whatever their names and redirects."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pockettts.server import remote
from pockettts.server.errors import RequestError

ANSWERS = {
    "/file": (200, {}, b"x" * 1000), "/there": (302, {"Location": "/file"}, b""), "/round": (302, {"Location": "/round"}, b""),
    "/inside": (302, {"Location": "http://inside.example/file"}, b""), "/odd": (302, {"Location": "file:///etc/passwd"}, b""),
    "/short": (200, {"Content-Length": "2000"}, b"x" * 1000), "/no": (404, {}, b""), "/nowhere": (302, {}, b""),
}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        status, headers, body = ANSWERS[self.path]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(monkeypatch):
    """outside.example is on this machine, with an address that counts as public in the test; inside.example has 10.0.0.1."""
    server = HTTPServer(("127.0.0.2", 0), Handler)
    server.asked, server.resolved = [], []
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()

    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host[0].isdigit():
            return real(host, port, *args, **kwargs)
        server.resolved.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ({"outside.example": "127.0.0.2"}.get(host, "10.0.0.1"), port))
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield server
    server.shutdown()
    server.server_close()


def fetch(web, path, max_bytes=1000):
    return remote.fetch(
        f"http://outside.example:{web.server_port}{path}", max_bytes, allowed=lambda address: address == "127.0.0.2"
    )


@pytest.mark.parametrize("address, public", [
    ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False),
    ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
    ("255.255.255.255", False),
    ("::1", False), ("::", False), ("fe80::1", False), ("fc00::1", False), ("ff02::1", False), ("::ffff:127.0.0.1", False),
    ("::ffff:8.8.8.8", True), ("64:ff9b::10.0.0.1", False), ("64:ff9b::808:808", True), ("2002:7f00:1::", False),
    ("2001:0:1::1", False)])  # fmt: skip
def test_public_addresses(address, public):
    assert remote.is_public(address) is public


def test_a_file(web):
    assert fetch(web, "/file") == fetch(web, "/there") == b"x" * 1000
    assert web.asked == [(f"outside.example:{web.server_port}", path) for path in ("/file", "/there", "/file")]


def test_a_name_is_resolved_once_per_connection(web):
    fetch(web, "/there")
    assert web.resolved == ["outside.example"] * 2 and len(web.asked) == 2


@pytest.mark.parametrize(
    "path, words",
    [
        ("/inside", "not a public address"),
        ("/odd", "this URL can't be downloaded"),
        ("/round", "too many redirects"),
        ("/short", "the connection broke|IncompleteRead"),
        ("/no", "the server answered 404"),
        ("/nowhere", "too many redirects"),
    ],
)
def test_rejected_addresses(web, path, words):
    with pytest.raises(RequestError, match=words):
        fetch(web, path)
    assert not any(host.startswith("inside") for host, _ in web.asked)


def test_size_is_limited(web):
    with pytest.raises(RequestError, match="more than 999 bytes"):
        fetch(web, "/file", 999)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/a",
        "https://127.0.0.1/a",
        "http://[::1]/a",
        "http://0x7f.1/a",
        "http://2130706433/a",
        "http://[::ffff:7f00:1]/a",
        "file:///etc/passwd",
        "ftp://a/b",
        "http://",
        "http://[",
        "http://a:99999/",
        "hf://one",
        "hf://a/../b",
        "gopher://127.0.0.1/",
    ],
)
def test_nothing_is_fetched_from_this_machine(monkeypatch, url):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it connected"))
    with pytest.raises(RequestError):
        remote.fetch(url, 1000)
