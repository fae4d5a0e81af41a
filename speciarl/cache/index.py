"""The keys of one verifier's pairs, and an index of them, each with a small number.

A key is 128 bits of (verifier, class, prediction), as two unsigned 64-bit halves. The index lies in
memory, what was saved of it in a mapped file.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from speciarl.files import atomic_write

ABSENT = 0
KEY = ("key_high", "key_low")
_COLUMNS = ("high", "low", "code")
FOLD_AT = 4096


class _Layer:
    """Keys sorted by their high half, and the code of each.

    Keys are hashes, hence spread evenly: the first bits of one tell where it must stand, within a
    few places, however many there are.
    """

    def __init__(self, high: np.ndarray, low: np.ndarray, codes: np.ndarray) -> None:
        """Of keys whose high halves are sorted."""
        self.high, self.low, self.codes = high, low, codes
        bits = max(len(high).bit_length() - 6, 1)
        self._shift = np.uint64(64 - bits)
        bounds = np.arange(2**bits, dtype=np.uint64) << self._shift
        self._starts = np.append(np.searchsorted(self.high, bounds), len(high))

    @classmethod
    def sorted(cls, high: np.ndarray, low: np.ndarray, codes: np.ndarray) -> "_Layer":
        """Of keys in any order; two sorted parts are as good as sorted."""
        order = np.argsort(high, kind="stable")
        return cls(high[order], low[order], codes[order])

    def __len__(self) -> int:
        return len(self.high)

    def with_added(self, other: "_Layer") -> "_Layer":
        """Both together."""
        if not (len(self) and len(other)):
            return self if len(self) else other
        pairs = ((self.high, other.high), (self.low, other.low), (self.codes, other.codes))
        return _Layer.sorted(*map(np.concatenate, pairs))

    def find(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Code of each key, ABSENT where there is none."""
        found = np.full(len(high), ABSENT, np.uint16)
        if not len(self):
            return found
        wanted, places = np.arange(len(high)), self._first_places(high)
        while len(wanted):  # twice only where high halves are equal: as good as never
            inside = places < len(self)
            wanted, places = wanted[inside], places[inside]
            alike = self.high[places] == high[wanted]
            wanted, places = wanted[alike], places[alike]
            same = self.low[places] == low[wanted]
            found[wanted[same]] = self.codes[places[same]]
            wanted, places = wanted[~same], places[~same] + 1
        return found

    def _first_places(self, high: np.ndarray) -> np.ndarray:
        """The first place whose high half is not below that of each key: a binary search of all."""
        if len(high) > len(self) // 64:  # of many this is quicker, of sorted ones by far
            order, places = np.argsort(high, kind="stable"), np.empty(len(high), np.intp)
            places[order] = np.searchsorted(self.high, high[order])
            return places
        first = (high >> self._shift).astype(np.int64)
        low, top = self._starts[first], self._starts[first + 1]
        for _ in range(int((top - low).max(initial=0)).bit_length()):
            middle = (low + top) >> 1
            below = (self.high[np.minimum(middle, len(self) - 1)] < high) & (low < top)
            low, top = np.where(below, middle + 1, low), np.where(below, top, middle)
        return low


_EMPTY = _Layer(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint16))


class Index:
    """Codes (1 to 65,535) by key, 18 bytes a key.

    What is added goes to a small layer beside the large one, and into it when it has grown.
    Layers are never changed, only replaced: threads may read while one adds.
    """

    def __init__(self) -> None:
        self._layers = (_EMPTY, _EMPTY)

    def __len__(self) -> int:
        return sum(map(len, self._layers))

    def add(self, high: np.ndarray, low: np.ndarray, codes: np.ndarray) -> None:
        """Take up keys, in halves, that it does not have."""
        large, recent = self._layers
        fresh = _Layer.sorted(high, low, codes)
        if _are_many(len(recent) + len(high), len(large)):
            self._layers = (large.with_added(recent).with_added(fresh), _EMPTY)
        else:
            self._layers = (large, recent.with_added(fresh))

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Code of each key (n x 2), ABSENT where there is none."""
        high, low = keys[:, 0], keys[:, 1]
        large, recent = self._layers
        found = large.find(high, low)
        if len(recent):
            absent = np.flatnonzero(found == ABSENT)
            found[absent] = recent.find(high[absent], low[absent])
        return found

    def outgrows(self, count: int) -> bool:
        """Whether it has so many keys more than `count` that it is worth being saved anew."""
        return _are_many(len(self) - count, count)

    def save(self, path: Path, about: Mapping[str, object]) -> None:
        """Write it to a file for `load`, with what JSON can say about it."""
        large, recent = self._layers
        whole = large.with_added(recent)
        columns = [whole.high, whole.low, whole.codes]
        text = json.dumps(about)
        named = {"about": text, "sum": f"{_checksum(columns, text.encode())}"}
        batch = pa.record_batch(list(map(pa.array, columns)), names=_COLUMNS, metadata=named)
        with atomic_write(path) as partial, pa.ipc.new_file(str(partial), batch.schema) as file:
            file.write_batch(batch)

    @classmethod
    def load(cls, path: Path) -> "tuple[Index, dict] | None":
        """A saved index, whose file is mapped, and what was said about it; None where there is
        none, or a damaged one."""
        try:
            file = pa.ipc.open_file(pa.memory_map(str(path)))
            named, batch = file.schema.metadata, file.get_batch(0)
            columns = [batch[name].to_numpy() for name in _COLUMNS]
            if int(named[b"sum"]) != _checksum(columns, named[b"about"]):
                return None
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None
        index = cls()
        index._layers = (_Layer(*columns), _EMPTY)
        return index, json.loads(named[b"about"])


def _are_many(recent: int, others: int) -> bool:
    """Whether it is worth to sort recent keys in, or to save them, with all the others."""
    return recent > FOLD_AT + others // 8


def _checksum(columns: Iterable[np.ndarray], about: bytes) -> int:
    total = zlib.crc32(about)
    for column in columns:
        total = zlib.crc32(column.data, total)
    return total


class PairKeys:
    """Makes the keys of one verifier's pairs: blake2b of the three texts.

    The first two are led by their lengths, so that no two triples share their bytes. The hash of
    what pairs share, the verifier and the class, is computed once and copied.
    """

    def __init__(self, verifier: str) -> None:
        start = hashlib.blake2b(_led_by_length(verifier), digest_size=16)

        def led_by(class_name: str) -> "hashlib.blake2b":
            state = start.copy()
            state.update(_led_by_length(class_name))
            return state

        self._led_by = cache(led_by)

    def __call__(self, pairs: Iterable[tuple[str, str]]) -> np.ndarray:
        """The keys of (class, prediction) pairs: n x 2, high and low half, in order."""
        digests = []
        for class_name, prediction in pairs:
            digest = self._led_by(class_name).copy()
            digest.update(prediction.encode())
            digests.append(digest.digest())
        return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)

    def added_to(self, table: pl.DataFrame) -> pl.DataFrame:
        """A table of pairs (class, prediction) with their keys, as columns KEY."""
        keys = self(table.select("class", "prediction").iter_rows())
        return table.hstack([pl.Series(name, keys[:, i]) for i, name in enumerate(KEY)])


def _led_by_length(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(4, "little") + content
