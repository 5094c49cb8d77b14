"""Announces the Wyoming server in the local network (mDNS, `_wyoming._tcp.local.`), where Home Assistant looks for it."""

import logging
import socket
from ipaddress import ip_address

import ifaddr  # zeroconf brings it
from zeroconf import InterfaceChoice, ServiceInfo, Zeroconf

SERVICE = "_wyoming._tcp.local."

logger = logging.getLogger("pockettts.server")


class Announcement:
    """Announces the server from construction until `close`.

    Args:
        name: of the service. If another machine has announced the same name, a number is appended.
        host, port: where the server listens. For a host that means all addresses, each address is announced.

    Raises OSError if this machine can't send multicast messages.
    """

    def __init__(self, name: str, host: str, port: int) -> None:
        addresses = _addresses(host)
        if all(ip_address(address).is_loopback for address in addresses):
            logger.warning(
                "%s is announced, but only this machine can reach it: use --host 0.0.0.0 for other machines", host
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
        """Withdraw the announcement."""
        self._zeroconf.unregister_all_services()
        self._zeroconf.close()


def _addresses(host: str) -> list[str]:
    """The IPv4 addresses of a host, or else its IPv6 addresses. Raises OSError."""
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
