"""The verdict store: what a verifier has said is never asked again.

One DuckDB file that many processes share. Reads come from an index in memory, filled at start;
the file itself is opened only for short transactions under a lock file of our own, and closed
again: DuckDB locks a file per process, and a second handle or a fork with the file open can lose
committed rows. The table has no key or index; uniqueness is kept by an anti-join insert.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from speciarl.errors import CacheError
from speciarl.verdicts import LABELS, Verdict
from speciarl.verifiers.base import Judgement, Pair, fingerprint

SCHEMA = f"""
CREATE TYPE verdict AS ENUM ({", ".join(f"'{label}'" for label in LABELS)});
CREATE TABLE verifiers (verifier VARCHAR, identity JSON);
CREATE TABLE verdicts (
    verifier VARCHAR, class VARCHAR, prediction VARCHAR, verdict verdict, decided_by VARCHAR,
    run VARCHAR, created_at TIMESTAMP, key_high UBIGINT, key_low UBIGINT);
CREATE TABLE lookups (
    run VARCHAR, step BIGINT, hits BIGINT, misses BIGINT, failures BIGINT, asked BIGINT,
    judge_seconds DOUBLE, created_at TIMESTAMP);
"""
INSERT_VERDICTS = """
INSERT INTO verdicts BY NAME
SELECT * FROM fresh ANTI JOIN verdicts USING (key_high, key_low)
"""
INSERT_VERIFIER = """
INSERT INTO verifiers SELECT $1, $2 WHERE $1 NOT IN (SELECT verifier FROM verifiers)
"""
LOAD_INDEX = """
SELECT key_high, key_low, verdict::VARCHAR AS verdict, decided_by FROM verdicts
WHERE verifier = ? ORDER BY key_high, key_low
"""
LOCK_SECONDS = 60.0


def pair_key(verifier: str, pair: Pair) -> tuple[int, int]:
    """128-bit key of (verifier, class, answer) as two unsigned 64-bit halves.

    The parts are length-prefixed, so that no two triples share their bytes.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (verifier, pair.class_name, pair.answer):
        content = part.encode()
        digest.update(len(content).to_bytes(4, "little"))
        digest.update(content)
    high, low = np.frombuffer(digest.digest(), np.uint64).tolist()
    return high, low


