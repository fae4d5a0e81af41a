"""Specificity, Correctness and their harmonic mean, from judged rows, with all counts.

Correctness is the share of samples judged generic or better, Specificity the mean weight of
those (arXiv 2603.03197, section 4). A sample whose output could not be parsed stays in the
denominator; one that the judge failed on has no verdict and is counted apart.
"""

from collections.abc import Mapping

import polars as pl

from speciarl.verdicts import LABELS, Verdict

LADDER = pl.Enum(LABELS)
METRICS = ("correctness", "specificity", "hm")


def best_per_sample(judged: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """The best verdict among each sample's rollouts; null where none has one.

    Returns:
        keys, sample_id, verdict (Enum in ladder order), decided_by of that verdict, several_tagged
        (rollouts with several tagged predictions).
    """
    samples = [*keys, "sample_id"]
    ladder = pl.col("verdict").to_physical()
    return (
        judged.with_columns(pl.col("verdict").cast(LADDER))
        .sort(*samples, ladder, "rollout",
              descending=[*(False for _ in samples), True, False], nulls_last=True)
        .group_by(samples, maintain_order=True)
        .agg(pl.col("verdict", "decided_by").first(), pl.col("several_tagged").sum())
    )  # fmt: skip


def tally(best: pl.DataFrame) -> dict[str, int]:
    """Counts that add up: the six verdicts, unparsable and failed make `samples`.

    `several_tagged` counts rollouts, not samples.
    """
    verdicts = dict(best["verdict"].drop_nulls().cast(pl.String).value_counts().iter_rows())
    reasons = best.filter(pl.col("verdict").is_null())["decided_by"].to_list()
    undecided = best.filter(decided_by="undecided").height
    return {
        "samples": best.height,
        **{v.name.lower(): verdicts.get(v.value, 0) for v in Verdict},
        "unparsable": reasons.count("unparsable"),
        "failed": reasons.count("failed"),
        "undecided": undecided,
        "several_tagged": best["several_tagged"].sum(),
    }


def correctness(counts: Mapping[str, int]) -> float | None:
    """Share of the samples with an output to judge that was correct; None without any."""
    judged = counts["samples"] - counts["failed"]
    right = sum(counts[v.name.lower()] for v in Verdict if v.correct)
    return right / judged if judged else None


def specificity(counts: Mapping[str, int], weights: Mapping[Verdict, float]) -> float | None:
    """Mean weight of the correct samples; None where none is correct."""
    right = {v: counts[v.name.lower()] for v in Verdict if v.correct}
    total = sum(right.values())
    return sum(weights[v] * n for v, n in right.items()) / total if total else None


def harmonic_mean(first: float | None, second: float | None) -> float | None:
    """2ab / (a + b); 0 where both are 0, None where one is undefined."""
    if first is None or second is None:
        return None
    return 2 * first * second / (first + second) if first + second else 0.0
