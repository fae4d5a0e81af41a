"""How sure a score is: bootstrap over images, within datasets, for all runs and seeds at once.

Each replicate draws the images of every dataset anew, with replacement, and scores all runs on the
same draw: the difference between two runs is then that of the same images (Efron and Tibshirani,
An Introduction to the Bootstrap, 1993, chapters 8 and 13). The seeds of a run are pooled: its score
is their mean in every replicate. The interval says what other images would change, not what other
seeds would; that is the spread between them.
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
        rng = np.random.default_rng(SEED)
        self.scores = {
            name: replicated(
                _outcomes(best.filter(dataset=name), self.units, weights), replicates, rng
            )
            for name in datasets
        }

    def of(self, run: str, datasets: Sequence[str]) -> dict[str, np.ndarray]:
        """By metric the run's mean over seeds and datasets, of each replicate, the sample first."""
        chosen = (self.units["run"] == run).to_numpy()
        parts = [self.scores[name][:, :, chosen] for name in datasets]
        mean = np.mean(parts, axis=(0, 3))
        return dict(zip(METRICS, mean, strict=True))


def interval(replicates: np.ndarray) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of replicates; None where one of them is undefined."""
    low, high = intervals(replicates)
    return (None, None) if np.isnan(low) else (float(low), float(high))


def intervals(replicates: np.ndarray) -> np.ndarray:
    """Low and high ends (2 x ...) of `interval` for the last axis; NaN where undefined."""
    return np.quantile(replicates, LEVEL, axis=-1)


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
    by_unit = columns.cast(pl.Float64).to_numpy().reshape(units.height, -1, columns.width)
    return by_unit.transpose(1, 0, 2)


def replicated(outcomes: np.ndarray, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """METRICS x replicates x units of one dataset; the first replicate is the sample itself."""
    images, units, _ = outcomes.shape
    flat, sums = outcomes.reshape(images, -1), [outcomes.sum(axis=0).reshape(1, -1)]
    for block in range(0, replicates, BLOCK):
        size = min(BLOCK, replicates - block)
        sums.append(rng.multinomial(images, np.full(images, 1 / images), size) @ flat)
    counted, correct, weight = np.concatenate(sums).reshape(-1, units, 3).T
    with np.errstate(invalid="ignore"):  # nothing counted, or nothing correct: undefined
        share, mean = correct / counted, weight / correct
        both = 2 * share * mean / (share + mean)
    return np.stack([share, mean, both]).transpose(0, 2, 1)
