"""Claims: which pairs are being judged right now, over all threads and processes.

A claim is a lock on the one byte, in a file beside the store, that a pair's key names. Such a lock
belongs to the open file, hence to one `Claims`, and is gone when its owner dies. Nothing is ever
written to these files.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

_FILES = 16  # the kernel looks through all locks of a file for each new one
_BYTES = 2**58  # of a file's possible length; keys of equal remainders only wait in vain


class Claims:
    """The claims of one asker; all are given back at the end of the block."""

    def __init__(self, store: Path) -> None:
        store = store.resolve()  # a link to the store is the same store
        self._folder = store.with_name(store.name + ".claims")

    def __enter__(self) -> "Claims":
        self._folder.mkdir(exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._files = [os.open(self._folder / str(i), flags, 0o644) for i in range(_FILES)]
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            os.close(file)

    def acquire(self, keys: np.ndarray) -> np.ndarray:
        """Claim keys (n x 2) without waiting.

        Returns:
            For each key whether it is claimed now; False where another asker has it.
        """
        return np.array([self._lock(fcntl.F_WRLCK, *place) for place in _places(keys)], bool)

    def release(self, keys: np.ndarray) -> None:
        """Let others have these keys (n x 2), which were claimed."""
        for place in _places(keys):
            self._lock(fcntl.F_UNLCK, *place)

    def _lock(self, kind: int, file: int, byte: int) -> bool:
        # struct flock: type, whence, start, length, pid (0 for a lock of the open file)
        request = struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0)
        try:
            fcntl.fcntl(self._files[file], fcntl.F_OFD_SETLK, request)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True


def _places(keys: np.ndarray) -> Iterator[tuple[int, int]]:
    """File and byte of each key."""
    return zip((keys[:, 0] % _FILES).tolist(), (keys[:, 1] % _BYTES).tolist(), strict=True)
