"""The audit in the report: training's verifier against the judge, and signs of reward hacking."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from speciarl.answers import normalize
from speciarl.config import VerifierConfig
from speciarl.schemas import PREDICTIONS
from speciarl.verdicts import LABELS
from speciarl.verifiers.audit import Agreement, agreement, reward_hacking


def judges_differ(verifier: VerifierConfig, judge: VerifierConfig) -> bool:
    """Whether two sections of the parameters name two judges; how they are reached is no matter."""
    return (verifier.backend, verifier.model) != (judge.backend, judge.model)


def judges_compared(
    predictions: Sequence[pl.DataFrame], judged: Iterable[pl.DataFrame]
) -> Agreement | None:
    """How far the two agree on the pairs that both have judged; None without `judged`.

    Args:
        predictions: of training runs, as PREDICTIONS.
        judged: what the `judge` stage wrote (class_name, prediction, verdict and others), where it
            asked another verifier than training; nothing where it was the same.
    """
    pairs = [
        rows.select(
            pl.col("class_name").alias("class"),
            pl.col("prediction").map_elements(normalize, pl.String),  # it comes as it was given
            "verdict",
        )
        for rows in judged
    ]
    return agreement(_each(predictions), _each(pairs), *predictions) if pairs else None


def signs_by_run(
    predictions: Mapping[str, pl.DataFrame], runs: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of `audit.reward_hacking` with their `run`: the first and the last of each run.

    Runs without `predictions` (as PREDICTIONS) are left out.
    """
    rows: list[dict[str, object]] = []
    for run in runs:
        signs = reward_hacking(predictions[run]).rows(named=True) if run in predictions else []
        ends = [signs[0], signs[-1]] if len(signs) > 1 else signs
        rows += [{"run": run, **sign} for sign in ends]
    return rows


def _each(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """class, prediction, verdict: one row per pair that has a verdict."""
    columns = pl.col("class", "prediction"), pl.col("verdict").cast(pl.Enum(LABELS))
    rows = pl.concat(table.select(columns) for table in [pl.DataFrame(schema=PREDICTIONS), *tables])
    return (
        rows.drop_nulls("verdict")
        .sort("class", "prediction", "verdict")
        .unique(["class", "prediction"], keep="first", maintain_order=True)
    )
