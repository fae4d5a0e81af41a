"""Keys of pairs: 128 bits of (verifier, class, prediction), as two unsigned 64-bit halves."""

import hashlib
from collections.abc import Iterable

import numpy as np


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
