"""Resolve `hf://owner/repo/file@revision`, `https://...` or a path to a file on this machine; download it if necessary.

Hub files use the cache, the token and HF_HUB_OFFLINE of `huggingface_hub`. Web files are stored in its assets folder. A cached
file is used without a request, except a hub file without a commit: it may have changed, so this asks the hub, and uses the cached
file if the hub does not respond. Importing all of `huggingface_hub` takes 0.4 s, so this module imports only its constants and reads
the cache itself; its layout is documented.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import DownloadError, GatedError
from .files import whole_file

_HEAD_SECONDS = 5  # timeout of the first response of the hub: short, for machines without a network
_READ_SECONDS = 20  # timeout of each block of a web file
_HF_URL = re.compile(r"hf://([\w.-]+/[\w.-]+)/([^@\\]+)(?:@([^@\\]+))?")
_ELSEWHERE = "run `pockettts download MODEL [VOICE...]` once with a network; the model `mini` is bundled and needs none"
_progress = True


def show_progress(on: bool) -> None:
    """Set whether downloads show a progress bar (on stderr, if it is a terminal). Call this before the first download."""
    global _progress
    _progress = on


def local_path(source: str | Path) -> Path:
    """The local path of `source`, downloaded if necessary.

    Args:
        source: `hf://owner/repo/file[@revision]`, `https://...` (`http://` on this machine only), or a path.

    Raises:
        GatedError: the hub requires a login or accepted terms (401, 403).
        DownloadError: the file does not exist, or the network, the connection or the disk failed.
    """
    if "://" not in str(source):
        return _check_file(source)
    from huggingface_hub import constants

    remote = _remote(str(source))
    cached = remote.cached()
    if cached and (remote.unchanging or constants.HF_HUB_OFFLINE):
        return cached
    if constants.HF_HUB_OFFLINE:
        raise DownloadError(f"{source}: not on this machine, and HF_HUB_OFFLINE is set; unset it, or {_ELSEWHERE}")
    try:
        return remote.download(cached is not None)
    except DownloadError:
        raise
    except Exception as error:  # the HTTP clients (requests, httpx, urllib) have no common base class of errors
        if cached:
            return cached
        raise _download_error(remote, error) from error


def is_reachable(seconds: float = 0.7) -> bool:
    """Whether the hub, or the proxy in front of it, accepts a connection within `seconds`."""
    import socket
    from threading import Thread
    from urllib.request import getproxies, proxy_bypass

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    url = urlsplit(constants.ENDPOINT)
    proxy = None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)
    target = urlsplit(proxy if proxy is None or "://" in proxy else f"http://{proxy}") if proxy else url
    connected: list[bool] = []

    def connect() -> None:
        try:
            port = target.port or (443 if target.scheme == "https" else 80)
            socket.create_connection((target.hostname, port), seconds).close()
            connected.append(True)
        except (OSError, ValueError):
            pass

    thread = Thread(target=connect, daemon=True)  # name resolution has no time limit
    thread.start()
    thread.join(seconds)
    return bool(connected)


def is_cached(source: str | Path) -> bool:
    """Whether `source`, as in `local_path`, is on this machine."""
    return _local_copy(source) is not None


def local_path_or_open(gated: str, open_source: str | None, ask: bool = False) -> tuple[Path, bool]:
    """The gated weights, which can clone voices, if available; else the open ones. Returns the file, and whether it can clone.

    A cached file is used without a request. With `ask`, the gated file is requested even if the open one is cached, so a user who
    has accepted the terms gets it.

    Raises:
        GatedError, DownloadError: neither file is available.
    """
    sources = [(gated, True), (open_source, False)] if open_source else [(gated, True)]
    for source, can_clone in sources:
        if (path := _local_copy(source)) and (can_clone or not ask):
            return path, can_clone
    try:
        return local_path(gated), True
    except DownloadError:
        if not open_source:
            raise
        return local_path(open_source), False


def assets(kind: str) -> Path:
    """The folder for this package's files of some kind, in the assets folder of the hub's cache. It may not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE, "pockettts", kind)


@contextmanager
def assets_in(folder: Path) -> Iterator[None]:
    """Within this context, this package's files, including those of child processes, go to `folder`. For code that must leave no files
    behind."""
    from huggingface_hub import constants

    before = constants.HF_ASSETS_CACHE, os.environ.get("HF_ASSETS_CACHE")
    os.environ["HF_ASSETS_CACHE"] = constants.HF_ASSETS_CACHE = str(folder)
    try:
        yield
    finally:
        constants.HF_ASSETS_CACHE, was = before
        os.environ.pop("HF_ASSETS_CACHE") if was is None else os.environ.update(HF_ASSETS_CACHE=was)


@dataclass(frozen=True)
class _HubFile:
    """A file in a repository on the Hugging Face hub."""

    repo: str
    name: str
    revision: str

    @property
    def unchanging(self) -> bool:
        return re.fullmatch("[0-9a-f]{40}", self.revision) is not None

    def cached(self) -> Path | None:
        from huggingface_hub import constants

        folder = Path(constants.HF_HUB_CACHE, "models--" + self.repo.replace("/", "--"))
        ref = folder / "refs" / self.revision  # the last known commit of a branch or tag
        path = folder / "snapshots" / (ref.read_text() if ref.is_file() else self.revision) / self.name
        return path if path.is_file() else None

    def download(self, is_cached: bool) -> Path:
        import logging

        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our own message is one line
        if not _progress:
            disable_progress_bars()
        if not is_cached:  # ask once: without a network, hf_hub_download would retry for minutes
            get_hf_file_metadata(hf_hub_url(self.repo, self.name, revision=self.revision), timeout=_HEAD_SECONDS)
        return Path(hf_hub_download(self.repo, self.name, revision=self.revision, etag_timeout=_HEAD_SECONDS))

    def __str__(self) -> str:
        return f"hf://{self.repo}/{self.name}" + ("" if self.revision == "main" else f"@{self.revision}")


