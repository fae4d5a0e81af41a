"""Specificity, Correctness and their harmonic mean, from judged rows, with all counts.

Correctness is the share of samples judged generic or better, Specificity the mean weight of
those (arXiv 2603.03197, section 4). A sample whose output could not be parsed stays in the
denominator; one that the judge failed on has no verdict and is counted apart.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from speciarl.verdicts import LABELS, Verdict

LADDER = pl.Enum(LABELS)
METRICS = ("correctness", "specificity", "hm")
# Of a row of judged predictions; null without a verdict.
STEP = pl.col("verdict").cast(LADDER).to_physical().cast(pl.Int64)
CORRECT = (Verdict.GENERIC.step <= STEP).fill_null(False)

FAILED, UNPARSABLE, UNDECIDED = "failed", "unparsable", "undecided"
_TALLY = {
    "samples": pl.len(),
    **{v.name.lower(): (pl.col("verdict") == v.value).sum() for v in Verdict},
    **{why: (pl.col("verdict").is_null() & (pl.col("decided_by") == why)).sum()
       for why in (UNPARSABLE, FAILED)},
    "undecided": (pl.col("decided_by") == UNDECIDED).sum(),
    "several_tagged": pl.col("several_tagged").sum(),
}  # fmt: skip


def best_per_sample(
    judged: pl.DataFrame | pl.LazyFrame, *keys: str, also: Sequence[str] = ()
) -> pl.DataFrame:
    """The best verdict among each sample's rollouts, of equal ones the first, in no order.

    Where none has a verdict it is null, and `decided_by` is "failed" if the judge failed on any of
    them, else "unparsable".

    Returns:
        keys, sample_id, verdict (Enum in ladder order), decided_by and rollout of that verdict, and
        what else is asked for of it; several_tagged (rollouts with several tagged predictions).
    """
    rank = (STEP + 1).fill_null((pl.col("decided_by") == FAILED).cast(pl.Int64) - 1)
    return (
        judged.lazy()
        .with_columns(pl.col("verdict").cast(LADDER))
        .with_columns(rank=rank * 2**32 - pl.col("rollout"))
        .group_by(*keys, "sample_id")
        .agg(
            pl.col("verdict", "decided_by", "rollout", *also).max_by("rank"),
            pl.col("several_tagged").sum(),
        )
        .collect()
    )


def tally(best: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Counts that add up, a row for each value of keys: the six verdicts, unparsable and failed
    make `samples`.

    `several_tagged` counts rollouts, not samples.
    """
    counts = {name: count.cast(pl.Int64) for name, count in _TALLY.items()}
    return (
        best.group_by(*keys, maintain_order=True).agg(**counts) if keys else best.select(**counts)
    )


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
