"""What several whole runs say together: with other base policies, or other luck in training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from speciarl.datasets.miniature.ambiguous import ambiguous_samples
from speciarl.evaluation.scores import UNSEEN, read_judged
from speciarl.verdicts import Verdict


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
        base_seed, run, hm, hm_low, hm_high, hm_spread, ahead, ahead_low, ahead_high (HM of the
        method minus the run's, with the paired interval), least_ahead (of the method's worst seed,
        against the mean of the run), wrong_ambiguous (mean share over the unseen datasets).
    """
    overall = scores.filter(level="overall", name=UNSEEN)
    pooled = overall.filter(pl.col("seed").is_null()).drop("wrong")  # the count of all images
    worst = overall.filter(pl.col("seed").is_not_null(), run=method)["hm"].min()
    found = differences.filter(level="overall", name=UNSEEN)
    turned = found.select(
        pl.col("other").alias("run"), pl.col("run").alias("other"),
        difference=-pl.col("difference"), low=-pl.col("high"), high=-pl.col("low"),
    )  # fmt: skip
    both = pl.concat([found.select(turned.columns), turned]).filter(run=method)
    ahead = both.select(
        pl.col("other").alias("run"), ahead="difference", ahead_low="low", ahead_high="high"
    )
    columns = [
        pl.lit(base_seed).alias("base_seed"), "run", "hm", "hm_low", "hm_high", "hm_spread",
        "ahead", "ahead_low", "ahead_high", (worst - pl.col("hm")).alias("least_ahead"),
        pl.col("wrong").alias("wrong_ambiguous"),
    ]  # fmt: skip
    for more in (ahead, wrong):
        pooled = pooled.join(more, on="run", how="left", maintain_order="left")
    return pooled.select(columns)


def lucky_share(num_generations: int, classes_per_group: int) -> float:
    """Share of the groups in which at least one of `num_generations` blind guesses is right."""
    return 1 - (1 - 1 / classes_per_group) ** num_generations


def ablation(
    classes_per_group: int,
    num_generations: Mapping[str, int],
    scores: pl.DataFrame,
    wrong: pl.DataFrame,
    trained_on: str,
) -> pl.DataFrame:
    """One row per run, in the columns of `report.ablations`.

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
            ((hm, low, high),) = (
                pooled.filter(run=run, level=level, name=name)
                .select("hm", "hm_low", "hm_high")
                .rows()
            )
            row |= {f"{domain}_hm": hm, f"{domain}_hm_low": low, f"{domain}_hm_high": high}
        rows.append({**row, "out_wrong_ambiguous": wrong.filter(run=run)["wrong"].item()})
    return pl.DataFrame(rows)
