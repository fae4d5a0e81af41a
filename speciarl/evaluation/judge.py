"""Verdicts for predictions, through the cache."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from speciarl.errors import VerifierError
from speciarl.files import write_parquet
from speciarl.judging import CachedVerifier
from speciarl.text import normalise
from speciarl.verifiers.base import Pair


def judge_predictions(predictions: pl.DataFrame, source: CachedVerifier) -> pl.DataFrame:
    """Add `verdict` and `decided_by` to each row; the completion is left out.

    A row without an answer gets no verdict and `unparsable`, one that the verifier failed on no
    verdict and `failed`.
    """
    pairs = [
        None if answer is None else Pair(name, normalise(answer))
        for name, answer in predictions.select("class_name", "answer").iter_rows()
    ]
    judged, _ = source.judge([pair for pair in pairs if pair])
    found = iter(judged)
    rows = []
    for pair in pairs:
        if pair is None:
            rows.append((None, "unparsable"))
            continue
        one = next(found)
        rows.append((one.verdict.value, one.decided_by) if one.verdict else (None, "failed"))
    verdicts = pl.DataFrame(
        rows, orient="row", schema={"verdict": pl.String, "decided_by": pl.String}
    )
    return predictions.drop("completion").hstack(verdicts)


def judge_files(
    predictions: Sequence[Path],
    outputs: Sequence[Path],
    source: CachedVerifier,
    max_failures: float,
) -> None:
    """Judge one file of predictions after another.

    Raises:
        VerifierError: a larger share than `max_failures` of a file's answers has no verdict;
            what was decided stays in the store.
    """
    for path, output in zip(predictions, outputs, strict=True):
        judged = judge_predictions(pl.read_parquet(path), source)
        failed = judged.filter(decided_by="failed").height
        if failed > max_failures * judged.height:
            raise VerifierError(
                f"{path}: {failed} of {judged.height} answers have no verdict, more than "
                f"max_failures {max_failures}: see that the judge can be reached, then start again"
            )
        counts = judged["decided_by"].value_counts(sort=True).rows()
        print(f"{path}: {judged.height} answers decided by {dict(counts)}")
        write_parquet(judged, output)
