"""Keys of pairs: 128 bits of (verifier, class, answer), as two unsigned 64-bit halves."""

import hashlib
from collections.abc import Iterable

import numpy as np


def _part(text: str) -> bytes:
    """A text led by its length, so that no two triples share their bytes."""
    content = text.encode()
    return len(content).to_bytes(4, "little") + content


class PairKeys:
    """Makes the keys of one verifier's pairs.

    The hash of what pairs share, the verifier and the class, is computed once and copied.
    """

    def __init__(self, verifier: str) -> None:
        self._start = hashlib.blake2b(_part(verifier), digest_size=16)
        self._by_class: dict[str, hashlib.blake2b] = {}

    def __call__(self, pairs: Iterable[tuple[str, str]]) -> np.ndarray:
        """The keys of (class, answer) pairs: n x 2, high and low half, in order."""
        digests = []
        started = self._by_class
        for class_name, answer in pairs:
            state = started.get(class_name) or self._class(class_name)
            digest = state.copy()
            content = answer.encode()  # `_part`, written out: this line runs for every lookup
            digest.update(len(content).to_bytes(4, "little") + content)
            digests.append(digest.digest())
        return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)

    def _class(self, class_name: str) -> "hashlib.blake2b":
        state = self._by_class[class_name] = self._start.copy()
        state.update(_part(class_name))
        return state
