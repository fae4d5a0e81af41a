"""Locks beside a store: who may open it, and which pairs are being judged right now.

A store is open in one thread of one process at a time, and in nobody across a fork. DuckDB locks
its file for the process. Two things lose committed rows behind its back: a second handle on the
file in the same process, since closing that gives the lock away; and a fork while the file is open,
since parent and child then both write. So a process has one gate, whatever store is opened. A fork
waits at the gate until the file is closed, and the gate stays shut in a child whose parent has
passed it: neither DuckDB nor polars survives a fork.
"""

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from speciarl.errors import CacheError

LOCK_SECONDS = 60.0
POLL_SECONDS = 0.002
MOUNTS = Path("/proc/self/mountinfo")
LOCAL_OPTIONS = ("nolock", "local_lock=all", "local_lock=flock", "local_lock=posix", "localflock")
"""Of NFS and Lustre: a lock is known to the node that holds it, and to no other."""
_FILES = 16  # the kernel looks through all locks of a file for each new one
_BYTES = 2**58  # of a file's possible length; keys of equal remainders only wait in vain


class _Gate:
    """Lets one thread of this process through at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a fork by the thread inside must not wait for itself
        self._inside: int | None = None
        self._passed = False
        self._shut = False
        os.register_at_fork(
            before=lambda: self._lock.acquire(),
            after_in_parent=lambda: self._lock.release(),
            after_in_child=self._forked,
        )

    def _forked(self) -> None:
        self._lock = threading.RLock()
        self._inside = None
        self._shut = self._passed

    @contextmanager
    def passed(self, path: Path, seconds: float) -> Iterator[None]:
        if self._shut:
            raise CacheError(
                f"{path} cannot be opened in process {os.getpid()}, forked from one that has used "
                "a store: start it with spawn instead"
            )
        here = threading.get_ident()
        if self._inside == here:
            raise CacheError(
                f"{path} cannot be opened: process {os.getpid()}, this one, has a store open, and "
                "a second handle could lose rows; close it first"
            )
        if not self._lock.acquire(timeout=seconds):
            raise CacheError(_held(path, f"another thread of process {os.getpid()}", seconds))
        self._inside, self._passed = here, True
        try:
            yield
        finally:
            self._inside = None
            self._lock.release()


_GATE = _Gate()


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock file beside the store; it frees itself when its owner dies.

    Raises:
        CacheError: this thread holds one already, this process is a fork, or another holds it
            longer than `seconds`; the line names the process.
    """
    deadline = time.monotonic() + seconds
    require_locks(path.resolve().parent)
    with _GATE.passed(path, seconds):
        handle = _opened(beside(path, ".lock"))
        try:
            while not _taken(handle):
                if time.monotonic() > deadline:
                    owner = os.pread(handle, 20, 0).decode().strip("\0\n ") or "unknown"
                    raise CacheError(_held(path, process(owner), seconds))
                time.sleep(POLL_SECONDS)
            os.pwrite(handle, f"{os.getpid():<20}".encode(), 0)
            yield
        finally:
            os.close(handle)


@cache
def require_locks(folder: Path) -> None:
    """See, once for each folder, that a lock on a file there keeps others out, on other nodes too.

    Raises:
        CacheError: it does not; the line says what to do.
    """
    fault = _local_locks(folder) or _broken_locks(folder)
    if fault:
        raise CacheError(
            f"{folder}: {fault}, so jobs would overwrite each other's verdicts: set verdicts.store "
            "to a file on a disk of this machine; on a cluster take node_local=1, as "
            "workflow/profiles/slurm does (docs/cluster.md)"
        )


def _local_locks(folder: Path) -> str | None:
    """The option of the folder's file system by which locks are those of one node only."""
    if not MOUNTS.is_file():
        return None
    options: dict[Path, set[str]] = {}
    for line in MOUNTS.read_text().splitlines():
        mount, _, system = line.partition(" - ")
        place = mount.split()[4].replace("\\040", " ")
        options[Path(place)] = {*mount.split()[5].split(","), *system.split()[-1].split(",")}
    of_folder = next((options[p] for p in (folder, *folder.parents) if p in options), set())
    found = of_folder.intersection(LOCAL_OPTIONS)
    return f"it is mounted with {min(found)}, where no lock reaches other nodes" if found else None


def _broken_locks(folder: Path) -> str | None:
    """Why two open files of one name do not keep each other out, by either kind of lock."""
    with NamedTemporaryFile(prefix=".locks-", dir=folder) as file:
        other = _opened(Path(file.name))
        try:
            for take in (_taken, lambda handle: _range_lock(handle, fcntl.F_WRLCK, 0)):
                if not take(file.fileno()) or take(other):
                    return "a lock on a file there keeps nobody out"
        except OSError as error:
            return f"files there cannot be locked ({error.strerror})"
        finally:
            os.close(other)
    return None


def process(pid: str) -> str:
    """A process by its number and, where the system tells, what it runs."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, ValueError):
        return f"process {pid}"
    words = "".join(c if c.isprintable() else " " for c in command).split()
    return f"process {pid} ({' '.join(words)[:80]})" if words else f"process {pid}"


def beside(store: Path, ending: str) -> Path:
    """A file of the store's, beside its real path: a link to the store is the same store."""
    store = store.resolve()
    return store.with_name(store.name + ending)


def _opened(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(path: Path, owner: str, seconds: float) -> str:
    file = beside(path, ".lock")
    return f"{file} is held for more than {seconds:g} s by {owner}: wait for it, or end it"


class Claims(ExitStack):
    """Which pairs one asker has for itself, over all threads and processes, until the block ends.

    A claim is a lock on the one byte, in a file beside the store, that a pair's key names. It
    belongs to the open file, hence to one `Claims`, and is gone when its owner dies. Nothing is
    ever written to these files.
    """

    def __init__(self, store: Path) -> None:
        super().__init__()
        folder = beside(store, ".claims")
        folder.mkdir(exist_ok=True)
        self._files = [_opened(folder / str(number)) for number in range(_FILES)]
        for file in self._files:
            self.callback(os.close, file)

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
        return _range_lock(self._files[file], kind, byte)


def _range_lock(handle: int, kind: int, byte: int) -> bool:
    """Lock or unlock a byte for an open file, without waiting; False where another has it."""
    # struct flock: type, whence, start, length, pid (0 for a lock of the open file)
    request = struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _places(keys: np.ndarray) -> Iterator[tuple[int, int]]:
    """File and byte of each key."""
    return zip((keys[:, 0] % _FILES).tolist(), (keys[:, 1] % _BYTES).tolist(), strict=True)
