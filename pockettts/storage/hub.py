"""Files by name: `hf://owner/repo/file@revision`, `https://...` or a path -> a file on this machine.

Hub files go through `huggingface_hub` with its own cache, token and HF_HUB_OFFLINE; web files are kept in its assets
folder. What is cached is used without asking; only a hub file without a commit, which may have changed, is asked for,
and taken from the cache if the hub can't be reached. Importing all of `huggingface_hub` takes 0.4 s, so its cache, of
which it documents the layout, is looked into with no more than its constants.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import DownloadError, GatedError
from .files import whole_file

_HEAD_SECONDS = 5  # for the hub's first answer: where there is no network, nobody should wait long for nothing
_READ_SECONDS = 20  # for each piece of a web file
_HF_URL = re.compile(r"hf://([\w.-]+/[\w.-]+)/([^@\\]+)(?:@([^@\\]+))?")
_ELSEWHERE = "run `pockettts download MODEL [VOICE...]` once with a network"
_progress = True


def show_progress(on: bool) -> None:
    """Whether downloads show a bar (on stderr, if that is a terminal), from the first download on."""
    global _progress
    _progress = on


def local_path(source: str | Path) -> Path:
    """The file that `source` names, downloaded if need be.

    Args:
        source: `hf://owner/repo/file[@revision]`, `https://...` (`http://` on this machine only), or a path.

    Raises:
        GatedError: the hub wants a login or accepted terms (401, 403).
        DownloadError: no such file, no network, a connection that broke, a full disk.
    """
    if "://" not in str(source):
        return _checked(source)
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
    except Exception as error:  # HTTP clients (requests, httpx, urllib) have errors of their own, without a common base
        if cached:
            return cached
        raise _explained(remote, error) from error


def is_reachable(seconds: float = 0.7) -> bool:
    """Whether something answers at the hub's address, or at the proxy on the way there, within so many seconds."""
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

    thread = Thread(target=connect, daemon=True)  # looking up a name has no time limit of its own
    thread.start()
    thread.join(seconds)
    return bool(connected)


def is_cached(source: str | Path) -> bool:
    """Whether `source`, as for `local_path`, is on this machine."""
    return _here(source) is not None


def local_path_or_open(gated: str, open_source: str | None, ask: bool = False) -> tuple[Path, bool]:
    """The weights that can clone voices if they can be had, else the open ones; and whether it is the former.

    Whichever is cached is taken without asking. With `ask`, the hub is asked for the gated file although the open one
    is cached: so a user who has accepted the terms gets from one to the other.

    Raises:
        GatedError, DownloadError: neither can be had.
    """
    sources = [(gated, True), (open_source, False)] if open_source else [(gated, True)]
    for source, can_clone in sources:
        if (path := _here(source)) and (can_clone or not ask):
            return path, can_clone
    try:
        return local_path(gated), True
    except DownloadError:
        if not open_source:
            raise
        return local_path(open_source), False


