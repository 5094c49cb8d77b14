"""The Wyoming server in the local network's directory (mDNS, as `_wyoming._tcp.local.`), where Home Assistant looks for it."""

import logging
import socket
from ipaddress import ip_address

import ifaddr  # zeroconf brings it
from zeroconf import InterfaceChoice, ServiceInfo, Zeroconf

SERVICE = "_wyoming._tcp.local."

logger = logging.getLogger("pockettts.server")


class Announcement:
    """Says where the server is, from when it is made until `close`.

    Args:
        name: under which it is found; one that is taken gets a number.
        host, port: where the server listens. A host that stands for all addresses is announced as these.

    Raises OSError: this machine can't send to its network's directory.
    """

    def __init__(self, name: str, host: str, port: int) -> None:
        addresses = _addresses(host)
        if all(ip_address(address).is_loopback for address in addresses):
            logger.warning(
                "%s is announced, but only this machine reaches it: other machines need --host 0.0.0.0", host
            )
        everywhere = ip_address(addresses[0]) != ip_address(host) if _is_ip(host) else False
        self._zeroconf = Zeroconf(interfaces=InterfaceChoice.All if everywhere else addresses)
        try:
            info = ServiceInfo(SERVICE, f"{name}.{SERVICE}", port, parsed_addresses=addresses)
            self._zeroconf.register_service(info, allow_name_change=True)
        except BaseException:
            self._zeroconf.close()
            raise

    def close(self) -> None:
        """Take it back."""
        self._zeroconf.unregister_all_services()
        self._zeroconf.close()


def _addresses(host: str) -> list[str]:
    """The addresses of a host, of version 4 where there are some. Raises OSError."""
    if _is_ip(host) and ip_address(host).is_unspecified:
        found = [str(own.ip) for adapter in ifaddr.get_adapters() for own in adapter.ips if own.is_IPv4]
        return [address for address in found if not ip_address(address).is_loopback] or ["127.0.0.1"]
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    found = sorted({str(info[4][0]) for info in infos}, key=lambda address: ip_address(address).version)
    return [address for address in found if ip_address(address).version == ip_address(found[0]).version]


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
