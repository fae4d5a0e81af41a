"""Verdicts for predictions, through the cache."""

import logging
from dataclasses import asdict
from pathlib import Path

import polars as pl

from speciarl.answers import count_tagged, normalize, unwrap
from speciarl.files import atomic_directory, write_parquet
from speciarl.verdicts import LABELS, Pair, reason, require_few_failures
from speciarl.verifiers.cached import CachedVerifier

log = logging.getLogger(__name__)

_ADDED = pl.Schema(
    [("normalized", pl.String), ("verdict", pl.Enum(LABELS)), ("decided_by", pl.String)]
)


def judge_predictions(
    predictions: pl.DataFrame, source: CachedVerifier
) -> tuple[pl.DataFrame, str]:
    """Add `normalized`, `verdict`, `decided_by`, `verifier` and, of `completion`, `several_tagged`.

    The completion is left out. With class and verifier the normalized prediction names a row of the
    store. What was looked up and asked is one row of the store's `lookups`.

    A row without a prediction gets no verdict and `unparsable`; one that the verifier failed on, or
    whose image could not be shown, no verdict and `failed`.

    Returns:
        The rows, and the reason of one of the failures.
    """
    pairs = [
        None if prediction is None else Pair(name, normalize(prediction), unwrap(prediction))
        for name, prediction in predictions.select("class_name", "prediction").iter_rows()
    ]
    judged, counts = source.judge([pair for pair in pairs if pair])
    source.cache.note_lookup(**asdict(counts))
    source.cache.flush()
    found = iter(judged)
    rows: list[tuple[str | None, str | None, str | None]] = []
    for pair, completion in zip(pairs, predictions["completion"], strict=True):
        if pair is None:
            rows.append((None, None, "failed" if completion is None else "unparsable"))
            continue
        one = next(found)
        verdict = (one.verdict.value, one.decided_by) if one.verdict else (None, "failed")
        rows.append((pair.prediction, *verdict))
    verdicts = pl.DataFrame(rows, orient="row", schema=_ADDED)
    several = [count_tagged(text or "") > 1 for text in predictions["completion"]]
    named = verdicts.with_columns(
        verifier=pl.lit(source.cache.verifier), several_tagged=pl.Series(several, dtype=pl.Boolean)
    )
    return predictions.drop("completion").hstack(named), reason(judged)


def judge_folder(
    predictions: Path, into: Path, source: CachedVerifier, max_failures: float
) -> None:
    """Judge every file of a run's predictions (SEED/DATASET.parquet) into one of the same name.

    Raises:
        VerifierError: a larger share than `max_failures` of a file's predictions has no verdict;
            what was decided stays in the store.
    """
    with atomic_directory(into) as folder:
        for path in sorted(predictions.glob("*/*.parquet")):
            given = pl.read_parquet(path)
            judged, why = judge_predictions(given, source)
            unseen = given["completion"].null_count()  # `evaluation.max_failures` has let them pass
            failed = judged.filter(decided_by="failed").height - unseen
            what = f"predictions of {path}"
            require_few_failures(failed, judged.height, what, max_failures, why)
            counts = judged["decided_by"].value_counts(sort=True).rows()
            log.info("%s: %d predictions, decided by %s", path.name, judged.height, dict(counts))
            write_parquet(judged, folder / path.relative_to(predictions))
