"""Run a command without network access, except to this machine: python scripts/offline.py COMMAND [ARGUMENT...]

On Linux the command runs in its own network namespace, if that is permitted. Elsewhere the hub's address is set to a closed port, which
only blocks requests of `huggingface_hub`. The exit status is the command's.
"""

import os
import shutil
import subprocess
import sys

CLOSED_PORT = "http://127.0.0.1:9"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def without_proxies(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.upper() not in PROXIES}


def namespace() -> list[str]:
    """The prefix that runs a command without a network; [] if this is not possible."""
    unshare = shutil.which("unshare")
    for options in (["--net"], ["--map-root-user", "--net"]):
        if unshare and subprocess.run([unshare, *options, "true"], capture_output=True).returncode == 0:
            return [unshare, *options]
    return []


def start_loopback() -> None:
    """Bring up `lo`, which is down in a new namespace."""
    import fcntl
    import socket
    import struct

    set_flags, up_and_running = 0x8914, 0x41  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        fcntl.ioctl(connection, set_flags, struct.pack("16sh14x", b"lo", up_and_running))


def main() -> None:
    inside, command = sys.argv[1:2] == ["--inside"], sys.argv[1:]
    environment = without_proxies(dict(os.environ))
    if inside:
        start_loopback()
        command = command[1:]
    elif prefix := namespace():
        command = [*prefix, sys.executable, __file__, "--inside", *command]
    else:
        environment["HF_ENDPOINT"] = CLOSED_PORT
    if not command:
        sys.exit(__doc__)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main()