def assets(kind: str) -> Path:
    """The folder for files of our own of some kind, in the hub's assets; it need not be there yet."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE, "pockettts", kind)


@contextmanager
def assets_in(folder: Path) -> Iterator[None]:
    """Inside, files of our own go to that folder, from here and from child processes: for what leaves nothing behind."""
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
    repo: str
    name: str
    revision: str

    @property
    def unchanging(self) -> bool:
        return re.fullmatch("[0-9a-f]{40}", self.revision) is not None

    def cached(self) -> Path | None:
        from huggingface_hub import constants

        folder = Path(constants.HF_HUB_CACHE, "models--" + self.repo.replace("/", "--"))
        ref = folder / "refs" / self.revision  # the commit of a branch or tag when it was last seen
        path = folder / "snapshots" / (ref.read_text() if ref.is_file() else self.revision) / self.name
        return path if path.is_file() else None

    def download(self, is_cached: bool) -> Path:
        import logging

        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.utils import disable_progress_bars

        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what it warns of, we say in one line
        if not _progress:
            disable_progress_bars()
        if not is_cached:  # ask once: without a network, hf_hub_download would go on asking for minutes
            get_hf_file_metadata(hf_hub_url(self.repo, self.name, revision=self.revision), timeout=_HEAD_SECONDS)
        return Path(hf_hub_download(self.repo, self.name, revision=self.revision, etag_timeout=_HEAD_SECONDS))

    def __str__(self) -> str:
        return f"hf://{self.repo}/{self.name}" + ("" if self.revision == "main" else f"@{self.revision}")


@dataclass(frozen=True)
class _WebFile:
    url: str
    unchanging = True  # as far as we are concerned

    def _place(self) -> Path:
        from hashlib import sha256

        suffix = re.search(r"\.\w{1,12}$", urlsplit(self.url).path)
        name = sha256(self.url.encode()).hexdigest()[:32] + (suffix[0] if suffix else "")
        return assets("web") / name

    def cached(self) -> Path | None:
        return self._place() if self._place().is_file() else None

    def download(self, is_cached: bool) -> Path:
        from urllib.request import HTTPRedirectHandler, Request, build_opener

        from huggingface_hub.utils import disable_progress_bars, tqdm

        class Redirects(HTTPRedirectHandler):
            def redirect_request(self, request, *args):
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
            with tqdm(total=total, desc=label, unit="B", unit_scale=True, disable=None) as bar:
                while block := response.read(1 << 18):
                    file.write(block)
                    bar.update(len(block))
            if total is not None and file.tell() != total:
                raise ConnectionError(f"only {file.tell()} of {total} bytes came")
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
    """`https://` anywhere; and `http://` on this machine, unless a `secure` server points there."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        scheme = host = None
    here = scheme == "http" and host in ("localhost", "127.0.0.1", "::1") and not secure
    if not host or not (scheme == "https" or here):
        raise DownloadError(f"{url}: not an address that can be fetched; use https://, hf:// or a path")


def _checked(path: str | Path) -> Path:
    if not os.path.exists(path):
        raise DownloadError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise DownloadError(f"{path}: not a file")
    if not os.access(path, os.R_OK):
        raise DownloadError(f"{path}: can't be read; check its permissions")
    return Path(path)


def _here(source: str | Path) -> Path | None:
    if "://" in str(source):
        return _remote(str(source)).cached()
    return Path(source) if os.path.isfile(source) else None


def _explained(source: _HubFile | _WebFile, error: Exception) -> DownloadError:
    """`error`, whichever client raised it, in one line for people."""
    response = getattr(error, "response", error)  # urllib's errors are themselves the response
    status = getattr(response, "status_code", getattr(response, "code", None))
    if status in (401, 403, 404) and isinstance(source, _HubFile):
        code = response.headers.get("X-Error-Code")
        if status == 404:
            what = {"EntryNotFound": f"file {source.name}", "RevisionNotFound": f"revision {source.revision}"}.get(code)
            return DownloadError(f"{source}: the hub has no {what or 'such repository'} (404); check the spelling")
        check = "" if code == "GatedRepo" else "check the name, "
        return GatedError(
            f"{source}: the hub wants permission ({status}); {check}accept the terms at "
            f"https://huggingface.co/{source.repo}, then run `hf auth login` or set HF_TOKEN"
        )
    if isinstance(status, int):
        advice = "try again later" if status == 429 or status >= 500 else "check the address"
        return DownloadError(f"{source}: the server answered {status}; {advice}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(f"{source}: the disk is full; free some space, or set HF_HOME to a folder elsewhere")
    if isinstance(error, PermissionError):
        return DownloadError(f"{source}: can't write to the cache ({error}); set HF_HOME to a folder of yours")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DownloadError(f"{source}: the download failed ({reason}); check the network and try again, or {_ELSEWHERE}")
