"""Two runs on the same images: their metrics side by side, and the images that tell them apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from speciarl.errors import DataError
from speciarl.evaluation.intervals import Replicates, compared
from speciarl.evaluation.metrics import FAILED, METRICS, STEP
from speciarl.evaluation.scores import Area
from speciarl.verdicts import Verdict

_KEY = ("dataset", "sample_id", "class_name")


def judged_folders(verdicts: Path, runs: Sequence[str]) -> list[Path]:
    """The folders of what was judged of two runs.

    Raises:
        DataError: one run twice, or one of which nothing is judged yet.
    """
    if len(set(runs)) < len(runs):
        raise DataError(f"{runs[0]} and itself do not differ: name two runs")
    for run in runs:
        if not any((verdicts / run).glob("*/*.parquet")):
            known = sorted(path.name for path in verdicts.glob("[!.]*") if path.is_dir())
            raise DataError(
                f"{run} has no verdicts in {verdicts}, which has {', '.join(known) or 'none'}: "
                f"name one of these, or run `snakemake --cores all {verdicts / run}`"
            )
    return [verdicts / run for run in runs]


def paired_table(
    best: pl.DataFrame, runs: Sequence[str], areas: Sequence[Area], weights: Mapping[Verdict, float]
) -> pl.DataFrame:
    """name, metric, a column for each of the two runs, and what the first is ahead of the second.

    Args:
        best: as `scores.best_of_all` gives it.

    Returns:
        Also difference, low, high and p, as `intervals.compared` has them; null where undefined.
    """
    datasets = [area.name for area in areas if area.level == "dataset"]
    replicates = Replicates(best, datasets, weights)
    rows = []
    for area in areas:
        first, second = (replicates.of(run, area.datasets) for run in runs)
        for metric in METRICS:
            own = {run: by[metric][0] for run, by in zip(runs, (first, second), strict=True)}
            between = {k: float(v) for k, v in compared(first[metric] - second[metric]).items()}
            rows.append({"name": area.name, "metric": metric, **own, **between})
    return pl.DataFrame(rows).fill_nan(None)


def counts(best: pl.DataFrame, runs: Sequence[str]) -> str:
    """How many images there are and how many verdicts of each run do not count, on a line."""
    images = best.select("dataset", "sample_id").n_unique()
    verdicts = {run: best.filter(run=run)["decided_by"] for run in runs}
    failed = (f"{run} {(by == FAILED).sum()} of {len(by)}" for run, by in verdicts.items())
    return f"{images} images; verdicts left out because the judge failed: {', '.join(failed)}"


def telling_images(
    judged: pl.LazyFrame, best: pl.DataFrame, runs: Sequence[str], number: int = 10
) -> pl.DataFrame:
    """The images on which the two runs are the most steps of the ladder apart, mean over seeds.

    Half of them where the first run is ahead, half where it is behind, as far as there are such;
    of equal ones other datasets and classes come first. An output that could not be parsed is a
    step below wrong; an image that the judge failed on is left out.

    Returns:
        dataset, sample_id, class_name, steps (ahead), and for each run what the seed in the middle
        said of it, with the verdict.
    """
    said = judged.select("run", "seed", *_KEY, "rollout", "prediction")
    text = pl.format("{} ({})", "prediction", pl.col("verdict").cast(pl.String))
    middle = pl.col("text").sort_by("step", "seed").get(pl.len() // 2)
    of_run = (
        best.lazy()
        .filter((pl.col("decided_by") != FAILED).all().over("dataset", "sample_id"))
        .join(said, on=("run", "seed", "dataset", "sample_id", "rollout"))
        .with_columns(step=STEP.fill_null(-1), text=text.fill_null(pl.lit("(unparsable)")))
        .group_by("run", *_KEY)
        .agg(pl.col("step").mean(), middle)
        .collect()
    )
    one, other = (of_run.filter(run=run).drop("run") for run in runs)
    both = one.join(other, on=_KEY, suffix="_other").with_columns(
        steps=pl.col("step") - pl.col("step_other")
    )
    alike, place = (pl.col("steps"), "dataset"), pl.int_range(pl.len())
    widest = (-pl.col("steps").abs(), "place", "sample_id")
    ranked = (
        both.filter(pl.col("steps") != 0)
        .sort("sample_id")
        .with_columns(place=place.over(*alike, "class_name"))
        .sort("place", "sample_id")
        .with_columns(place=place.over(*alike))
        .sort(widest)
    )
    ahead, behind = (ranked.filter(pl.col("steps") * sign > 0) for sign in (1, -1))
    ahead = ahead.head(max(number // 2, number - behind.height))
    shown = pl.concat([ahead, behind.head(number - ahead.height)])
    return shown.select(*_KEY, "steps", pl.col("text").alias(runs[0]),
                        pl.col("text_other").alias(runs[1]))  # fmt: skip
