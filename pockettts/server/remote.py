"""Downloads from URLs in requests: only from public addresses, and only up to a size."""

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from .errors import RequestError

_HUB = re.compile(r"hf://([\w.-]+)/([\w.-]+)/([^@\\]+)(?:@([^@\\]+))?")
_REDIRECTS = 5
_SECONDS = 30  # for the whole download
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is public. An IPv4 address that is embedded in an IPv6 address is judged as IPv4."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6:
        inner = ip.ipv4_mapped or ip.sixtofour or (ipaddress.ip_address(ip.packed[12:]) if ip in _NAT64 else None)
        if inner is not None:
            return is_public(str(inner))
        if ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast


def fetch(url: str, max_bytes: int, allowed: Callable[[str], bool] = is_public) -> bytes:
    """Download a file of at most `max_bytes` bytes from `http://`, `https://` or `hf://`, without an access token.

    Each host name is resolved once. All its addresses are checked, and the connection goes to one of them, so a name server can't
    give another address after the check (DNS rebinding). The same holds for each redirect.

    Raises:
        RequestError: the URL has another scheme or is not allowed, or the file does not exist, is too large or takes too long.
    """
    until = time.monotonic() + _SECONDS
    try:
        target = _web_address(url)
        for _ in range(_REDIRECTS + 1):
            connection = _connect(target, url, allowed)
            try:
                parts = urlsplit(target)
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("GET", path, headers={"User-Agent": "pockettts", "Accept-Encoding": "identity"})
                response = connection.getresponse()
                if response.status in (301, 302, 303, 307, 308):
                    target = urljoin(target, response.headers.get("Location", ""))
                    continue
                if response.status != 200:
                    raise RequestError(f"{url[:200]}: the server answered {response.status}; check the address")
                return _body(response, url, max_bytes, until)
            finally:
                connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise RequestError(f"{url[:200]}: the download failed ({reason}); check the address") from None
    raise RequestError(f"{url[:200]}: too many redirects; give the final URL")


def _web_address(url: str) -> str:
    if not url.startswith("hf://"):
        return url
    match = _HUB.fullmatch(url)
    if not match:
        raise RequestError(
            f"{url[:200]}: not a file on the hub; write hf://owner/repo/file or hf://owner/repo/file@revision"
        )
    from huggingface_hub import hf_hub_url

    return hf_hub_url(f"{match[1]}/{match[2]}", match[3], revision=match[4] or "main")


def _connect(target: str, url: str, allowed: Callable[[str], bool]) -> http.client.HTTPConnection:
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RequestError(f"{url[:200]}: this URL can't be downloaded; use https:// or hf://")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = [str(info[4][0]) for info in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)]
    if not found or not all(map(allowed, found)):
        raise RequestError(f"{url[:200]}: not a public address; give a public one, or upload the file")
    plain = socket.create_connection((found[0], port), timeout=_SECONDS / 3)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    try:
        secure = parts.scheme == "https"
        connection.sock = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname) if secure else plain
        )
    except BaseException:
        plain.close()
        raise
    return connection


def _body(response: http.client.HTTPResponse, url: str, max_bytes: int, until: float) -> bytes:
    data = bytearray()
    while block := response.read1(1 << 16):
        data += block
        if len(data) > max_bytes:
            raise RequestError(f"{url[:200]}: more than {max_bytes:,} bytes; give a shorter recording", 413)
        if time.monotonic() > until:
            raise RequestError(f"{url[:200]}: took longer than {_SECONDS} seconds; upload the file instead")
    if response.length:
        raise RequestError(f"{url[:200]}: the connection broke; try again")
    return bytes(data)
