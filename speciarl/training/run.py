"""One training run from its inputs to its outputs, whichever method it names."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from speciarl.files import (
    atomic_directory,
    content_hash,
    write_digest,
    write_json,
    write_parquet,
)
from speciarl.training.job import Inputs, Job, Settings, TrainingResult
from speciarl.verdicts import COUNTS

_MEASURED = ("loss", "reward", "kl", "learning_rate")
_COUNTED = (*COUNTS, "unparsable", "several_tagged", "failed", "hits", "misses")
METRICS = pl.Schema(
    [("step", pl.Int64)]
    + [(name, pl.Float64) for name in _MEASURED]
    + [(name, pl.Int64) for name in _COUNTED]
)


@dataclass(frozen=True)
class Outputs:
    model: Path
    metrics: Path
    verdicts: Path
    predictions: Path
    work: Path
    """Checkpoints of an unfinished run; removed at its end."""


# Each method is imported where it is used: seconds for those that need it, and a change in its code
# trains no run of another method again (workflow/rules/jobs.smk).


def _none(job: Job) -> TrainingResult:
    return TrainingResult(pl.DataFrame(schema=METRICS))


def _sft(job: Job) -> TrainingResult:
    from speciarl.training.sft import train_sft

    return train_sft(job)


def _grpo(job: Job) -> TrainingResult:
    from speciarl.training.verified import train_verified

    return train_verified(job)


METHODS: dict[str, Callable[[Job], TrainingResult]] = {"none": _none, "sft": _sft, "grpo": _grpo}


def train(name: str, settings: Settings, inputs: Inputs, outputs: Outputs, threads: int) -> None:
    """Train a run with each of its seeds; a finished one is kept under `work` until all are.

    The model's folder gets one of adapters for each (SEED), the tables a column `seed`; of the
    verdicts used, one table is enough. A run of method `none` has no adapters and no rows, only the
    note of its settings.
    """
    if inputs.base:
        from speciarl.policy.loading import choose_device

        choose_device(inputs.base)
    read = [path for path in (inputs.base, inputs.samples, *inputs.verdicts) if path]
    finished = {}
    for seed in settings.run.seeds:
        work = outputs.work / content_hash(read, settings.plain(), seed)
        finished[seed] = work / "finished"
        if not finished[seed].exists():
            _train_seed(Job(name, seed, settings, inputs, work, Path(), threads), finished[seed])
    with atomic_directory(outputs.model) as into:
        for seed, folder in finished.items():
            shutil.copytree(folder / "model", into / str(seed))
        write_digest(into)

    def tables(name: str) -> Iterator[pl.DataFrame]:
        for seed, folder in finished.items():
            yield pl.read_parquet(folder / f"{name}.parquet").insert_column(
                0, pl.lit(seed, pl.Int64).alias("seed")
            )

    write_parquet(pl.concat(tables("metrics")), outputs.metrics)
    used = pl.concat(tables("verdicts")).drop("seed").unique()
    write_parquet(used.sort("class", "prediction"), outputs.verdicts)
    write_parquet(pl.concat(tables("predictions")), outputs.predictions)
    shutil.rmtree(outputs.work)


def _train_seed(job: Job, finished: Path) -> None:
    job.work.mkdir(parents=True, exist_ok=True)
    with atomic_directory(finished) as folder:
        model = folder / "model"
        model.mkdir()
        note = job.settings.run.model_dump(exclude_unset=True, exclude={"seeds"})
        write_json({**note, "seed": job.seed}, model / "run.json")
        result = METHODS[job.settings.run.method](replace(job, into=model))
        rows = result.metrics
        columns = [pl.col(c) if c in rows.columns else pl.lit(None).alias(c) for c in METRICS]
        write_parquet(rows.select(columns).cast(METRICS), folder / "metrics.parquet")
        write_parquet(result.verdicts, folder / "verdicts.parquet")
        write_parquet(result.predictions, folder / "predictions.parquet")
