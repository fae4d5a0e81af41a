"""What several runs say together: with other base policies, other luck, or one thing changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from speciarl.config.runs import differing
from speciarl.datasets.miniature.ambiguous import ambiguous_samples
from speciarl.evaluation.scores import UNSEEN, read_judged
from speciarl.verdicts import Verdict

_COUNTED = ("samples", "failed", "hm", "hm_low", "hm_high")


def wrong_where_ambiguous(folder: Path, datasets: Sequence[str]) -> pl.DataFrame:
    """run, wrong: share of the images without a visible marking that are answered wrongly.

    The mean over the datasets and seeds; of several rollouts of an image the best verdict counts.
    What the judge failed on is left out, as in Correctness.

    Args:
        folder: of the artifacts, the project's or a workspace.
    """
    wrong = (pl.col("verdict").cast(pl.String) == Verdict.WRONG.value).fill_null(False)
    return (
        read_judged((folder / "results/verdicts").iterdir())
        .filter(pl.col("dataset").is_in(list(datasets)), pl.col("decided_by") != "failed")
        .join(ambiguous_samples(folder).lazy(), on="sample_id", how="semi")
        .group_by("run", "seed", "dataset", "sample_id")
        .agg(wrong=wrong.all())
        .group_by("run", "seed", "dataset")
        .agg(pl.col("wrong").mean())
        .group_by("run")
        .agg(pl.col("wrong").mean())
        .collect()
    )


def robustness(
    base_seed: int,
    scores: pl.DataFrame,
    differences: pl.DataFrame,
    wrong: pl.DataFrame,
    method: str,
) -> pl.DataFrame:
    """One row per run: its HM over the unseen datasets, and how far the method is ahead of it.

    Returns:
        base_seed, run, samples, failed (without a verdict, in no figure), hm, hm_low, hm_high,
        hm_spread, ahead, ahead_low, ahead_high (HM of the method minus the run's, with the paired
        interval), least_ahead (of the method's worst seed, against the mean of the run),
        wrong_ambiguous (mean share over the unseen datasets).
    """
    overall = scores.filter(level="overall", name=UNSEEN)
    pooled = overall.filter(pl.col("seed").is_null()).drop("wrong")  # the count of all images
    worst = overall.filter(pl.col("seed").is_not_null(), run=method)["hm"].min()
    both = _both_ways(differences).filter(level="overall", name=UNSEEN)
    ahead = both.filter(run=method).select(
        pl.col("other").alias("run"), ahead="difference", ahead_low="low", ahead_high="high"
    )
    columns = [
        pl.lit(base_seed).alias("base_seed"), "run", "samples", "failed", "hm", "hm_low", "hm_high",
        "hm_spread",
        "ahead", "ahead_low", "ahead_high", (worst - pl.col("hm")).alias("least_ahead"),
        pl.col("wrong").alias("wrong_ambiguous"),
    ]  # fmt: skip
    for more in (ahead, wrong):
        pooled = pooled.join(more, on="run", how="left", maintain_order="left")
    return pooled.select(columns)


def ablations(
    runs: Mapping[str, Mapping[str, Any]], scores: pl.DataFrame, differences: pl.DataFrame
) -> pl.DataFrame:
    """One row for each group and run that is like another, in the order of the runs.

    Args:
        runs: their rows in full, `config.Run` as plain values.

    Returns:
        run, like, differs (what it has otherwise), name (of the group), seeds, samples, failed, hm,
        hm_low, hm_high, difference, low, high, p (its HM minus that of the run it is like, on the
        same images).
    """
    rows = [
        (name, row["like"], ", ".join(f"{k}: {v}" for k, v in differing(row, runs[row["like"]])))
        for name, row in runs.items()
        if row["like"] is not None
    ]
    seeds = scores.drop_nulls("seed").group_by("run").agg(seeds=pl.col("seed").n_unique())
    pooled = scores.filter(pl.col("seed").is_null(), level="group").join(seeds, on="run")
    found = _both_ways(differences).filter(level="group").rename({"other": "like"})
    return (
        pl.DataFrame(rows, ["run", "like", "differs"], orient="row")
        .join(pooled.select("run", "name", "seeds", *_COUNTED), on="run",
              how="left", maintain_order="left_right")
        .join(found.drop("level"), on=["run", "like", "name"], how="left", maintain_order="left")
    )  # fmt: skip


def _both_ways(differences: pl.DataFrame) -> pl.DataFrame:
    """Every two runs in either order."""
    turned = differences.with_columns(
        run="other", other="run", difference=-pl.col("difference"), low=-pl.col("high"),
        high=-pl.col("low"),
    )  # fmt: skip
    return pl.concat([differences, turned])


def lucky_share(num_generations: int, classes_per_group: int) -> float:
    """Share of the groups in which at least one of `num_generations` blind guesses is right."""
    return 1 - (1 - 1 / classes_per_group) ** num_generations


def rollouts(
    classes_per_group: int,
    num_generations: Mapping[str, int],
    scores: pl.DataFrame,
    wrong: pl.DataFrame,
    trained_on: str,
) -> pl.DataFrame:
    """One row per run, in the columns of `report.rollouts`.

    Args:
        num_generations: by run.
        wrong: as `wrong_where_ambiguous` gives it.
        trained_on: the dataset in domain.
    """
    pooled = scores.filter(pl.col("seed").is_null())
    rows = []
    for run, count in num_generations.items():
        row = {
            "classes_per_group": classes_per_group,
            "num_generations": count,
            "seeds": scores.filter(run=run)["seed"].n_unique() - 1,  # null is no seed
            "lucky_share": lucky_share(count, classes_per_group),
        }
        for domain, level, name in (("in", "dataset", trained_on), ("out", "overall", UNSEEN)):
            found = pooled.filter(run=run, level=level, name=name).select(_COUNTED)
            (values,) = found.rows()
            row |= {f"{domain}_{name}": value for name, value in zip(_COUNTED, values, strict=True)}
        rows.append({**row, "out_wrong_ambiguous": wrong.filter(run=run)["wrong"].item()})
    return pl.DataFrame(rows)