class VerdictCache:
    """Verdicts of one verifier, by (class, answer).

    Args:
        path: the DuckDB file; created where absent.
        identity: the verifier's identity; its fingerprint is part of every key.
        run: name noted beside every verdict and lookup that this process adds.
    """

    def __init__(self, path: Path, identity: Mapping[str, object], run: str) -> None:
        self.path = path
        self.verifier = fingerprint(identity)
        self.run = run
        self._pid = os.getpid()
        self._recent: dict[tuple[int, int], Judgement] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as db:
            db.execute(INSERT_VERIFIER, [self.verifier, json.dumps(dict(identity))])
            found = db.sql(LOAD_INDEX, params=[self.verifier])
            stored = pl.DataFrame(found.to_arrow_table())
        self._high = stored["key_high"].to_numpy()
        self._low = stored["key_low"].to_numpy()
        self._decided = stored.select("verdict", "decided_by")

    def __len__(self) -> int:
        return len(self._high) + len(self._recent)

    def get(self, pairs: Sequence[Pair]) -> list[Judgement | None]:
        """The stored judgement of each pair, None where there is none."""
        keys = [pair_key(self.verifier, pair) for pair in pairs]
        places = self._places(np.array(keys, dtype=np.uint64).reshape(-1, 2))
        found = iter(self._decided[places[places >= 0]].iter_rows())
        judgements = []
        for key, place in zip(keys, places.tolist(), strict=True):
            if place < 0:
                judgements.append(self._recent.get(key))
            else:
                verdict, decided_by = next(found)
                judgements.append(Judgement(Verdict(verdict), decided_by))
        return judgements

    def put(self, judged: Mapping[Pair, Judgement]) -> int:
        """Store verdicts durably in one transaction; failures are never stored.

        Returns:
            How many were stored; pairs that the store already has keep their verdict.
        """
        known = {p: j for p, j in judged.items() if j.verdict is not None}
        if not known:
            return 0
        labels = [j.verdict.value for j in known.values() if j.verdict is not None]
        keys = [pair_key(self.verifier, pair) for pair in known]
        fresh = pl.DataFrame(
            {
                "verifier": [self.verifier] * len(known),
                "class": [pair.class_name for pair in known],
                "prediction": [pair.answer for pair in known],
                "verdict": labels,
                "decided_by": [j.decided_by for j in known.values()],
                "run": [self.run] * len(known),
                "created_at": [datetime.now(UTC).replace(tzinfo=None)] * len(known),
                "key_high": pl.Series([high for high, _ in keys], dtype=pl.UInt64),
                "key_low": pl.Series([low for _, low in keys], dtype=pl.UInt64),
            }
        )
        with self._connected() as db:
            db.register("fresh", fresh)
            ((stored,),) = db.execute(INSERT_VERDICTS).fetchall()
        self._recent.update(zip(keys, known.values(), strict=True))
        return stored

    def note_lookup(self, **counts: float) -> None:
        """Add one row to `lookups`: step, hits, misses, failures, asked, judge_seconds."""
        row = pl.DataFrame(
            {
                "run": [self.run],
                **{name: [value] for name, value in counts.items()},
                "created_at": [datetime.now(UTC).replace(tzinfo=None)],
            }
        )
        with self._connected() as db:
            db.register("noted", row)
            db.execute("INSERT INTO lookups BY NAME SELECT * FROM noted")

    def _places(self, keys: np.ndarray) -> np.ndarray:
        """Row of each key (n x 2, high and low half) in the loaded index, -1 where absent."""
        high, low = keys[:, 0], keys[:, 1]
        places = np.searchsorted(self._high, high)
        last = np.searchsorted(self._high, high, side="right")
        for i in np.flatnonzero(last - places > 1):  # equal high halves: as good as never
            places[i] += np.searchsorted(self._low[places[i] : last[i]], low[i])
        found = places < last
        found[found] = self._low[places[found]] == low[found]
        return np.where(found, places, -1)

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if os.getpid() != self._pid:
            raise CacheError(f"{self.path}: a forked process must open a verdict cache of its own")
        with locked(self.path), connected(self.path) as db:
            yield db


@contextmanager
def connected(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """One transaction on the store; the caller holds the lock. Creates the schema where absent."""
    try:
        db = duckdb.connect(str(path))
    except duckdb.Error as error:
        raise CacheError(
            f"{path} cannot be opened as a verdict store ({str(error).splitlines()[0]}): "
            "close the other program or delete the file, it is refilled from the snapshots"
        ) from None
    try:
        db.begin()
        if not db.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'verdicts'").fetchall():
            db.execute(SCHEMA)
        labels = db.execute("SELECT unnest(enum_range(NULL::verdict))::VARCHAR").fetchall()
        if tuple(label for (label,) in labels) != LABELS:
            raise CacheError(f"{path} holds another ladder of verdicts: {labels}")
        yield db
        db.commit()
    finally:
        db.close()


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock file beside the store; it frees itself when its owner dies.

    Raises:
        CacheError: another process holds it longer than `seconds`; the line names its pid.
    """
    lock = path.with_name(path.name + ".lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    owner = os.pread(handle, 20, 0).decode().strip("\0\n ") or "unknown"
                    raise CacheError(
                        f"{lock} is held by process {owner} for more than {seconds:.0f} s: "
                        "wait for it, or end it"
                    ) from None
                time.sleep(0.005)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def query_store(path: Path, query: str) -> pl.DataFrame:
    """Rows of a query on the store, which is opened read-only for its duration.

    Raises:
        CacheError: there is no store, or DuckDB refuses the query.
    """
    if not path.is_file():
        raise CacheError(f"{path} does not exist: it is filled by `precompute_verdicts`")
    with locked(path):
        try:
            with duckdb.connect(str(path), read_only=True) as db:
                return pl.DataFrame(db.sql(query).to_arrow_table())
        except duckdb.Error as error:
            raise CacheError(" ".join(str(error).split())) from None