@dataclass(frozen=True)
class _WebFile:
    """A file at an https:// URL."""

    url: str
    unchanging = True  # web files are not checked for changes

    def _place(self) -> Path:
        from hashlib import sha256

        suffix = re.search(r"\.\w{1,12}$", urlsplit(self.url).path)
        name = sha256(self.url.encode()).hexdigest()[:32] + (suffix[0] if suffix else "")
        return assets("web") / name

    def cached(self) -> Path | None:
        return self._place() if self._place().is_file() else None

    def download(self, is_cached: bool) -> Path:
        from urllib.request import HTTPRedirectHandler, Request, build_opener

        from huggingface_hub.utils import disable_progress_bars, tqdm  # type: ignore[attr-defined]

        class Redirects(HTTPRedirectHandler):
            def redirect_request(self, request: Request, *args: Any) -> Request | None:
                _check_url(args[-1], secure=request.type == "https")
                return super().redirect_request(request, *args)

        if not _progress:
            disable_progress_bars()
        place = self._place()
        place.parent.mkdir(parents=True, exist_ok=True)
        request = Request(self.url, headers={"User-Agent": "pockettts", "Accept-Encoding": "identity"})
        with (
            whole_file(place) as part,
            open(part, "wb") as file,
            build_opener(Redirects).open(request, timeout=_READ_SECONDS) as response,
        ):
            size = response.headers["Content-Length"]
            total = size and int(size)
            label = self.url.rpartition("/")[2][-40:]
            with tqdm(total=total, desc=label, unit="B", unit_scale=True, disable=None) as bar:  # type: ignore[no-untyped-call]
                while block := response.read(1 << 18):
                    file.write(block)
                    bar.update(len(block))
            if total is not None and file.tell() != total:
                raise ConnectionError(f"only {file.tell()} of {total} bytes arrived")
        return place

    def __str__(self) -> str:
        return self.url


def _remote(url: str) -> _HubFile | _WebFile:
    if not url.startswith("hf://"):
        _check_url(url)
        return _WebFile(url)
    match = _HF_URL.fullmatch(url)
    if not match or any(part in ("", ".", "..") for part in re.split("[/@]", url[len("hf://") :])):
        raise DownloadError(
            f"{url}: not a file on the hub; write hf://owner/repo/file or hf://owner/repo/file@revision"
        )
    return _HubFile(match[1], match[2], match[3] or "main")


def _check_url(url: str, secure: bool = False) -> None:
    """Allow `https://` anywhere, and `http://` on this machine unless a `secure` server redirects there. Raises DownloadError."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        scheme, host = "", None
    here = scheme == "http" and host in ("localhost", "127.0.0.1", "::1") and not secure
    if not host or not (scheme == "https" or here):
        raise DownloadError(f"{url}: not an address that can be fetched; use https://, hf:// or a path")


def _check_file(path: str | Path) -> Path:
    if not os.path.exists(path):
        raise DownloadError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise DownloadError(f"{path}: not a file")
    if not os.access(path, os.R_OK):
        raise DownloadError(f"{path}: can't be read; check its permissions")
    return Path(path)


def _local_copy(source: str | Path) -> Path | None:
    if "://" in str(source):
        return _remote(str(source)).cached()
    return Path(source) if os.path.isfile(source) else None


def _download_error(source: _HubFile | _WebFile, error: Exception) -> DownloadError:
    """The DownloadError for an error of any HTTP client, with a one-line message."""
    response = getattr(error, "response", error)  # an error of urllib is itself the response
    status = getattr(response, "status_code", getattr(response, "code", None))
    if status in (401, 403, 404) and isinstance(source, _HubFile):
        code: str = getattr(response, "headers", {}).get("X-Error-Code") or ""
        if status == 404:
            what = {"EntryNotFound": f"file {source.name}", "RevisionNotFound": f"revision {source.revision}"}.get(code)
            return DownloadError(f"{source}: the hub has no {what or 'such repository'} (404); check the spelling")
        check = "" if code == "GatedRepo" else "check the name, "
        return GatedError(
            f"{source}: the hub requires permission ({status}); {check}accept the terms at "
            f"https://huggingface.co/{source.repo}, then run `hf auth login` or set HF_TOKEN"
        )
    if isinstance(status, int):
        advice = "try again later" if status == 429 or status >= 500 else "check the address"
        return DownloadError(f"{source}: the server answered {status}; {advice}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(f"{source}: the disk is full; free some space, or set HF_HOME to a folder elsewhere")
    if isinstance(error, PermissionError):
        return DownloadError(
            f"{source}: can't write to the cache ({error}); set HF_HOME to a folder where you may write"
        )
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DownloadError(f"{source}: the download failed ({reason}); check the network and try again, or {_ELSEWHERE}")
