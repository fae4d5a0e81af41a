"""Verdicts from the cache where it has them, from the verifier where it has not."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from speciarl import config
from speciarl.cache import VerdictCache
from speciarl.verdicts import LABELS, Verdict
from speciarl.verifiers.base import Judgement, Pair, Verifier
from speciarl.verifiers.build import build_verifier, classes_of


@dataclass
class Lookups:
    """Counts of one batch; `hits` + `misses` is the number of answers looked up.

    A hit is an answer known from the snapshot that the run started from, or met before in it; so
    the counts do not depend on what other runs have added to the shared store meanwhile. A miss
    is one met for the first time; `asked` of them had to be put to the verifier, and `failures`
    of those came back without a verdict.
    """

    hits: int = 0
    misses: int = 0
    asked: int = 0
    failures: int = 0
    judge_seconds: float = 0.0


def split_found(
    pairs: Sequence[Pair], cache: VerdictCache
) -> tuple[dict[Pair, Judgement], list[Pair]]:
    """What the store has of some distinct pairs, and the pairs that it lacks."""
    stored = dict(zip(pairs, cache.get(pairs), strict=True))
    found = {pair: judgement for pair, judgement in stored.items() if judgement is not None}
    return found, [pair for pair in pairs if pair not in found]


@dataclass
class CachedVerifier:
    """A verifier behind the cache.

    Args:
        verifier: what is asked on a miss.
        cache: the store, opened for the verifier's identity.
        known: pairs of the snapshot that the run starts from, and later those met in it.
    """

    verifier: Verifier
    cache: VerdictCache
    known: set[Pair]
    met: dict[Pair, Judgement] = field(default_factory=dict)

    def judge(self, pairs: Sequence[Pair]) -> tuple[list[Judgement], Lookups]:
        """One judgement per pair, and the counts of this batch.

        Equal pairs are looked up and asked once. What was decided is stored before this returns.
        """
        counts = Lookups()
        distinct = list(dict.fromkeys(pairs))
        new = [pair for pair in distinct if pair not in self.known]
        counts.misses, counts.hits = len(new), len(pairs) - len(new)
        found, missing = split_found(distinct, self.cache)
        if missing:
            started = time.perf_counter()
            asked = dict(self.verifier.judge(missing))
            counts.judge_seconds = time.perf_counter() - started
            counts.asked = len(missing)
            self.cache.put(asked)
            found.update(asked)
        decided = {pair: j for pair, j in found.items() if j.verdict is not None}
        counts.failures = sum(pair not in decided for pair in pairs)
        self.known.update(decided)
        self.met.update(decided)
        return [found[pair] for pair in pairs], counts

    def remember(self, pairs: Iterable[Pair]) -> None:
        """Take up pairs met before an interruption, so that a resumed run counts like any."""
        found, _ = split_found(list(pairs), self.cache)
        self.met.update(found)
        self.known.update(found)


def open_cached(
    settings: config.Verifier, snapshot: Path, taxonomy: Path, facts: Path, run: str
) -> CachedVerifier:
    """The verifier of a run behind the store that lies beside the snapshot.

    Args:
        settings: the `verifier` or `judge` section.
        snapshot: precomputed verdicts (verifier, class, prediction, verdict, decided_by); what the
            store lacks of them is put back, so that it is safe to delete. Those of another
            verifier than this one are left alone.
        taxonomy: the relations built for the classes in use.
        facts: folder of the taxonomies' YAML files.
        run: noted beside every verdict and lookup that the run adds.
    """
    verifier = build_verifier(settings, facts, classes_of(pl.read_parquet(taxonomy)))
    cache = VerdictCache(snapshot.with_name("cache.duckdb"), verifier.identity, run)
    stored = {
        Pair(name, answer): Judgement(Verdict(verdict), decided_by)
        for name, answer, verdict, decided_by in pl.read_parquet(snapshot)
        .filter(verifier=cache.verifier)
        .select("class", "prediction", "verdict", "decided_by")
        .iter_rows()
    }
    _, absent = split_found(list(stored), cache)
    cache.put({pair: stored[pair] for pair in absent})
    return CachedVerifier(verifier, cache, set(stored))


def verdict_table(judged: Mapping[Pair, Judgement]) -> pl.DataFrame:
    """Verdicts as the table that snapshots and runs keep: sorted, without what failed."""
    return pl.DataFrame(
        [
            (pair.class_name, pair.answer, j.verdict.value, j.decided_by)
            for pair, j in judged.items()
            if j.verdict is not None
        ],
        orient="row",
        schema={
            "class": pl.String, "prediction": pl.String, "verdict": pl.Enum(LABELS),
            "decided_by": pl.String,
        },
    ).sort("class", "prediction")  # fmt: skip
