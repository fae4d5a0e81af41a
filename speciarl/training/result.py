"""What the training of one seed leaves beside its adapters."""

from dataclasses import dataclass, field, fields
from functools import partial

import polars as pl

from speciarl.schemas import PREDICTIONS, VERDICTS
from speciarl.verdicts import COUNTS

_MEASURED = ("loss", "reward", "kl", "learning_rate")
_COUNTED = (*COUNTS, "unparsable", "several_tagged", "failed", "hits", "misses")
METRICS = pl.Schema(
    [("step", pl.Int64())]
    + [(name, pl.Float64()) for name in _MEASURED]
    + [(name, pl.Int64()) for name in _COUNTED]
)


@dataclass(frozen=True)
class TrainingResult:
    """Tables of one training; empty where its method has nothing of the kind."""

    metrics: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=METRICS))
    """METRICS, one row per step; a column that a method does not know may be left out."""
    verdicts: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=VERDICTS))
    """The verdicts that it used, as VERDICTS."""
    predictions: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=PREDICTIONS))
    """What the policy said, as PREDICTIONS."""

    def tables(self) -> dict[str, pl.DataFrame]:
        """By name, in columns that are the same for every method."""
        columns = [
            pl.col(c) if c in self.metrics.columns else pl.lit(None).alias(c) for c in METRICS
        ]
        whole = {"metrics": self.metrics.select(columns).cast(METRICS)}
        return whole | {one.name: getattr(self, one.name) for one in fields(self)[1:]}
