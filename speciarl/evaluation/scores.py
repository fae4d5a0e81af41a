"""Scores of all runs, by seed and over seeds, with intervals, and what runs differ by.

An area is what a score stands for: a dataset; a group, whose metrics are the plain means over its
datasets, HM included (the published HM of a group lies below the HM of its published means); or all
datasets that no run was trained on. Counts are sums.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from speciarl.errors import DataError
from speciarl.evaluation.intervals import Replicates, compared, interval
from speciarl.evaluation.metrics import (
    METRICS,
    best_per_sample,
    correctness,
    harmonic_mean,
    specificity,
    tally,
)
from speciarl.verdicts import OUTCOMES, Verdict

UNSEEN = "unseen datasets"
TOTALS = ("samples", *OUTCOMES, "undecided", "several_tagged")
COLUMNS = [
    "run", "seed", "level", "name", *TOTALS, *METRICS,
    *(f"{metric}_{of}" for metric in METRICS for of in ("low", "high", "spread")),
]  # fmt: skip


_CELL = ("run", "seed", "dataset")


def read_judged(folders: Iterable[Path]) -> pl.LazyFrame:
    """The rows of all runs, from their folders (RUN/SEED/DATASET.parquet), with a column run."""
    files = [path for folder in sorted(folders) for path in sorted(folder.glob("*/*.parquet"))]
    run = pl.col("file").str.split("/").list.get(-3)
    return pl.scan_parquet(files, include_file_paths="file").with_columns(run=run).drop("file")


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


def best_of_all(
    judged: pl.DataFrame | pl.LazyFrame,
    runs: Sequence[str],
    datasets: Sequence[str],
    also: Sequence[str] = (),
) -> pl.DataFrame:
    """`best_per_sample` of every run, seed and dataset, with these columns before; in order of
    datasets, runs, seeds and samples.

    Args:
        judged: rows of all runs, with columns run, seed, dataset, sample_id, rollout, verdict,
            decided_by.
        also: further columns of the row with the best verdict.

    Raises:
        DataError: a run has no rows of a dataset, which would pass for a score of nothing, or
            other images than the rest.
    """
    best = best_per_sample(judged, *_CELL, also=also)
    # Numbers instead of texts, in the order wanted: rows by the million are sorted.
    kinds = {"dataset": datasets, "run": runs, "sample_id": best["sample_id"].unique().sort()}
    best = (
        best.with_columns(pl.col(k).cast(pl.Enum(v), strict=False) for k, v in kinds.items())
        .drop_nulls(["dataset", "run"])
        .sort("dataset", "run", "seed", "sample_id")
    )
    found = best.group_by(_CELL, maintain_order=True).agg("sample_id")
    _require_same_images(found, runs, datasets)
    return best.with_columns(pl.col(list(kinds)).cast(pl.String))


def _require_same_images(found: pl.DataFrame, runs: Sequence[str], datasets: Sequence[str]) -> None:
    seeds = {run: found.filter(run=run)["seed"].unique().sort().to_list() or [None] for run in runs}
    cells = found.select(_CELL).rows()
    images: dict[tuple, pl.Series] = dict(zip(cells, found["sample_id"], strict=True))
    expected: dict[str, pl.Series] = {}
    for dataset, run, seed in ((d, r, s) for d in datasets for r in runs for s in seeds[r]):
        samples = images.get((run, seed, dataset))
        if samples is None:
            raise DataError(f"{run} has no judged rows of {dataset}: judge it before scoring")
        if not expected.setdefault(dataset, samples).equals(samples):
            raise DataError(
                f"{run}, seed {seed}: judged {len(samples)} images of {dataset}, others judged "
                f"{len(expected[dataset])} or not the same ones: predict and judge it again"
            )


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
    by_seed = _mean_over(_of_datasets(best, weights), areas)
    keys = ("run", "level", "name")
    pooled = by_seed.group_by(keys, maintain_order=True).agg(
        pl.lit(None, pl.Int64).alias("seed"),
        pl.col(TOTALS).sum(),
        *(_where_defined(pl.col(metric).mean(), metric) for metric in METRICS),
        *(_where_defined(pl.col(metric).std(), metric, "_spread") for metric in METRICS),
    )
    runs = pooled["run"].unique(maintain_order=True).to_list()
    intervals = pl.DataFrame(
        [_intervals(run, area, replicates) for run in runs for area in areas],
        schema_overrides={f"{m}_{of}": pl.Float64 for m in METRICS for of in ("low", "high")},
    )
    both = pooled.join(intervals, on=keys, maintain_order="left")
    return pl.concat([both, by_seed], how="diagonal_relaxed").select(COLUMNS)


def differences(runs: Sequence[str], replicates: Replicates, areas: Sequence[Area]) -> pl.DataFrame:
    """What runs differ by in HM on the same images, a row for each two runs and area.

    Returns:
        run, other, level, name, and difference, low, high and p as `intervals.compared` has them;
        null where undefined.
    """
    names = ("run", "other", "level", "name", "difference", "low", "high", "p")
    schema = {n: pl.String if i < 4 else pl.Float64 for i, n in enumerate(names)}
    parts = [pl.DataFrame(schema=schema)]
    for area in areas:
        hm = np.stack([replicates.of(run, area.datasets)["hm"] for run in runs])
        for place, run in enumerate(runs[:-1]):
            named = {
                "run": run, "other": runs[place + 1 :], "level": area.level, "name": area.name
            }  # fmt: skip
            parts.append(pl.DataFrame(named | compared(hm[place] - hm[place + 1 :])))
    return pl.concat(parts).fill_nan(None)


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
    for counts in tally(best, *_CELL).iter_rows(named=True):
        right, weight = correctness(counts), specificity(counts, weights)
        metrics = dict(zip(METRICS, (right, weight, harmonic_mean(right, weight)), strict=True))
        rows.append({**counts, **metrics})
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(METRICS, pl.Float64))


def _mean_over(rows: pl.DataFrame, areas: Sequence[Area]) -> pl.DataFrame:
    """Means of metrics and sums of counts over the datasets of each area, by run and seed."""
    parts = [
        rows.filter(pl.col("dataset").is_in(list(area.datasets)))
        .group_by("run", "seed", maintain_order=True)
        .agg(
            pl.lit(area.level).alias("level"),
            pl.lit(area.name).alias("name"),
            pl.col(TOTALS).sum(),
            *(_where_defined(pl.col(metric).mean(), metric) for metric in METRICS),
        )
        for area in areas
    ]
    return pl.concat(parts)


def _where_defined(statistic: pl.Expr, metric: str, suffix: str = "") -> pl.Expr:
    """Undefined where one value is: what some have would pass for what all have."""
    undefined = pl.col(metric).is_null().any()
    return pl.when(undefined).then(None).otherwise(statistic).alias(f"{metric}{suffix}")


def _intervals(run: str, area: Area, replicates: Replicates) -> dict[str, str | float | None]:
    row: dict[str, str | float | None] = {"run": run, "level": area.level, "name": area.name}
    for metric, values in replicates.of(run, area.datasets).items():
        row[f"{metric}_low"], row[f"{metric}_high"] = interval(values[1:])
    return row
