"""Verdicts from the cache where it has them, from the verifier where it has not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from speciarl import config
from speciarl.cache import VerdictCache
from speciarl.cache.index import ABSENT, KEY, Index
from speciarl.cache.transfer import refill
from speciarl.schemas import VERDICTS
from speciarl.verdicts import Judgment, Pair
from speciarl.verifiers.base import Verifier
from speciarl.verifiers.factory import build_verifier
from speciarl.verifiers.single_flight import Asked, ask_once


@dataclass
class Lookups:
    """Counts of one batch; `hits` + `misses` is the number of predictions looked up.

    A hit is a prediction known from the snapshot that the run started from, or seen before in it,
    so that the counts do not depend on what other runs have added to the shared store. A miss is
    one seen for the first time, or without a verdict, however often it occurs; `failures` are the
    latter. `asked` pairs, each counted once, had to be put to the verifier.
    """

    hits: int = 0
    misses: int = 0
    asked: int = 0
    failures: int = 0
    judge_seconds: float = 0.0


class CachedVerifier:
    """A verifier behind the cache; one thread or process at a time.

    Args:
        verifier: what is asked on a miss.
        cache: the store, opened for the verifier's identity.
        known: pairs of the snapshot that the run starts from; those seen in it are added.
    """

    def __init__(
        self, verifier: Verifier, cache: VerdictCache, known: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.verifier = verifier
        self.cache = cache
        self.seen: dict[Pair, Judgment] = {}
        self._known = Index()
        self.add_known(cache.keys(known))

    def judge(
        self, pairs: Iterable[Pair] | Mapping[Pair, int]
    ) -> tuple[dict[Pair, Judgment], Lookups]:
        """A judgment of each distinct pair, and the counts of this batch.

        Equal pairs are looked up and asked once. What was decided is stored before this returns.

        Args:
            pairs: one of each prediction, or distinct ones with how often each occurs.
        """
        times = Counter(pairs)
        keys = self.cache.keys(times)
        judged, predictions = judge_distinct(self.cache, self.verifier, list(times), keys)
        decided = np.array([j.verdict is not None for j in judged.values()], bool)
        failures = sum(times[pair] for pair, j in judged.items() if j.verdict is None)
        misses = self.add_known(keys[decided]) + failures
        self.seen.update((pair, j) for pair, j in judged.items() if j.verdict is not None)
        return judged, Lookups(
            hits=times.total() - misses,
            misses=misses,
            asked=predictions.asked,
            failures=failures,
            judge_seconds=predictions.seconds,
        )

    def restore_seen(self, pairs: Iterable[Pair]) -> None:
        """Take up pairs seen before an interruption, so that a resumed run counts like any."""
        pairs = list(pairs)
        keys = self.cache.keys(pairs)
        found = zip(pairs, self.cache.find(keys), strict=True)
        self.seen.update((pair, judgment) for pair, judgment in found if judgment)
        self.add_known(keys)

    def add_known(self, keys: np.ndarray) -> int:
        """Take up distinct keys (n x 2); gives how many were not known so far."""
        new = keys[self._known.find(keys) == ABSENT]
        self._known.add(new[:, 0], new[:, 1], np.ones(len(new), np.uint16))
        return len(new)


def judge_distinct(
    cache: VerdictCache, verifier: Verifier, pairs: Sequence[Pair], keys: np.ndarray
) -> tuple[dict[Pair, Judgment], Asked]:
    """Judgments of distinct pairs with their keys (n x 2), and what came from the verifier."""
    found = dict(zip(pairs, cache.find(keys), strict=True))
    missed = np.array([one is None for one in found.values()], bool)
    misses = [pair for pair, one in found.items() if one is None]
    predictions = ask_once(cache, verifier, misses, keys[missed])
    return {pair: one or predictions.judged[pair] for pair, one in found.items()}, predictions


def open_cached(
    settings: config.VerifierConfig,
    snapshots: Sequence[Path],
    classes: Mapping[str, Sequence[str]],
    facts: Path,
    store: Path,
    run: str,
    model: Verifier | None = None,
) -> CachedVerifier:
    """The verifier of a run behind the store.

    Args:
        settings: the `verifier` or `judge` section.
        snapshots: precomputed verdicts, as `snapshot_of` makes them; what the store lacks of them
            is put back. Those of another verifier are left alone.
        classes: class names by dataset; a dataset with facts may leave them out.
        run: noted beside every verdict and lookup that the run adds.
        model: as `build_model` makes it, where several verifiers share one.
    """
    verifier = build_verifier(settings, facts, classes, model)
    refill(store)
    cache = VerdictCache(store, verifier.identity, run, settings.store_timeout)
    source = CachedVerifier(verifier, cache)
    if snapshots:
        source.add_known(restore(pl.scan_parquet(list(snapshots)), cache))
    return source


def pairs_of(table: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Class and prediction of each row of a table of verdicts."""
    return zip(table["class"].to_list(), table["prediction"].to_list(), strict=True)


def snapshot_of(verdicts: pl.DataFrame, cache: VerdictCache) -> pl.DataFrame:
    """Verdicts (`schemas.VERDICTS`) with their verifier and their keys, of which hashing millions
    takes seconds."""
    named = verdicts.select(pl.lit(cache.verifier).alias("verifier"), pl.all())
    return cache.keys.added_to(named)


def restore(snapshot: pl.LazyFrame, cache: VerdictCache) -> np.ndarray:
    """Put back what the store lacks of a snapshot; gives the keys of all its pairs (n x 2)."""
    own = snapshot.filter(verifier=cache.verifier).drop("verifier")
    own = own.sort(KEY[0], maintain_order=True)  # in the order of the index, which is then quick
    keys = own.select(KEY).collect().to_numpy()
    lacking = cache.lacks(keys)
    if lacking.any():
        cache.put_table(own.collect().filter(lacking), run="snapshot")
    return keys


def verdict_table(judged: Mapping[Pair, Judgment]) -> pl.DataFrame:
    """Verdicts as the table that snapshots and runs keep: sorted, without what failed."""
    return pl.DataFrame(
        [
            (pair.class_name, pair.prediction, j.verdict.value, j.decided_by)
            for pair, j in judged.items()
            if j.verdict is not None
        ],
        orient="row",
        schema=VERDICTS,
    ).sort("class", "prediction")
