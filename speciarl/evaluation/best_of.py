"""What the best of k samples of an image reaches, for every k up to the n that were drawn.

Of n samples with m at or below a verdict, k drawn without replacement are all at or below it with
probability C(m, k) / C(n, k). That is the unbiased estimate for k fresh samples, as that of pass@k
(Chen et al., arXiv 2107.03374, equation 1), and one set of samples serves every k.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from scipy.special import comb

from speciarl.evaluation.intervals import interval, replicated
from speciarl.evaluation.metrics import METRICS, STEP
from speciarl.evaluation.scores import Area
from speciarl.verdicts import Verdict

COLUMNS = (
    "run", "seed", "level", "name", "k", "images", "dropped",
    *(f"{metric}{of}" for metric in METRICS for of in ("", "_low", "_high")),
)  # fmt: skip


def chances(ranks: np.ndarray) -> np.ndarray:
    """How likely the best of k samples has each rank, for every k.

    Args:
        ranks: images x n, each sample's place on the ladder: 0 for an output that could not be
            parsed, 1 for wrong, up to 6 for more specific.

    Returns:
        images x n x 7, the first for k = 1; every row sums to 1.
    """
    n = ranks.shape[1]
    k = np.arange(1, n + 1)
    all_at_or_below = comb(np.arange(n + 1)[:, None], k) / comb(n, k)
    at_or_below = (ranks[:, :, None] <= np.arange(len(Verdict) + 1)).sum(axis=1)
    return np.diff(all_at_or_below[at_or_below].swapaxes(1, 2), axis=2, prepend=0.0)


def curves(
    judged: pl.LazyFrame, areas: Sequence[Area], weights: Mapping[Verdict, float]
) -> pl.DataFrame:
    """Metrics of the best of k by k, for every run and seed with several samples an image.

    Args:
        judged: as `scores.read_judged` gives it. An image of which the judge failed on a sample is
            left out, since nothing is known of its best.
        areas: what to take means over datasets for.

    Returns:
        COLUMNS: `images` that count and those `dropped`, which are all together, and the metrics
        with their 95 % intervals over images; null where undefined.
    """
    several = judged.filter(pl.col("rollout").max().over("run", "seed") > 0)
    cells = several.select(
        "run", "seed", "dataset", "sample_id", "rollout", "verdict", "decided_by"
    ).collect()
    rows = [
        {"run": run, "seed": seed, "level": area.level, "name": area.name, **row}
        for (run, seed), cell in sorted(cells.partition_by("run", "seed", as_dict=True).items())
        for area, found in _by_area(cell, areas, weights)
        for row in found
    ]
    kinds = dict.fromkeys(("run", "level", "name"), pl.String()) | dict.fromkeys(
        ("seed", "k", "images", "dropped"), pl.Int64()
    )
    return pl.DataFrame(rows, schema={name: kinds.get(name, pl.Float64()) for name in COLUMNS})


def _by_area(
    cell: pl.DataFrame, areas: Sequence[Area], weights: Mapping[Verdict, float]
) -> Iterator[tuple[Area, list[dict]]]:
    value = np.array([0.0, *(weights.get(v, 0.0) for v in Verdict)])
    right = np.array([False, *(v.correct for v in Verdict)])
    replicates, counts = {}, {}
    for name in dict.fromkeys(name for area in areas for name in area.datasets):
        rows = cell.filter(dataset=name)
        ranks = _ranks(rows)
        counts[name] = len(ranks), rows["sample_id"].n_unique() - len(ranks)
        found = chances(ranks)
        outcomes = np.stack(
            [np.ones(found.shape[:2]), found @ right, found @ (value * right)], axis=2
        )
        replicates[name] = replicated(outcomes, name)
    for area in areas:
        mean = np.mean([replicates[name] for name in area.datasets], axis=0)
        images, dropped = np.sum([counts[name] for name in area.datasets], axis=0).tolist()
        counted = {"images": images, "dropped": dropped}
        yield area, [counted | _row(k, mean[:, :, k - 1]) for k in range(1, mean.shape[2] + 1)]


def _ranks(rows: pl.DataFrame) -> np.ndarray:
    """images x samples, of those images that the judge did not fail on."""
    known = rows.filter((pl.col("decided_by") != "failed").all().over("sample_id"))
    ranks = known.sort("sample_id", "rollout").select("sample_id", rank=(STEP + 1).fill_null(0))
    return ranks["rank"].to_numpy().reshape(-1, rows["rollout"].n_unique())


def _row(k: int, replicates: np.ndarray) -> dict[str, float | int | None]:
    """Args: replicates: METRICS x replicates, the sample itself first."""
    row: dict[str, float | int | None] = {"k": k}
    for metric, values in zip(METRICS, replicates, strict=True):
        low, high = interval(values[1:])
        row |= {metric: None if np.isnan(values[0]) else float(values[0])}
        row |= {f"{metric}_low": low, f"{metric}_high": high}
    return row
