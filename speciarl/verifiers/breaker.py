"""A circuit breaker: a judge that keeps failing is left alone for a while."""

import time
from collections.abc import Callable
from threading import Lock


class Breaker:
    """Closed at first; open after `limit` failures in a row; one try every `rest` seconds then.

    A success, of the try or of a request still under way, closes it.
    """

    def __init__(
        self, limit: int, rest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self.rest = rest
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._next_try = 0.0

    def allows(self) -> bool:
        """Whether to ask now; each True while open is the one try of its rest."""
        with self._lock:
            if self._failures < self.limit:
                return True
            if self._clock() < self._next_try:
                return False
            self._next_try = self._clock() + self.rest
            return True

    def record(self, success: bool) -> None:
        """Take note of what became of a request."""
        with self._lock:
            self._failures = 0 if success else self._failures + 1
            if self._failures >= self.limit:
                self._next_try = self._clock() + self.rest
