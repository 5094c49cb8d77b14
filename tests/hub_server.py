"""A local server that simulates the Hugging Face hub and other web servers, to test downloads.

    with HubServer() as hub:
        commit = hub.add("kyutai/pocket-tts", "model.safetensors", b"...")      # hf://kyutai/pocket-tts/model.safetensors
        url = hub.add_page("voice.wav", b"...")                                 # http://127.0.0.1:PORT/web/voice.wav
        hub.point(monkeypatch, tmp_path)               # make this process use it, with a cache in tmp_path
        subprocess.run(..., env=hub.env(tmp_path))     # make a subprocess use it
        hub.requests                                   # [("HEAD", "/kyutai/..."), ...] so far

It implements the part of the hub's protocol that `huggingface_hub` needs to download a file: HEAD and GET of
`/{repo}/resolve/{revision}/{file}` with ETag, X-Repo-Commit, Range and X-Error-Code.
"""

import os
import threading
import time
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class HubServer:
    def __init__(self):
        self.files: dict[tuple[str, str, str], bytes] = {}  # (repo, commit, name) -> content
        self.branches: dict[tuple[str, str], str] = {}  # (repo, branch) -> commit
        self.pages: dict[str, bytes] = {}  # path below /web/ -> content
        self.redirects: dict[str, str] = {}  # path below /web/ -> address
        self.gated: dict[str, int] = {}  # repo -> 401 or 403, for everyone who does not send `token`
        self.token = "hf_accepted"
        self.cut = 0  # this many of the next GETs break off half-way
        self.fail = 0  # a status with which everything is answered
        self.delay = 0.0  # seconds before every answer
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []  # of the requests

    def add(self, repo: str, name: str, content: bytes, branch: str = "main") -> str:
        """Commit a file to a branch. The new commit also has the files of the previous one."""
        before = self.branches.get((repo, branch), "")
        commit = sha1(f"{before}{repo}{name}".encode() + content).hexdigest()
        old = {(r, commit, n): data for (r, c, n), data in self.files.items() if (r, c) == (repo, before)}
        self.files.update(old)
        self.files[repo, commit, name] = content
        self.branches[repo, branch] = commit
        return commit

    def add_page(self, path: str, content: bytes) -> str:
        self.pages[path] = content
        return f"{self.address}/web/{path}"

    def env(self, home: Path, **more: str) -> dict[str, str]:
        """The environment of a subprocess that uses this server as the hub."""
        mine = {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}
        return mine | more

    def point(self, monkeypatch, home: Path) -> None:
        """Make this process use this server as the hub, even if it has read the environment already."""
        from huggingface_hub import constants, file_download

        monkeypatch.setattr(constants, "ENDPOINT", self.address)
        template = self.address + "/{repo_id}/resolve/{revision}/{filename}"
        for module in (constants, file_download):  # clients before 1.0 have a copy
            monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def __enter__(self) -> "HubServer":
        hub = self

        class Handler(_Handler):
            server_state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server: connections fail from now on."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: HubServer

    def do_HEAD(self):
        hub = self.server_state
        hub.requests.append((self.command, self.path))
        hub.headers.append(dict(self.headers))
        time.sleep(hub.delay)
        if hub.fail:
            self._answer(hub.fail)
        elif self.path.startswith("/web/"):
            self._web(self.path.removeprefix("/web/").partition("?")[0])
        elif "/resolve/" in self.path:
            repo, _, rest = self.path[1:].partition("/resolve/")
            self._hub(repo, *rest.split("/", 1))
        else:
            self._answer(404)

    do_GET = do_HEAD

    def _web(self, name: str):
        hub = self.server_state
        if name in hub.redirects:
            self._answer(302, Location=hub.redirects[name])
        elif name in hub.pages:
            self._send(hub.pages[name])
        else:
            self._answer(404)

    def _hub(self, repo: str, revision: str, name: str):
        hub = self.server_state
        if repo in hub.gated and self.headers["Authorization"] != f"Bearer {hub.token}":
            return self._answer(hub.gated[repo], **{"X-Error-Code": "GatedRepo"})
        commit = hub.branches.get((repo, revision), revision)
        if repo not in {r for r, _ in hub.branches}:
            return self._answer(404, **{"X-Error-Code": "RepoNotFound"})
        if (repo, commit) not in {(r, c) for r, c, _ in hub.files}:
            return self._answer(404, **{"X-Error-Code": "RevisionNotFound"})
        if (repo, commit, name) not in hub.files:
            return self._answer(404, **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content = hub.files[repo, commit, name]
        self._send(content, **{"ETag": f'"{sha256(content).hexdigest()}"', "X-Repo-Commit": commit})

    def _send(self, content: bytes, **headers: str):
        hub = self.server_state
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        cut = self.command == "GET" and hub.cut > 0
        self._answer(206 if start else 200, body[: len(body) // 2] if cut else body, length=len(body), **headers)
        if cut:
            hub.cut -= 1

    def _answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")  # no thread outlives the server
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass
