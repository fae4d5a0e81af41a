"""Stores verdicts while a judge is still at work: in the background, a few times a second."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from speciarl.cache.verdict_cache import VerdictCache
from speciarl.verifiers.base import Judgement, Pair

FLUSH_SECONDS = 0.25


class Writer:
    """Takes judgements as they come and stores together what came within FLUSH_SECONDS.

    At the end of the block everything is stored, also where an exception ends it: what was paid
    for is kept. An error of the store is raised by a later `add` or at the end.

    Args:
        cache: where to.
        stored: called, in the background, with the pairs that a transaction has dealt with.
    """

    def __init__(self, cache: VerdictCache, stored: Callable[[Sequence[Pair]], None]) -> None:
        self._cache = cache
        self._stored = stored
        self._waiting: dict[Pair, Judgement] = {}
        self._scheduled = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._flushes: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, "verdict writer")

    def __enter__(self) -> "Writer":
        return self

    def add(self, pair: Pair, judgement: Judgement) -> None:
        """Store this soon."""
        with self._lock:
            self._waiting[pair] = judgement
            if self._scheduled:
                return
            self._scheduled = True
        self._raise_errors([flush for flush in self._flushes if flush.done()])
        self._flushes = [flush for flush in self._flushes if not flush.done()]
        self._flushes.append(self._thread.submit(self._flush))

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.shutdown()
        if error is None:
            self._raise_errors(self._flushes)

    def _flush(self) -> None:
        self._ended.wait(FLUSH_SECONDS)
        with self._lock:
            judged, self._waiting = self._waiting, {}
            self._scheduled = False
        self._cache.put(judged)
        self._stored(list(judged))

    @staticmethod
    def _raise_errors(flushes: Sequence[Future[None]]) -> None:
        for flush in flushes:
            flush.result()
