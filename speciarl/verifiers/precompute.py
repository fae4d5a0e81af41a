"""Verdicts known before any training: every class against every term of its dataset.

A language model is asked only where that is wanted. What the store has is not asked again, so that
a precomputation that broke off goes on where it was.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from speciarl.answers import normalize, strip_injection
from speciarl.cache import VerdictCache
from speciarl.cache.transfer import PAID_FOR
from speciarl.config import VerifierConfig
from speciarl.files import read_foreign_parquet
from speciarl.progress import Progress, duration, say
from speciarl.taxonomy import Taxonomy
from speciarl.taxonomy.forms import take_years
from speciarl.taxonomy.lexicon import LONGEST, parts_names
from speciarl.taxonomy.table import every_pair
from speciarl.verdicts import Pair, reason, require_few_failures
from speciarl.verifiers.base import Verifier
from speciarl.verifiers.cached import Lookups, judge_distinct, pairs_of, snapshot_of, verdict_table
from speciarl.verifiers.cascade import Cascade

log = logging.getLogger(__name__)

ABSTENTIONS = ("none", "unknown")
BATCH = 4000  # pairs looked up and asked together
_WORD = re.compile(r"[^\W_]+")
_KEY = ("class", "prediction")


def pairs_to_expect(relations: pl.DataFrame, taxonomy: Taxonomy | None = None) -> pl.DataFrame:
    """Each class with every term of its dataset and the usual abstentions.

    Args:
        relations: of a dataset, as `Taxonomy.table` has them.
        taxonomy: what judges; a class that another dataset has too is held against its terms as
            well, so that nothing is implied.

    Returns:
        class, prediction, implied: whether a prediction says the same of this class as of every
        other of which that is implied, since no relation is stated.
    """
    key = ["dataset", "class_name", "term"]
    stated = relations.drop_nulls("class_name").select(*key, stated=True)
    classes = stated.select("class_name").unique()
    shared = [n for n in classes["class_name"] if taxonomy and len(taxonomy.describe(n)) > 1]
    names = [term for term in relations["term"].unique() if _is_one_name(term)]
    implied = (
        pl.col("stated").is_null()
        & pl.col("term").is_in(names)
        & ~pl.col("class_name").is_in(shared)
    )
    terms = every_pair(relations).join(stated, on=key, how="left")
    terms = terms.select("class_name", prediction="term", implied=implied)
    abstentions = pl.DataFrame({"prediction": ABSTENTIONS, "implied": False})
    return _normal(pl.concat([terms, classes.join(abstentions, how="cross")]))


def _is_one_name(term: str) -> bool:
    """Whether a term is read as the name that it is, whatever the class.

    Else parts of it may name something that a class has a relation with, as the model does in the
    name of a car with its year.
    """
    prediction = normalize(term)
    return (
        prediction == term.lower() == strip_injection(prediction)
        and len(_WORD.findall(prediction)) <= LONGEST
        and not (parts_names(prediction) or take_years(prediction)[1])
    )


def pairs_seen(predictions: Iterable[Path]) -> pl.DataFrame:
    """What models have answered, from files of the `predict` stage: as `pairs_to_expect` has it."""
    schema = {"class_name": pl.String, "prediction": pl.String}
    seen = [read_foreign_parquet(path, schema) for path in predictions]
    given = pl.concat([pl.DataFrame(schema=schema), *seen]).drop_nulls()
    return _normal(given.with_columns(implied=False))


def precompute(
    pairs: pl.DataFrame,
    verifier: Cascade,
    cache: VerdictCache,
    settings: VerifierConfig,
    ask_model: bool = False,
) -> pl.DataFrame:
    """Put the verdicts of pairs (class, prediction, implied) into the store.

    Each is the whole verifier's, whatever part of it decides. Of the pairs that are implied it is
    asked about one for each prediction. Before a model is asked, the terminal is told how many
    questions there are.

    Args:
        settings: the section that the verifier was built from.
        ask_model: whether a language model is asked what rules and facts leave open. Else these
            pairs are left out, whatever the store has of them: the same parameters give the same
            snapshot.

    Returns:
        The snapshot (`snapshot_of`), sorted; a pair without a verdict has no row.

    Raises:
        VerifierError: a larger share than `max_failures` of the pairs so far has no verdict; what
            was decided stays in the store.
    """
    parts: Sequence[Verifier] = verifier.verifiers if settings.model else [verifier]
    tables, left_open, total = [], pairs, Lookups()
    try:
        for part in parts:
            first = pl.col("prediction").is_first_distinct().over("implied")
            asked = left_open.filter(~pl.col("implied") | first)
            if settings.model and part is parts[-1]:
                if not ask_model:
                    break
                asked, questions, at_once = left_open, left_open.height, settings.at_once
                say(
                    f"{questions} questions to the model: {duration(questions / at_once)} if "
                    f"{at_once} at once take a second; what is answered is kept when you stop"
                )
            judged = _judge(asked, part, cache, settings.max_failures, total)
            implied = snapshot_of(_implied(left_open, judged), cache)
            stored = cache.put_table(implied)
            total.misses += stored
            total.hits += implied.height - stored
            tables += [snapshot_of(judged, cache), implied]
            left_open = left_open.join(pl.concat(tables[-2:]), on=_KEY, how="anti")
    finally:
        cache.note_lookup(**asdict(total))
        cache.flush()
    log.info(
        "%d pairs: %d were in the store, %d judged, %d without a verdict",
        pairs.height, total.hits, total.asked, left_open.height,
    )  # fmt: skip
    snapshot = pl.concat(tables).sort(_KEY)
    return snapshot if ask_model else snapshot.filter(~pl.col("decided_by").is_in(PAID_FOR))


def _implied(pairs: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Verdicts that follow for pairs from those on others; what a model says of one class is not
    said of another."""
    implied = pairs.filter("implied")
    said = judged.filter(~pl.col("decided_by").is_in(PAID_FOR)).join(implied, on=_KEY, how="semi")
    followed = implied.join(judged, on=_KEY, how="anti").join(said.drop("class"), on="prediction")
    return followed.select(judged.columns)


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


def _normal(given: pl.DataFrame) -> pl.DataFrame:
    """Distinct (class, prediction) in normal form, sorted; empty predictions left out.

    Of several spellings all have to be implied.
    """
    texts = given["prediction"].unique()
    normal = pl.DataFrame({"prediction": texts, "normal": map(normalize, texts)})
    return (
        given.join(normal, on="prediction")
        .select(
            pl.col("class_name").alias("class"), pl.col("normal").alias("prediction"), "implied"
        )
        .filter(pl.col("prediction") != "")
        .group_by(_KEY)
        .agg(pl.col("implied").all())
        .sort(_KEY)
    )


def _with_progress(pairs: pl.DataFrame) -> Iterator[list[Pair]]:
    """Batches of pairs; the terminal is told how many are done and the time left."""
    progress, done = Progress("pairs", pairs.height), 0
    for rows in pairs.iter_slices(BATCH):
        yield [Pair(*pair) for pair in pairs_of(rows)]
        done += rows.height
        progress.reached(done)
