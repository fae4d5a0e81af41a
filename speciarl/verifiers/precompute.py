"""Verdicts known before any training: every class against every term of its dataset.

What the store has is not asked again, so that a precomputation that broke off goes on where it
was, and one for a paid judge can be started long before a run.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import polars as pl

from speciarl.answers import normalize
from speciarl.cache import VerdictCache
from speciarl.progress import Progress
from speciarl.taxonomy.table import every_pair
from speciarl.verdicts import Pair, reason, require_few_failures
from speciarl.verifiers.base import Verifier
from speciarl.verifiers.cached import Lookups, judge_distinct, pairs_of, verdict_table

log = logging.getLogger(__name__)

ABSTENTIONS = ("none", "unknown")
BATCH = 4000  # pairs looked up and asked together


def pairs_to_expect(taxonomy: pl.DataFrame) -> pl.DataFrame:
    """class, prediction: each class with every term of its dataset and the usual abstentions."""
    classes = taxonomy.select("class_name").drop_nulls().unique()
    abstentions = pl.DataFrame({"term": ABSTENTIONS})
    expected = pl.concat(
        [
            every_pair(taxonomy).select("class_name", "term"),
            classes.join(abstentions, how="cross"),
        ]
    )
    return _normal(expected.rename({"term": "prediction"}))


def pairs_seen(predictions: Iterable[Path]) -> pl.DataFrame:
    """class, prediction: what models have answered, from files of the `predict` stage."""
    seen = [pl.read_parquet(path, columns=["class_name", "prediction"]) for path in predictions]
    schema = {"class_name": pl.String, "prediction": pl.String}
    return _normal(pl.concat([pl.DataFrame(schema=schema), *seen]).drop_nulls())


def precompute(
    pairs: pl.DataFrame, verifier: Verifier, cache: VerdictCache, max_failures: float = 0.0
) -> pl.DataFrame:
    """Put the verdicts of pairs (class, prediction) into the store.

    The counts of all batches that came to their end are one row of the store's `lookups`.

    Returns:
        class, prediction, verdict, decided_by: the snapshot, sorted; a pair on which the verifier
        failed has no row.

    Raises:
        VerifierError: a larger share than `max_failures` of the pairs so far has no verdict; what
            was decided stays in the store.
    """
    tables = [verdict_table({})]
    total = Lookups()
    try:
        for batch in _with_progress(pairs):
            judged, predictions = judge_distinct(cache, verifier, batch, cache.keys(batch))
            tables.append(verdict_table(judged))
            total.asked += predictions.asked
            total.judge_seconds += predictions.seconds
            total.failures += len(batch) - tables[-1].height
            total.misses += predictions.asked
            total.hits += len(batch) - predictions.asked
            seen, why = total.hits + total.misses, reason(judged.values())
            require_few_failures(total.failures, seen, "pairs to expect", max_failures, why)
    finally:
        cache.note_lookup(**asdict(total))
        cache.flush()
    snapshot = pl.concat(tables).sort("class", "prediction")
    log.info(
        "%d pairs: %d were in the store, %d asked, %d without a verdict",
        pairs.height, pairs.height - total.asked, total.asked, total.failures,
    )  # fmt: skip
    return snapshot


def _normal(predictions: pl.DataFrame) -> pl.DataFrame:
    """Distinct (class, prediction) in normal form, sorted; empty predictions left out."""
    texts = predictions["prediction"].unique()
    normal = pl.Series("normal", [normalize(text) for text in texts], dtype=pl.String)
    return (
        predictions.join(pl.DataFrame({"prediction": texts, "normal": normal}), on="prediction")
        .select(pl.col("class_name").alias("class"), pl.col("normal").alias("prediction"))
        .filter(pl.col("prediction") != "")
        .unique()
        .sort("class", "prediction")
    )


def _with_progress(pairs: pl.DataFrame) -> Iterator[list[Pair]]:
    """Batches of pairs; the terminal is told how many are done and the time left."""
    progress, done = Progress("pairs", pairs.height), 0
    for rows in pairs.iter_slices(BATCH):
        yield [Pair(*pair) for pair in pairs_of(rows)]
        done += rows.height
        progress.reached(done)
