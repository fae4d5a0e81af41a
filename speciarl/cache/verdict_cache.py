"""Verdicts of one verifier: read from an index, written to the shared store.

The index of a store that has grown is saved beside it, and mapped by whoever opens it next, who
then reads newer rows only. It is taken for true if the store has the rows that it was made of.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import duckdb
import numpy as np
import polars as pl

from speciarl.cache.index import ABSENT, KEY, Index, PairKeys
from speciarl.cache.lock import LOCK_SECONDS, beside
from speciarl.cache.store import opened, store_id
from speciarl.errors import CacheError, DiskError, one_line
from speciarl.verdicts import Judgment, Pair, Verdict, fingerprint

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.25
INDEX = ".{}.index"
MEANING = ("verdict", "decided_by")
_JUDGED = {
    "class": pl.String, "prediction": pl.String, "verdict": pl.String, "decided_by": pl.String,
    "judge_reply": pl.String, "milliseconds": pl.Float32,
}  # fmt: skip
T = TypeVar("T")
INSERT_VERIFIER = """
INSERT INTO verifiers SELECT $1, $2 WHERE $1 NOT IN (SELECT verifier FROM verifiers)
"""
NEWER = "FROM verdicts WHERE verifier = $1 AND number > $2"
MEANINGS = f"SELECT verdict::VARCHAR, decided_by, max(number) {NEWER} GROUP BY ALL ORDER BY ALL"
NEWER_KEYS = f"""
SELECT key_high, key_low, code FROM (SELECT *, verdict::VARCHAR AS label {NEWER}) AS newer
JOIN meanings ON label = meanings.verdict
    AND newer.decided_by IS NOT DISTINCT FROM meanings.decided_by
