"""Files that are written completely or not at all, and streams that are written in place."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

_ADVICE = {
    errno.EISDIR: "give the name of a file",
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "make its folder first",
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.EFBIG: "write elsewhere",
    errno.EBADF: "open it in the shell first",
}
_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})|/proc/self/fd/(\d{1,9})")
_NAMED = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def descriptor_of(path: str | Path) -> int | None:
    """The open file descriptor that a path such as /dev/stdout or /dev/fd/63 names; None for any other path."""
    name = os.path.normpath(path)
    match = _DESCRIPTOR.fullmatch(name)
    return int(match[1] or match[2]) if match else _NAMED.get(name)


def is_stream(path: str | Path) -> bool:
    """Whether a path is written in place, without seeking: an open descriptor, /dev/null, a FIFO or similar."""
    if descriptor_of(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_stream(path: str | Path) -> BinaryIO:
    """Open a stream (`is_stream`) for writing. A descriptor of a file keeps its position, as `>> FILE` expects.

    Raises OSError.
    """
    descriptor = descriptor_of(path)
    return open(path if descriptor is None else os.dup(descriptor), "wb")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A hidden temporary path in the folder of `path`. It is renamed to `path` at the end of the block, or removed if the block raises an error.

    If `path` is a link, the link stays and its target is replaced. Streams (`is_stream`) are written in place, so the path is then
    `path` itself.

    Raises:
        OSError: the file can't be renamed, or an existing file is not writable.
    """
    if is_stream(path):
        yield Path(path)
        return
    path = Path(os.path.realpath(path))
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def trim(folder: Path, max_bytes: int) -> None:
    """Remove the least recently used files, including leftovers of killed processes, until the folder is below `max_bytes`.

    The newest file is kept, whatever its size. Raises OSError.
    """
    entries = sorted(((path.stat(), path) for path in folder.iterdir()), key=lambda entry: entry[0].st_mtime)
    size = sum(status.st_size for status, _ in entries)
    for status, path in entries[:-1]:
        if size <= max_bytes:
            break
        path.unlink(missing_ok=True)
        size -= status.st_size


def check_place(path: str | Path) -> None:
    """Raise OSError if no file can be created at `path`, so that the user knows before a long run."""
    if not is_stream(path):
        TemporaryFile(dir=os.path.dirname(path) or ".").close()


def cannot_write(path: str | Path, error: OSError) -> str:
    """The message for a failed write, in one line: the path, the reason, and what to do."""
    advice = _ADVICE.get(error.errno or 0, "choose a folder where you may write")
    return f"can't write {path} ({error.strerror or error}): {advice}"
