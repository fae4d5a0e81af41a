"""Whether verdicts can be trusted: two verifiers compared, and signs of reward hacking in a run.

Plain functions from frames to frames; what they are shown as is for the caller.
"""

from collections import Counter
from dataclasses import dataclass

import polars as pl

from speciarl.answers import is_hedged, strip_injection
from speciarl.schemas import PREDICTIONS
from speciarl.verdicts import LABELS, Verdict

STRETCHES = 10  # rows of the table of signs


@dataclass(frozen=True)
class Agreement:
    """How far two verifiers agree on the pairs that both have judged."""

    pairs: int
    same: int
    kappa: float | None
    """Cohen's kappa, 1 for the same verdicts, 0 for chance; None where chance explains all."""
    confusion: pl.DataFrame
    """Counts: a row for each verdict of the first, a column for each of the second."""
    by_class: pl.DataFrame
    """class, pairs, differing, share: where they differ most often, most first."""
    differing: pl.DataFrame
    """class, prediction, first, second, apart (steps of the ladder), used: most used first."""


def agreement(first: pl.DataFrame, second: pl.DataFrame, *predictions: pl.DataFrame) -> Agreement:
    """Compare two verifiers on the same pairs.

    Args:
        first, second: class, prediction, verdict: what each has judged, each pair once.
        predictions: of any number of runs, as PREDICTIONS; they say how often a pair was used.
    """
    key = ["class", "prediction"]
    one, other = (
        verdicts.select(*key, pl.col("verdict").cast(pl.String).alias(side))
        for verdicts, side in ((first, "first"), (second, "second"))
    )
    both = one.join(other, on=key)
    used = pl.concat([pl.DataFrame(schema=PREDICTIONS), *predictions])
    counts = used.group_by(key).agg(used=pl.col("count").sum())
    differing = (
        both.filter(pl.col("first") != pl.col("second"))
        .with_columns(apart=(_step("first") - _step("second")).abs())
        .join(counts, on=key, how="left")
        .with_columns(pl.col("used").fill_null(0))
        .sort("used", "apart", *key, descending=[True, True, False, False])
    )
    same = both.height - differing.height
    return Agreement(both.height, same, _kappa(both), _confusion(both), _by_class(both), differing)


def reward_hacking(predictions: pl.DataFrame) -> pl.DataFrame:
    """What a policy does when it learns to please the judge, over the course of a run.

    Returns:
        One row for each of up to STRETCHES stretches of steps: first_step, last_step, predictions,
        several (share that offer more than one label), addressing (share that speak to the judge),
        commonest (the most frequent prediction), commonest_share, commonest_classes (for how many
        classes it was given), mean_length (characters).
    """
    text = pl.col("prediction")
    marks = predictions.select("prediction").unique().with_columns(
        several=text.map_elements(is_hedged, pl.Boolean),
        addressing=text.map_elements(strip_injection, pl.String) != text,
    )  # fmt: skip
    place = pl.col("step").rank("dense").cast(pl.Int64) - 1
    stretch = place * STRETCHES // max(predictions["step"].n_unique(), STRETCHES)
    weight = pl.col("count") / pl.col("count").sum()
    rows = predictions.with_columns(stretch=stretch).join(marks, on="prediction")
    commonest = (
        rows.group_by("stretch", "prediction")
        .agg(pl.col("count").sum(), commonest_classes=pl.col("class").n_unique())
        .sort("stretch", "count", "prediction", descending=[False, True, False])
        .unique("stretch", keep="first", maintain_order=True)
        .rename({"prediction": "commonest"})
    )
    return (
        rows.group_by("stretch")
        .agg(
            first_step=pl.col("step").min(),
            last_step=pl.col("step").max(),
            predictions=pl.col("count").sum(),
            several=(pl.col("several") * weight).sum(),
            addressing=(pl.col("addressing") * weight).sum(),
            mean_length=(text.str.len_chars() * weight).sum(),
        )
        .join(commonest, on="stretch")
        .sort("stretch")
        .with_columns(commonest_share=pl.col("count") / pl.col("predictions"))
        .select(
            "first_step", "last_step", "predictions", "several", "addressing", "commonest",
            "commonest_share", "commonest_classes", "mean_length",
        )
    )  # fmt: skip


def predictions_for_many_classes(predictions: pl.DataFrame) -> pl.DataFrame:
    """prediction, classes, count, correct (share): predictions by how many classes got them."""
    correct = [verdict.value for verdict in Verdict if verdict.correct]
    return (
        predictions.group_by("prediction")
        .agg(
            classes=pl.col("class").n_unique(),
            correct=pl.col("count").filter(pl.col("verdict").is_in(correct)).sum()
            / pl.col("count").sum(),
            count=pl.col("count").sum(),
        )
        .filter(pl.col("classes") > 1)
        .select("prediction", "classes", "count", "correct")
        .sort("classes", "count", "prediction", descending=[True, True, False])
    )


def _step(side: str) -> pl.Expr:
    return pl.col(side).replace_strict(list(LABELS), range(len(LABELS)), return_dtype=pl.Int64)


def _kappa(both: pl.DataFrame) -> float | None:
    """(observed - chance) / (1 - chance); chance is what the two's own shares would give."""
    if both.is_empty():
        return None
    observed = both.filter(pl.col("first") == pl.col("second")).height / both.height
    shares = [both.group_by(side).agg(n=pl.len() / both.height) for side in ("first", "second")]
    chance = shares[0].join(shares[1], left_on="first", right_on="second")
    expected = float((chance["n"] * chance["n_right"]).sum())
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _confusion(both: pl.DataFrame) -> pl.DataFrame:
    counts = Counter(both.select("first", "second").rows())
    columns = {label: [counts[row, label] for row in LABELS] for label in LABELS}
    return pl.DataFrame({"first": LABELS, **columns})


def _by_class(both: pl.DataFrame) -> pl.DataFrame:
    return (
        both.group_by("class")
        .agg(pairs=pl.len(), differing=(pl.col("first") != pl.col("second")).sum())
        .filter(pl.col("differing") > 0)
        .with_columns(share=pl.col("differing") / pl.col("pairs"))
        .sort("differing", "class", descending=[True, False])
    )
