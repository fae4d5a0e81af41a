"""Scores of all runs, by seed and over seeds, with intervals, and what runs differ by.

An area is what a score stands for: a dataset; a group, whose metrics are the plain means over its
datasets, HM included (the published HM of a group lies below the HM of its published means); or all
datasets that no run was trained on. Counts are sums.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import polars as pl

from speciarl.errors import DataError
from speciarl.evaluation.intervals import Replicates, interval
from speciarl.evaluation.metrics import (
    METRICS,
    best_per_sample,
    correctness,
    harmonic_mean,
    specificity,
    tally,
)
from speciarl.verdicts import COUNTS, Verdict

UNSEEN = "unseen datasets"
TOTALS = ("samples", *COUNTS, "unparsable", "failed", "undecided")
COLUMNS = [
    "run", "seed", "level", "name", *TOTALS, *METRICS,
    *(f"{metric}_{of}" for metric in METRICS for of in ("low", "high", "spread")),
]  # fmt: skip


class Area(NamedTuple):
    level: str
    """dataset, group or overall"""
    name: str
    datasets: Sequence[str]


def areas_of(groups: Mapping[str, Sequence[str]], unseen: Sequence[str]) -> list[Area]:
    """Datasets, then groups, then the unseen datasets, where there are any."""
    datasets = [name for names in groups.values() for name in names]
    areas = [Area("dataset", name, [name]) for name in datasets]
    areas += [Area("group", group, names) for group, names in groups.items()]
    return [*areas, Area("overall", UNSEEN, unseen)] if unseen else areas


def best_of_all(judged: pl.DataFrame, runs: Sequence[str], datasets: Sequence[str]) -> pl.DataFrame:
    """`best_per_sample` of every run, seed and dataset, with these columns before.

    Args:
        judged: rows of all runs, with columns run, seed, dataset, sample_id, rollout, verdict,
            decided_by.

    Raises:
        DataError: a run has no rows of a dataset, which would pass for a score of nothing, or
            other images than the rest.
    """
    parts = []
    for dataset in datasets:
        images = None
        for run in runs:
            for seed in judged.filter(run=run)["seed"].unique().sort().to_list() or [None]:
                chosen = judged.filter(run=run, seed=seed, dataset=dataset)
                if chosen.is_empty():
                    raise DataError(
                        f"{run} has no judged rows of {dataset}: judge it before scoring"
                    )
                best = best_per_sample(chosen)
                images = best["sample_id"] if images is None else images
                if not images.equals(best["sample_id"]):
                    raise DataError(
                        f"{run}, seed {seed}: judged {best.height} images of {dataset}, others "
                        f"judged {images.len()} or not the same ones: predict and judge it again"
                    )
                key = {"run": run, "seed": seed, "dataset": dataset}
                parts.append(best.select(*(pl.lit(v).alias(k) for k, v in key.items()), pl.all()))
    return pl.concat(parts)


def score(
    best: pl.DataFrame,
    replicates: Replicates,
    areas: Sequence[Area],
    weights: Mapping[Verdict, float],
) -> pl.DataFrame:
    """COLUMNS: for every run its scores over seeds (`seed` is null), then those of each seed.

    Over seeds a metric is the mean, with its 95 % interval (`_low`, `_high`) and the standard
    deviation between seeds (`_spread`, null for a single one).

    Args:
        best: as `best_of_all` gives it.
        replicates: of the same rows.
        areas: in the order of the report.
        weights: specificity of each correct verdict.
    """
    by_seed = _mean_over(_of_datasets(best, weights), areas, "seed")
    keys = ("run", "level", "name")
    pooled = by_seed.group_by(keys, maintain_order=True).agg(
        pl.lit(None, pl.Int64).alias("seed"),
        pl.col(TOTALS).sum(),
        *map(_mean, METRICS),
        *(pl.col(metric).std().alias(f"{metric}_spread") for metric in METRICS),
    )
    intervals = pl.DataFrame(
        _intervals(pooled["run"].unique(maintain_order=True).to_list(), areas, replicates),
        infer_schema_length=None,
    )
    return pl.concat([pooled.join(intervals, on=keys), by_seed], how="diagonal_relaxed").select(
        COLUMNS
    )


def differences(runs: Sequence[str], replicates: Replicates, areas: Sequence[Area]) -> pl.DataFrame:
    """What runs differ by in HM on the same images: run, other, level, name, difference, low, high.

    One row for each two runs and area, null where undefined; `low` and `high` are the 95 % interval
    of the paired bootstrap.
    """
    rows = []
    for area in areas:
        hm = {run: replicates.of(run, area.datasets)["hm"] for run in runs}
        for run, other in combinations(runs, 2):
            difference = hm[run] - hm[other]
            low, high = interval(difference[1:])
            middle = None if low is None else float(difference[0])
            rows.append((run, other, area.level, area.name, middle, low, high))
    names = ("run", "other", "level", "name", "difference", "low", "high")
    schema = {n: pl.String if i < 4 else pl.Float64 for i, n in enumerate(names)}
    return pl.DataFrame(rows, schema, orient="row")


def metrics_tree(scores: pl.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Metrics over seeds by run and area, HM with its interval, for results/metrics.json."""
    tree: dict = {}
    for row in scores.filter(pl.col("seed").is_null()).iter_rows(named=True):
        tree.setdefault(row["run"], {})[row["name"]] = {
            name: None if row[name] is None else round(row[name], 6)
            for name in (*METRICS, "hm_low", "hm_high")
        }
    return tree


def _of_datasets(best: pl.DataFrame, weights: Mapping[Verdict, float]) -> pl.DataFrame:
    rows = []
    for (run, seed, dataset), part in best.group_by("run", "seed", "dataset", maintain_order=True):
        counts = tally(part)
        right, weight = correctness(counts), specificity(counts, weights)
        figures = dict(zip(METRICS, (right, weight, harmonic_mean(right, weight)), strict=True))
        rows.append({"run": run, "seed": seed, "dataset": dataset, **counts, **figures})
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(METRICS, pl.Float64))


def _mean_over(rows: pl.DataFrame, areas: Sequence[Area], *keys: str) -> pl.DataFrame:
    """Means of metrics and sums of counts over the datasets of each area, by run and `keys`."""
    parts = [
        rows.filter(pl.col("dataset").is_in(list(area.datasets)))
        .group_by("run", *keys, maintain_order=True)
        .agg(
            pl.lit(area.level).alias("level"),
            pl.lit(area.name).alias("name"),
            pl.col(TOTALS).sum(),
            *map(_mean, METRICS),
        )
        for area in areas
    ]
    return pl.concat(parts)


def _mean(metric: str) -> pl.Expr:
    """A mean over some would pass for one over all: undefined where one is."""
    column = pl.col(metric)
    return pl.when(column.is_null().any()).then(None).otherwise(column.mean()).alias(metric)


def _intervals(runs: Sequence[str], areas: Sequence[Area], replicates: Replicates) -> Iterator:
    for run in runs:
        for area in areas:
            row: dict[str, str | float | None] = {
                "run": run,
                "level": area.level,
                "name": area.name,
            }
            for metric, values in replicates.of(run, area.datasets).items():
                row[f"{metric}_low"], row[f"{metric}_high"] = interval(values[1:])
            yield row
