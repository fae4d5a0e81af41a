"""Verdicts known before any training: every class against every term of its dataset.

A language model is asked only where that is wanted. What the store has is not asked again, so that
a precomputation that broke off goes on where it was.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from speciarl.answers import normalize
from speciarl.cache import VerdictCache
from speciarl.cache.transfer import PAID_FOR
from speciarl.config import VerifierConfig
from speciarl.files import read_foreign_parquet
from speciarl.progress import Progress, duration, say
from speciarl.taxonomy.table import every_pair
from speciarl.verdicts import Pair, reason, require_few_failures
from speciarl.verifiers.base import Verifier
from speciarl.verifiers.cached import Lookups, judge_distinct, pairs_of, verdict_table
from speciarl.verifiers.cascade import Cascade

log = logging.getLogger(__name__)

ABSTENTIONS = ("none", "unknown")
BATCH = 4000  # pairs looked up and asked together


def pairs_to_expect(taxonomy: pl.DataFrame) -> pl.DataFrame:
    """class, prediction: each class with every term of its dataset and the usual abstentions."""
    classes = taxonomy.select("class_name").drop_nulls().unique()
    abstentions = pl.DataFrame({"term": ABSTENTIONS})
    expected = pl.concat(
        [every_pair(taxonomy).select("class_name", "term"), classes.join(abstentions, how="cross")]
    )
    return _normal(expected.rename({"term": "prediction"}))


def pairs_seen(predictions: Iterable[Path]) -> pl.DataFrame:
    """class, prediction: what models have answered, from files of the `predict` stage."""
    schema = {"class_name": pl.String, "prediction": pl.String}
    seen = [read_foreign_parquet(path, schema) for path in predictions]
    return _normal(pl.concat([pl.DataFrame(schema=schema), *seen]).drop_nulls())


def precompute(
    pairs: pl.DataFrame,
    verifier: Cascade,
    cache: VerdictCache,
    settings: VerifierConfig,
    ask_model: bool = False,
) -> pl.DataFrame:
    """Put the verdicts of pairs (class, prediction) into the store.

    Each is the whole verifier's, whatever part of it decides. Before a model is asked, the terminal
    is told how many questions there are.

    Args:
        settings: the section that the verifier was built from.
        ask_model: whether a language model is asked what rules and facts leave open. Else these
            pairs are left out, whatever the store has of them: the same parameters give the same
            snapshot.

    Returns:
        class, prediction, verdict, decided_by: the snapshot, sorted; a pair without a verdict has
        no row.

    Raises:
        VerifierError: a larger share than `max_failures` of the pairs so far has no verdict; what
            was decided stays in the store.
    """
    parts: Sequence[Verifier] = verifier.verifiers if settings.model else [verifier]
    tables, left_open, total = [], pairs, Lookups()
    try:
        for part in parts:
            if settings.model and part is parts[-1]:
                if not ask_model:
                    break
                questions, at_once = left_open.height, settings.at_once
                say(
                    f"{questions} questions to the model: {duration(questions / at_once)} if "
                    f"{at_once} at once take a second; what is answered is kept when you stop"
                )
            tables.append(_judge(left_open, part, cache, settings.max_failures, total))
            left_open = left_open.join(tables[-1], on=["class", "prediction"], how="anti")
    finally:
        cache.note_lookup(**asdict(total))
        cache.flush()
    log.info(
        "%d pairs: %d were in the store, %d judged, %d without a verdict",
        pairs.height, total.hits, total.asked, left_open.height,
    )  # fmt: skip
    snapshot = pl.concat(tables).sort("class", "prediction")
    return snapshot if ask_model else snapshot.filter(~pl.col("decided_by").is_in(PAID_FOR))


def _judge(
    pairs: pl.DataFrame, part: Verifier, cache: VerdictCache, max_failures: float, total: Lookups
) -> pl.DataFrame:
    """Verdicts of pairs, without those that this part of the verifier leaves open.

    The counts of the others, of all batches that came to their end, are added to `total`.
    """
    tables = [verdict_table({})]
    for batch in _with_progress(pairs):
        judged, predictions = judge_distinct(cache, part, batch, cache.keys(batch))
        tables.append(verdict_table(judged))
        asked = predictions.asked - sum(judgment.undecided for judgment in judged.values())
        total.asked += asked
        total.judge_seconds += predictions.seconds
        total.failures += sum(judgment.failure is not None for judgment in judged.values())
        total.misses += asked
        total.hits += len(batch) - predictions.asked
        seen, why = total.hits + total.misses, reason(judged.values())
        require_few_failures(total.failures, seen, "pairs to expect", max_failures, why)
    return pl.concat(tables)


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
