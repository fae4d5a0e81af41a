"""A disk that cannot be written, which each library words in its own way, told from our faults."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speciarl.errors import DiskError, SpeciaRLError, one_line

FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_SAYS_FULL = re.compile(r"No space left|Disk quota|PytorchStreamWriter")
_SAYS_REFUSED = re.compile(r"Read-only file system|Permission denied")
NOTHING = 1 << 16  # bytes: torch fails with words of its own, on a disk that has no more than this


@contextmanager
def room_for(path: Path, needed: int | None = None) -> Iterator[None]:
    """Whatever the block fails with because the disk of `path` is full becomes one line.

    Args:
        needed: how many bytes the block writes, where that is known.

    Raises:
        DiskError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        if found := full_disk(error, path, needed):
            raise found from error
        raise


def full_disk(error: BaseException, path: Path, needed: int | None = None) -> DiskError | None:
    """What to tell instead of an error that a full disk has caused; None of any other."""
    if isinstance(error, SpeciaRLError):
        return None
    left = free(path)
    if left >= NOTHING and not any(map(_says_full, _chain(error))):
        return None
    size = f"{needed} bytes are needed, " if needed else ""
    return DiskError(
        f"no room left on the disk of {path} ({size}{left} are free; {one_line(error)[:100]}): "
        "make some and start again, which goes on from what is whole"
    )


def disk_error(error: BaseException, path: Path) -> DiskError | None:
    """As `full_disk`, and of files that may not be written or read."""
    if full := full_disk(error, path):
        return full
    number, said = getattr(error, "errno", None), one_line(error)
    if isinstance(error, SpeciaRLError) or not (number in _REFUSED or _SAYS_REFUSED.search(said)):
        return None
    named = getattr(error, "filename", None) or path
    return DiskError(f"{named}: {said[:100]}: let this user read and write it, and start again")


def free(path: Path) -> int:
    """The bytes left on the disk of a file or folder, be it not made yet."""
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    disk = os.statvfs(there)
    return disk.f_bavail * disk.f_frsize


def _says_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in FULL or bool(_SAYS_FULL.search(str(error)))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
