"""Writes in the background what comes in piece by piece, a few times a second."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

FLUSH_SECONDS = 0.25
T = TypeVar("T")


class WriteBehind(Generic[T]):
    """Collects items and stores together what came within FLUSH_SECONDS.

    An error of the store is raised by a later `add`, or by `flush`.

    Args:
        store: called with the items, in one background thread.
    """

    def __init__(self, store: Callable[[list[T]], None]) -> None:
        self._store = store
        self._waiting: list[T] = []
        self._scheduled = False
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._writes: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, "verdict store")

    def add(self, item: T) -> None:
        """Store this soon."""
        with self._lock:
            self._waiting.append(item)
            if self._scheduled:
                return
            self._scheduled = True
        done = [write for write in self._writes if write.done()]
        self._writes = [write for write in self._writes if not write.done()]
        self._writes.append(self._thread.submit(self._write))
        for write in done:
            write.result()

    def flush(self) -> None:
        """Return once everything is stored; raise, if a write failed, once all have ended."""
        self._hurry.set()
        writes, self._writes = self._writes, []
        wait(writes)
        self._hurry.clear()
        for write in writes:
            write.result()

    def _write(self) -> None:
        self._hurry.wait(FLUSH_SECONDS)
        with self._lock:
            items, self._waiting = self._waiting, []
            self._scheduled = False
        self._store(items)
