"""Files that appear whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

_ADVICE = {
    errno.EISDIR: "give the name of a file",
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "make its folder first",
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.EFBIG: "write elsewhere",
}


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A hidden path beside `path`: renamed to it when the block ends well, removed when it does not.

    A link stays, and the file it points to is replaced. What is there and is no ordinary file (/dev/null, a FIFO) is
    written in place, so the path is then `path` itself.

    Raises:
        OSError: the file can't be renamed, or there is one that must not be written.
    """
    path = Path(os.path.realpath(path))
    if os.path.exists(path) and not os.path.isfile(path):
        yield path
        return
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def trim(folder: Path, most: int) -> None:
    """Remove what was not used for longest, and what a process that died has left, until the rest is below `most` bytes.

    Raises OSError. The newest file stays, however large.
    """
    entries = sorted(((path.stat(), path) for path in folder.iterdir()), key=lambda entry: entry[0].st_mtime)
    size = sum(stat.st_size for stat, _ in entries)
    for stat, path in entries[:-1]:
        if size <= most:
            break
        path.unlink(missing_ok=True)
        size -= stat.st_size


def check_place(path: str | Path) -> None:
    """Raise OSError if no file can be made where `path` is to be: better now than after all the work."""
    TemporaryFile(dir=os.path.dirname(path) or ".").close()


def cannot_write(path: str | Path, error: OSError) -> str:
    """One line for people: what could not be written, why, and what to do."""
    advice = _ADVICE.get(error.errno or 0, "write to a place where you may")
    return f"can't write {path} ({error.strerror or error}): {advice}"
