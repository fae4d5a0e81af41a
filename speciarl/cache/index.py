"""The keys of one verifier's pairs, and an index of them in memory, each with a small number.

A key is 128 bits of (verifier, class, prediction), as two unsigned 64-bit halves.
"""

import hashlib
from collections.abc import Iterable
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


class PairKeys:
    """Makes the keys of one verifier's pairs: blake2b of the three texts.

    The first two are led by their lengths, so that no two triples share their bytes. The hash of
    what pairs share, the verifier and the class, is computed once and copied.
    """

    def __init__(self, verifier: str) -> None:
        start = hashlib.blake2b(_led_by_length(verifier), digest_size=16)
        self._by_class = _ByClass(start)

    def __call__(self, pairs: Iterable[tuple[str, str]]) -> np.ndarray:
        """The keys of (class, prediction) pairs: n x 2, high and low half, in order."""
        by_class = self._by_class
        digests = []
        for class_name, prediction in pairs:
            digest = by_class[class_name].copy()
            digest.update(prediction.encode())
            digests.append(digest.digest())
        return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


class _ByClass(dict[str, "hashlib.blake2b"]):
    """Hashes of the verifier and a class, made when they are first asked for."""

    def __init__(self, start: "hashlib.blake2b") -> None:
        self._start = start

    def __missing__(self, class_name: str) -> "hashlib.blake2b":
        state = self._start.copy()
        state.update(_led_by_length(class_name))
        self[class_name] = state  # once it is complete: other threads may be looking
        return state


def _led_by_length(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(4, "little") + content
