"""The keys of one verifier in memory: sorted halves, each key with a small number."""

from typing import NamedTuple

import numpy as np

ABSENT = 0
FOLD_AT = 4096  # recent keys; above this and an eighth of the others they are sorted in


class _Layer(NamedTuple):
    """Keys sorted by their high half, and the code of each."""

    high: np.ndarray
    low: np.ndarray
    codes: np.ndarray

    def with_added(self, other: "_Layer") -> "_Layer":
        """Both together; the other need not be sorted."""
        if not len(other.high):
            return self
        if len(self.high):
            other = _Layer(*map(np.concatenate, zip(self, other, strict=True)))
        order = np.argsort(other.high, kind="stable")  # fast where most is in order already
        return _Layer(*(column[order] for column in other))

    def find(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Code of each key, ABSENT where there is none."""
        found = np.full(len(high), ABSENT, np.uint16)
        if not len(self.high):
            return found
        wanted = np.arange(len(high))
        places = np.searchsorted(self.high, high)
        while len(wanted):  # twice only where high halves are equal: as good as never
            inside = places < len(self.high)
            wanted, places = wanted[inside], places[inside]
            alike = self.high[places] == high[wanted]
            wanted, places = wanted[alike], places[alike]
            same = self.low[places] == low[wanted]
            found[wanted[same]] = self.codes[places[same]]
            wanted, places = wanted[~same], places[~same] + 1
        return found


_EMPTY = _Layer(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint16))


class Index:
    """Codes (1 to 65,535) by key, 18 bytes a key.

    What is added goes to a small layer beside the large one, and into it when it has grown.
    Layers are never changed, only replaced: threads may read while one adds.
    """

    def __init__(self) -> None:
        self._layers = (_EMPTY, _EMPTY)

    def __len__(self) -> int:
        return sum(len(layer.high) for layer in self._layers)

    def add(self, high: np.ndarray, low: np.ndarray, codes: np.ndarray) -> None:
        """Take up keys, in halves, that it does not have."""
        large, recent = self._layers
        fresh = _Layer(high, low, codes)
        if len(recent.high) + len(high) > FOLD_AT + len(large.high) // 8:
            self._layers = (large.with_added(recent).with_added(fresh), _EMPTY)
        else:
            self._layers = (large, recent.with_added(fresh))

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Code of each key (n x 2), ABSENT where there is none."""
        order = np.argsort(keys[:, 0])  # neighbors in memory are looked at together
        high, low = keys[order, 0], keys[order, 1]
        large, recent = self._layers
        found = large.find(high, low)
        if len(recent.high):
            absent = np.flatnonzero(found == ABSENT)
            found[absent] = recent.find(high[absent], low[absent])
        codes = np.empty_like(found)
        codes[order] = found
        return codes
