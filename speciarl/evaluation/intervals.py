"""How sure a score is: bootstrap over images, within datasets, for all runs and seeds at once.

Each replicate draws the images of every dataset anew, with replacement, and scores all runs on the
same draw, which depends on nothing but the dataset's name and the number of its images. The
difference between two runs is then that of the same images (Efron and Tibshirani, An Introduction
to the Bootstrap, 1993, chapters 8 and 13). Of a run with n seeds it also draws n - 1, with
replacement, whose mean varies as that of n seeds does (Rao and Wu, Resampling inference with
complex survey data, 1988, section 2). So the interval says what other images and other seeds would
change; of a run with a single seed, what other images would.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from speciarl.evaluation.metrics import METRICS
from speciarl.verdicts import Verdict

REPLICATES = 2000
BLOCK = 200  # drawn at a time: 50 MB for the 30,000 images of Food-101
SEED = 0
LEVEL = (0.025, 0.975)


class Replicates:
    """Scores of every run on every dataset, in the sample itself and in each replicate.

    Args:
        best: run, seed, dataset, sample_id, verdict, decided_by: the best verdict of each sample,
            null where it has none; the same images for all, as `scores.best_of_all` sees to.
        datasets: in the order of the scores.
        weights: specificity of each correct verdict.
    """

    def __init__(
        self,
        best: pl.DataFrame,
        datasets: Sequence[str],
        weights: Mapping[Verdict, float],
        replicates: int = REPLICATES,
    ) -> None:
        self.units = best.select("run", "seed").unique(maintain_order=True)
        self.scores = {
            name: replicated(
                _outcomes(best.filter(dataset=name), self.units, weights), name, replicates
            )
            for name in datasets
        }

    def of(self, run: str, datasets: Sequence[str]) -> dict[str, np.ndarray]:
        """By metric the run's mean over seeds and datasets, of each replicate, the sample first."""
        chosen = (self.units["run"] == run).to_numpy()
        by_seed = np.mean([self.scores[name][:, :, chosen] for name in datasets], axis=0)
        weights = seed_weights(run, by_seed.shape[2], by_seed.shape[1] - 1)
        return dict(zip(METRICS, (by_seed * weights).sum(axis=2), strict=True))


def seed_weights(run: str, seeds: int, replicates: int) -> np.ndarray:
    """Shares of each seed (replicates x seeds) in the mean of a run; first those of the sample.

    What is drawn depends on the run's name, so that runs vary apart, whatever stands beside them.
    """
    drawn = np.full((replicates + 1, seeds), 1 / seeds)
    if seeds > 1:
        rng = np.random.default_rng([SEED, *run.encode()])
        drawn[1:] = rng.multinomial(seeds - 1, drawn[0], replicates) / (seeds - 1)
    return drawn


def compared(between: np.ndarray) -> dict[str, np.ndarray]:
    """What the replicates of differences (... x replicates, the sample first) say, in columns.

    p is that of the two-sided test that there is no difference: the share of the draws on the other
    side of 0, doubled, the sample counted as a draw (Davison and Hinkley, Bootstrap Methods and
    their Application, 1997, section 4.4.1). It is below .05 where the interval leaves 0 out.

    Returns:
        difference, low, high (the 95 % interval), p; NaN where undefined.
    """
    drawn = between[..., 1:]
    low, high = np.quantile(drawn, LEVEL, axis=-1)
    tail = np.minimum((drawn <= 0).sum(axis=-1), (drawn >= 0).sum(axis=-1))
    p = np.minimum(1.0, 2 * (tail + 1) / between.shape[-1])
    undefined = np.where(np.isnan(low), np.nan, 0.0)
    return {"difference": between[..., 0] + undefined, "low": low, "high": high, "p": p + undefined}


def interval(replicates: np.ndarray) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of replicates; None where one of them is undefined."""
    low, high = np.quantile(replicates, LEVEL)
    return (None, None) if np.isnan(low) else (float(low), float(high))


def _outcomes(
    rows: pl.DataFrame, units: pl.DataFrame, weights: Mapping[Verdict, float]
) -> np.ndarray:
    """By image and unit: counted (0 or 1), correct (0 or 1), weight (0 where not correct)."""
    value = {v.value: weights[v] for v in Verdict if v.correct}
    weight = pl.col("verdict").cast(pl.String).replace_strict(value, default=None)
    known = units.with_row_index("unit").join(rows, on=("run", "seed")).sort("unit", "sample_id")
    columns = known.select(
        counted=pl.col("decided_by") != "failed",
        correct=weight.is_not_null(),
        weight=weight.fill_null(0.0),
    )
    return by_image(columns.cast(pl.Float64).to_numpy(), units.height)


def by_image(rows: np.ndarray, units: int) -> np.ndarray:
    """images x units x columns of rows that are sorted by unit, then image; also of no rows."""
    images = len(rows) // max(1, units)
    return rows.reshape(units, images, rows.shape[1]).transpose(1, 0, 2)


def drawn_sums(outcomes: np.ndarray, dataset: str, replicates: int = REPLICATES) -> np.ndarray:
    """Sums over the images, which come first: those of the sample, then of each replicate."""
    images, shape = len(outcomes), outcomes.shape[1:]
    if not images:
        return np.zeros((replicates + 1, *shape))
    flat = outcomes.reshape(images, -1)
    sums = [flat.sum(axis=0, keepdims=True)]
    rng = np.random.default_rng([SEED, 0, *dataset.encode()])
    for block in range(0, replicates, BLOCK):
        drawn = rng.integers(images, size=(min(BLOCK, replicates - block), images), dtype=np.int32)
        # a multinomial draw takes four times as long
        times = np.stack([np.bincount(row, minlength=images) for row in drawn])
        sums.append(times.astype(float) @ flat)
    return np.concatenate(sums).reshape(-1, *shape)


def replicated(outcomes: np.ndarray, dataset: str, replicates: int = REPLICATES) -> np.ndarray:
    """METRICS x replicates x units of one dataset; the first replicate is the sample itself."""
    counted, correct, weight = drawn_sums(outcomes, dataset, replicates).T
    with np.errstate(invalid="ignore"):  # nothing counted, or nothing correct: undefined
        share, mean = correct / counted, weight / correct
        both = 2 * share * mean / (share + mean)
    return np.stack([share, mean, both]).transpose(0, 2, 1)
