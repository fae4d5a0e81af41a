"""What the verdict store saves: verdicts needed, and calls of a language model for them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import polars as pl

from speciarl.cache.transfer import PAID_FOR
from speciarl.config import VerifierConfig


class Economy(NamedTuple):
    """Of training or of evaluation, all runs together."""

    where: str
    needed: int
    """Verdicts that were needed: one for each prediction that could be read."""
    by_model: int
    """Of these, what a language model judged; without a store each is a call."""
    calls: int
    """The distinct pairs of class and prediction among them; with a store each is one."""
    price: float | None
    """Of a thousand calls; None where the parameters name none."""

    @property
    def saved(self) -> float | None:
        """Money."""
        return None if self.price is None else (self.by_model - self.calls) * self.price / 1000


def in_training(
    predictions: Mapping[str, pl.DataFrame],
    verdicts: Mapping[str, pl.DataFrame],
    verifier: VerifierConfig,
) -> Economy:
    """Args: predictions and verdicts by run, as schemas.PREDICTIONS and schemas.VERDICTS."""
    key = ["class", "prediction"]
    decided = {run: rows.lazy().select(*key, "decided_by") for run, rows in verdicts.items()}
    joined = [
        rows.lazy().select(*key, "count").join(decided[run], on=key)
        for run, rows in predictions.items()
    ]
    return _economy("training", joined, verifier)


def in_evaluation(judged: pl.LazyFrame, judge: VerifierConfig) -> Economy:
    """Args: judged: as `scores.read_judged` gives it."""
    rows = judged.drop_nulls("verdict").select(
        pl.col("class_name").alias("class"), pl.col("normalized").alias("prediction"),
        "decided_by", count=pl.lit(1, pl.Int64),
    )  # fmt: skip
    return _economy("evaluation", [rows], judge)


def _economy(where: str, rows: Iterable[pl.LazyFrame], config: VerifierConfig) -> Economy:
    paid = pl.col("decided_by").is_in(PAID_FOR)
    pairs = (
        pl.concat(rows)
        .group_by("class", "prediction")
        .agg(pl.col("count").sum(), paid=paid.any())
        .select(pl.col("count").sum(), by_model=pl.col("count").filter("paid").sum(),
                calls=pl.col("paid").sum())
        .collect()
    )  # fmt: skip
    price = config.server.price if config.server else None
    needed, by_model, calls = map(int, pairs.row(0))
    return Economy(where, needed, by_model, calls, price)
