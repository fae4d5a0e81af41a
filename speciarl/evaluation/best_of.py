"""What the best of k samples of an image reaches, for every k up to the n that were drawn.

Of n samples with m at or below a verdict, k drawn without replacement are all at or below it with
probability C(m, k) / C(n, k). That is the unbiased estimate for k fresh samples, as that of pass@k
(Chen et al., arXiv 2107.03374, equation 1), and one set of samples serves every k.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from scipy.special import comb

from speciarl.evaluation.intervals import REPLICATES, SEED, interval, replicated
from speciarl.evaluation.metrics import LADDER, METRICS
from speciarl.verdicts import Verdict


def chances(ranks: np.ndarray, k: int) -> np.ndarray:
    """How likely the best of k samples has each rank.

    Args:
        ranks: images x n, each sample's place on the ladder: 0 for an output that could not be
            parsed, 1 for wrong, up to 6 for more specific.
        k: from 1 to n.

    Returns:
        images x 7; every row sums to 1.
    """
    n = ranks.shape[1]
    at_or_below = (ranks[:, :, None] <= np.arange(len(Verdict) + 1)).sum(axis=1)
    return np.diff(comb(at_or_below, k) / comb(n, k), axis=1, prepend=0.0)


def curve(
    judged: pl.DataFrame, datasets: Sequence[str], weights: Mapping[Verdict, float]
) -> pl.DataFrame:
    """Metrics of the best of k by k, as means over datasets, with 95 % intervals over images.

    Args:
        judged: rows of one run and seed: dataset, sample_id, rollout, verdict, decided_by. An image
            of which the judge failed on a sample is left out, since nothing is known of its best.
        datasets: what to take the mean over.
        weights: specificity of each correct verdict.

    Returns:
        k, then each of METRICS with its `_low` and `_high`; null where undefined.
    """
    rng = np.random.default_rng(SEED)
    value = np.array([0.0, *(weights.get(v, 0.0) for v in Verdict)])
    right = np.array([False, *(v.correct for v in Verdict)])
    parts = []
    for name in datasets:
        ranks = _ranks(judged.filter(dataset=name))
        found = np.stack([chances(ranks, k) for k in range(1, ranks.shape[1] + 1)], axis=1)
        outcomes = np.stack(
            [np.ones(found.shape[:2]), found @ right, found @ (value * right)], axis=2
        )
        parts.append(replicated(outcomes, REPLICATES, rng))
    shortest = min(part.shape[2] for part in parts)
    mean = np.mean([part[:, :, :shortest] for part in parts], axis=0)
    return pl.DataFrame([_row(k, mean[:, :, k - 1]) for k in range(1, shortest + 1)])


def _ranks(rows: pl.DataFrame) -> np.ndarray:
    known = rows.filter((pl.col("decided_by") != "failed").all().over("sample_id"))
    ladder = pl.col("verdict").cast(LADDER).to_physical().cast(pl.Int64) + 1
    ranks = known.sort("sample_id", "rollout").select("sample_id", rank=ladder.fill_null(0))
    images = ranks["sample_id"].n_unique()
    return ranks["rank"].to_numpy().reshape(images, -1)


def _row(k: int, replicates: np.ndarray) -> dict[str, float | int | None]:
    """Args: replicates: METRICS x replicates, the sample itself first."""
    row: dict[str, float | int | None] = {"k": k}
    for metric, values in zip(METRICS, replicates, strict=True):
        low, high = interval(values[1:])
        row |= {metric: None if np.isnan(values[0]) else float(values[0])}
        row |= {f"{metric}_low": low, f"{metric}_high": high}
    return row
