"""Specificity, Correctness and their harmonic mean, from judged rows, with all counts.

Correctness is the share of samples judged generic or better, Specificity the mean weight of
those (arXiv 2603.03197, section 4). A sample whose output could not be parsed stays in the
denominator; one that the judge failed on has no verdict and is counted apart.
"""

from collections.abc import Mapping

import polars as pl

from speciarl.errors import DataError
from speciarl.verdicts import LABELS, Verdict

LADDER = pl.Enum(LABELS)


def best_per_sample(judged: pl.DataFrame) -> pl.DataFrame:
    """The best verdict among each sample's rollouts; null where none has one.

    Returns:
        sample_id, verdict (Enum in ladder order), decided_by of that verdict.
    """
    return (
        judged.with_columns(pl.col("verdict").cast(LADDER))
        .sort("sample_id", pl.col("verdict").to_physical(), "rollout",
              descending=[False, True, False], nulls_last=True)
        .group_by("sample_id", maintain_order=True)
        .first()
        .select("sample_id", "verdict", "decided_by")
    )  # fmt: skip


def tally(best: pl.DataFrame) -> dict[str, int]:
    """Counts that add up: the six verdicts, unparsable and failed make `samples`."""
    verdicts = dict(best["verdict"].drop_nulls().cast(pl.String).value_counts().iter_rows())
    reasons = best.filter(pl.col("verdict").is_null())["decided_by"].to_list()
    undecided = best.filter(decided_by="undecided").height
    return {
        "samples": best.height,
        **{v.name.lower(): verdicts.get(v.value, 0) for v in Verdict},
        "unparsable": reasons.count("unparsable"),
        "failed": reasons.count("failed"),
        "undecided": undecided,
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


def score(
    judged: pl.DataFrame,
    runs: list[str],
    groups: Mapping[str, str],
    weights: Mapping[Verdict, float],
) -> pl.DataFrame:
    """Scores of every run on every dataset, and their means over each group.

    A group's figures are the plain means over its datasets, HM included (the published HM of a
    group lies below the HM of its published means); its counts are sums.

    Args:
        judged: rows of all runs, with columns run, dataset, sample_id, rollout, verdict,
            decided_by, several_tagged. The last is counted over all rollouts, as in training.
        runs: in the order of the report.
        groups: group of each dataset, in the order of the report.
        weights: specificity of each correct verdict.

    Raises:
        DataError: a run has no rows of a dataset, which would pass for a score of nothing.
    """
    rows = []
    for run in runs:
        for dataset in groups:
            chosen = judged.filter(run=run, dataset=dataset)
            if chosen.is_empty():
                raise DataError(f"{run} has no judged rows of {dataset}: judge it before scoring")
            counts = tally(best_per_sample(chosen))
            right, weight = correctness(counts), specificity(counts, weights)
            rows.append(
                {
                    "run": run, "level": "dataset", "name": dataset, **counts,
                    "several_tagged": chosen["several_tagged"].sum(),
                    "correctness": right, "specificity": weight,
                    "hm": harmonic_mean(right, weight),
                }
            )  # fmt: skip
    figures = ["correctness", "specificity", "hm"]
    datasets = pl.DataFrame(rows, schema_overrides=dict.fromkeys(figures, pl.Float64))
    totals = [c for c in datasets.columns if c not in ("run", "level", "name", *figures)]
    means = (
        datasets.with_columns(level=pl.lit("group"), name=pl.col("name").replace_strict(groups))
        .group_by("run", "level", "name", maintain_order=True)
        .agg(
            pl.col(totals).sum(),
            # A mean over some of the datasets would pass for one over all of them.
            *[
                pl.when(pl.col(f).is_null().any()).then(None).otherwise(pl.col(f).mean()).alias(f)
                for f in figures
            ],
        )
    )
    return pl.concat([datasets, means])


def metrics_tree(scores: pl.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Figures by run and dataset or group, rounded to 6 places, for results/metrics.json."""
    tree: dict = {}
    for row in scores.iter_rows(named=True):
        figures = {name: row[name] for name in ("correctness", "specificity", "hm")}
        tree.setdefault(row["run"], {})[row["name"]] = {
            name: None if value is None else round(value, 6) for name, value in figures.items()
        }
    return tree
