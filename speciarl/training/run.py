"""One training run from its inputs to its outputs, whichever method it names."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
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
    """Train a run and write its adapters, metrics, the verdicts that it used and its predictions.

    A run of method `none` has no adapters and no rows, only the note of its settings.
    """
    read = [path for path in (inputs.base, inputs.samples, *inputs.verdicts) if path]
    work = outputs.work / content_hash(read, settings.plain())
    work.mkdir(parents=True, exist_ok=True)
    with atomic_directory(outputs.model) as into:
        write_json(settings.run.model_dump(exclude_unset=True), into / "run.json")
        job = Job(name, settings, inputs, work, into, threads)
        result = METHODS[settings.run.method](job)
        write_digest(into)
    rows = result.metrics
    columns = [pl.col(c) if c in rows.columns else pl.lit(None).alias(c) for c in METRICS]
    write_parquet(rows.select(columns).cast(METRICS), outputs.metrics)
    write_parquet(result.verdicts, outputs.verdicts)
    write_parquet(result.predictions, outputs.predictions)
    shutil.rmtree(outputs.work)