"""
# Tells a store whose rows were removed, changed or put back; .03 s a million rows.
STATE = """
SELECT (SELECT id FROM store), count(*), bit_xor(hash(key_high, key_low, verdict, decided_by))
FROM verdicts WHERE verifier = $1 AND number <= $2
"""


class VerdictCache:
    """Verdicts of one verifier, by (class, prediction); threads may share one.

    Args:
        path: the DuckDB file; created where absent.
        identity: the verifier's identity; its fingerprint is part of every key.
        run: name noted beside every verdict and lookup that this process adds.
        seconds: for how long to wait while another program has the store open.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, object], run: str, seconds: float = LOCK_SECONDS
    ) -> None:
        self.path = path
        self.seconds = seconds
        self.verifier = fingerprint(identity)
        self.run = run
        self.keys = PairKeys(self.verifier)
        self._identity = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        self._pid = os.getpid()
        self._index = Index()
        self._saved = beside(path, INDEX.format(self.verifier))
        self._store_id: str | None = None
        self._last = 0  # number of the newest row taken up
        # What a code of the index says; one object for all pairs that were judged alike.
        self._meanings: list[Judgment | None] = [None]
        self._codes: dict[tuple[str, str | None], int] = {}
        self._changing = threading.Lock()
        self._notes = WriteBehind[dict[str, object]](self._store_notes)
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(self.path, seconds=self.seconds) as db:
            self._begin(db)

    def __len__(self) -> int:
        return len(self._index)

    def get(self, pairs: Sequence[tuple[str, str]]) -> list[Judgment | None]:
        """The stored judgment of each pair, None where there is none.

        What a judge said in full and how long it took is in the file only.
        """
        return self.find(self.keys(pairs))

    def find(self, keys: np.ndarray) -> list[Judgment | None]:
        """`get` for pairs whose keys are known (n x 2, from `self.keys`)."""
        meanings = self._meanings
        return [meanings[code] for code in self._index.find(keys).tolist()]

    def lacks(self, keys: np.ndarray) -> np.ndarray:
        """For each key (n x 2) whether nothing is stored under it."""
        return self._index.find(keys) == ABSENT

    def refresh(self) -> None:
        """Take up what other processes have stored meanwhile."""
        self._refuse_in_fork()
        with self._changing, opened(self.path, seconds=self.seconds) as db:
            self._take_up(db)

    def put(
        self,
        judged: Mapping[Pair, Judgment],
        keys: np.ndarray | None = None,
        run: str | None = None,
    ) -> int:
        """Store verdicts durably in one transaction; failures are never stored.

        Args:
            keys: of the pairs (n x 2, in their order); made here where not given.
            run: noted beside them, where it is not the run of this cache.

        Returns:
            How many were stored; pairs that the store already has keep their verdict.
        """
        self._refuse_in_fork()  # before polars, which would wait for ever in one
        keys = self.keys(judged) if keys is None else keys
        rows = pl.DataFrame(
            [
                (*pair, j.verdict and j.verdict.value, j.decided_by, j.judge_reply, j.milliseconds)
                for pair, j in judged.items()
            ],
            schema=_JUDGED,
            orient="row",
        ).with_columns(key_high=keys[:, 0], key_low=keys[:, 1])
        return self.put_table(rows.drop_nulls("verdict"), run)

    def put_table(self, rows: pl.DataFrame, run: str | None = None) -> int:
        """`put` for a table: class, prediction, verdict, decided_by and keys, all distinct, and
        where there are any judge_reply and milliseconds."""
        self._refuse_in_fork()
        if rows.is_empty():
            return 0
        with self._changing:
            with opened(self.path, seconds=self.seconds) as db:
                self._take_up(db)
                fresh = rows.filter(self.lacks(rows.select(KEY).to_numpy())).with_columns(
                    pl.col("verdict").cast(pl.String),
                    verifier=pl.lit(self.verifier),
                    run=pl.lit(run or self.run),
                    created_at=pl.lit(_now()),
                )
                newest = self._last
                if fresh.height:
                    db.register("fresh", fresh)
                    db.execute("INSERT INTO verdicts BY NAME SELECT * FROM fresh")
                    db.unregister("fresh")
                    ((newest,),) = db.execute("SELECT currval('stored')").fetchall()
            coded = self._coded(fresh.select(MEANING).unique().rows())
            codes = fresh.join(coded, MEANING, "left", nulls_equal=True, maintain_order="left")
            self._index.add(*(codes[name].to_numpy() for name in (*KEY, "code")))
            self._last = newest
        return fresh.height

    def note_lookup(self, **counts: float) -> None:
        """Add one row to `lookups`: step, hits, misses, failures, asked, judge_seconds.

        Outside training there is no step. The row is written in the background, so that a
        training step does not wait for the disk.
        """
        self._refuse_in_fork()
        self._notes.add({"run": self.run, **counts, "created_at": _now()})

    def flush(self) -> None:
        """Return once every note of a lookup is stored; verdicts are, when `put` returns."""
        self._notes.flush()

    def _store_notes(self, rows: list[dict[str, object]]) -> None:
        with opened(self.path, seconds=self.seconds) as db:
            db.register("noted", pl.DataFrame(rows))
            db.execute("INSERT INTO lookups BY NAME SELECT * FROM noted")
            db.unregister("noted")

    def _begin(self, db: duckdb.DuckDBPyConnection) -> None:
        """Take up the saved index, if the store has its rows, and save it anew once they are many
        more."""
        index, about = Index.load(self._saved) or (Index(), {})
        if about and about["state"] == self._state(db, about["last"]):
            self._index, self._last, self._store_id = index, about["last"], about["state"][0]
            self._coded((label, decided_by) for label, decided_by in about["meanings"])
        saved = len(self._index)
        self._take_up(db)
        if self._index.outgrows(saved):
            state = self._state(db, self._last)
            about = {"state": state, "last": self._last, "meanings": list(self._codes)}
            try:
                self._index.save(self._saved, about)
            except (OSError, DiskError) as error:  # the next one reads the rows instead
                log.warning("the index of %s was not saved: %s", self.path, one_line(error))

    def _state(self, db: duckdb.DuckDBPyConnection, last: int) -> list[str | int]:
        return list(db.execute(STATE, [self.verifier, last]).fetchall()[0])

    def _take_up(self, db: duckdb.DuckDBPyConnection) -> None:
        """Add the rows that are newer than the newest seen; all of them, if the file is new."""
        found = store_id(db)
        if found != self._store_id:
            self._store_id, self._last, self._index = found, 0, Index()
            db.execute(INSERT_VERIFIER, [self.verifier, self._identity])
        since = [self.verifier, self._last]
        meanings = db.execute(MEANINGS, since).fetchall()
        if not meanings:
            return
        db.register("meanings", self._coded((label, by) for label, by, _ in meanings))
        newer = db.execute(NEWER_KEYS, since).fetchnumpy()
        db.unregister("meanings")
        self._index.add(newer["key_high"], newer["key_low"], newer["code"])
        self._last = max(number for _, _, number in meanings)

    def _coded(self, meanings: Iterable[tuple[str, str | None]]) -> pl.DataFrame:
        """verdict, decided_by, code: what a code of the index means."""
        meanings = list(meanings)
        for label, decided_by in meanings:
            if (label, decided_by) not in self._codes:
                self._codes[label, decided_by] = len(self._meanings)
                self._meanings.append(Judgment(Verdict(label), decided_by))
        rows = [(*meaning, self._codes[meaning]) for meaning in meanings]
        schema = dict.fromkeys(MEANING, pl.String) | {"code": pl.UInt16}
        return pl.DataFrame(rows, schema, orient="row")

    def _refuse_in_fork(self) -> None:
        if os.getpid() != self._pid:
            raise CacheError(
                f"{self.path}: a forked process cannot use a verdict cache: start it with spawn"
            )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


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
