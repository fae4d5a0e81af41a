"""The audit in the report: training's verifier against the judge, and signs of reward hacking."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from speciarl.answers import normalize
from speciarl.config import VerifierConfig
from speciarl.verdicts import LABELS
from speciarl.verifiers.audit import Agreement, agreement, reward_hacking

_KEY = ("class", "prediction")
_SIDES = ("training", "evaluation")


def judges_differ(verifier: VerifierConfig, judge: VerifierConfig) -> bool:
    """Whether two sections of the parameters name two judges; how they are reached is no matter."""
    return (verifier.backend, verifier.model) != (judge.backend, judge.model)


def judges_compared(
    predictions: Sequence[pl.DataFrame], judged: Iterable[pl.DataFrame]
) -> Agreement | None:
    """How far the two agree on the pairs that both have judged.

    Args:
        predictions: of training runs, as `audit.PREDICTIONS`.
        judged: what the `judge` stage wrote (class_name, prediction, verdict and others), where it
            asked another verifier than training; nothing where it was the same.

    Returns:
        None without `judged`.
    """
    evaluated = [_pairs_of(rows) for rows in judged]
    if not evaluated:
        return None
    verdicts = pl.concat(
        _named(side, tables)
        for side, tables in zip(_SIDES, (predictions, evaluated), strict=True)
        if tables
    )
    return agreement(verdicts, *_SIDES, *predictions)


def signs_by_run(
    predictions: Mapping[str, pl.DataFrame], runs: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of `audit.reward_hacking` with their `run`: the first and the last of each run.

    Args:
        predictions: of training runs, as `audit.PREDICTIONS`; runs without any are left out.
        runs: in the order of the report.
    """
    rows: list[dict[str, object]] = []
    for run in runs:
        signs = reward_hacking(predictions[run]).rows(named=True) if run in predictions else []
        ends = [signs[0], signs[-1]] if len(signs) > 1 else signs
        rows += [{"run": run, **sign} for sign in ends]
    return rows


def _pairs_of(judged: pl.DataFrame) -> pl.DataFrame:
    """class, prediction, verdict of predictions, which come as they were given."""
    normal = pl.col("prediction").map_elements(normalize, return_dtype=pl.String)
    distinct = judged.select("class_name", "prediction", "verdict").unique()
    return distinct.select(pl.col("class_name").alias("class"), normal.alias(_KEY[1]), "verdict")


def _named(side: str, tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """verifier, class, prediction, verdict: one row per pair that has a verdict."""
    label = pl.col("verdict").cast(pl.Enum(LABELS))
    together = pl.concat(rows.select(*_KEY, label) for rows in tables).drop_nulls("verdict")
    distinct = together.sort(*_KEY, "verdict").unique(_KEY, keep="first", maintain_order=True)
    return distinct.select(pl.lit(side).alias("verifier"), pl.all())
