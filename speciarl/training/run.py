"""One training run from its inputs to its outputs, whichever method it names."""

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from speciarl.code import code_of
from speciarl.disk import room_for
from speciarl.errors import TrainingError
from speciarl.files import (
    atomic_directory,
    content_hash,
    read_done,
    write_digest,
    write_done,
    write_json,
    write_parquet,
)
from speciarl.progress import say
from speciarl.schemas import COUNTED
from speciarl.training.job import Inputs, Job, Settings, TrainingResult
from speciarl.training.processes import ALONE, Processes, launched
from speciarl.training.reporting import require_reporters

DONE = "done.json"
FINISHED = "finished"
_MEASURED = ("loss", "reward", "kl", "clip_ratio", "completion_length", "learning_rate")
METRICS = pl.Schema(
    [("step", pl.Int64)]
    + [(name, pl.Float64) for name in _MEASURED]
    + [(name, pl.Int64) for name in COUNTED]
)


@dataclass(frozen=True)
class Outputs:
    model: Path
    metrics: Path
    verdicts: Path
    predictions: Path
    work: Path
    """Checkpoints of unfinished seeds, and those that are finished."""
    live: Path | None = None
    """For what is looked at while it trains: a table for each seed, and the files of reporters."""


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
MODULES = {"none": "job.py", "sft": "sft.py", "grpo": "verified.py"}


def train(name: str, settings: Settings, inputs: Inputs, outputs: Outputs, threads: int) -> None:
    """Train a run with each of its seeds; a finished one is kept under `work`, and never trained
    again, as long as it is one of the run's.

    The model's folder gets one of adapters for each (SEED), the tables a column `seed`; of the
    verdicts used, one table is enough. A run of method `none` has no adapters and no rows, only the
    note of its settings.

    All processes of a launcher call this alike: they train together, and the first alone hashes,
    writes and deletes. Folders must be the same for all.

    Raises:
        TrainingError: another start of this run is under way.
        DiskError: the disk is full.
    """
    require_reporters(settings.training.report_to)
    if inputs.base:
        from speciarl.policy.loading import choose_device

        choose_device(inputs.base)
    seeds = settings.run.seeds
    alone = settings.run.method == "none" and not launched()
    processes = ALONE if alone else Processes.join()

    def folders() -> list[Path]:
        method = Path(__file__).with_name(MODULES[settings.run.method])
        code = code_of(method, settings.unread)
        made_by = (settings.plain(), dict(inputs.classes), code)
        made = [outputs.work / content_hash(inputs.files, seed, *made_by) for seed in seeds]
        if {path.parent for path in outputs.work.glob("*/checkpoint-*")} - {*made}:
            say("what was begun with other parameters, files or code is left aside")
        return made

    with _only_start(outputs.work) if processes.first else nullcontext():
        finished = {}
        for seed, work in zip(seeds, processes.by_first(folders), strict=True):
            finished[seed] = work / FINISHED
            if processes.by_first(partial(read_done, finished[seed] / DONE)) is None:
                live = outputs.live and outputs.live / f"{seed}.csv"
                job = Job(name, seed, settings, inputs, work, Path(), threads, live, processes)
                _train_seed(job, finished[seed])
        processes.by_first(lambda: _collect(finished, outputs))


def _train_seed(job: Job, finished: Path) -> None:
    method = METHODS[job.settings.run.method]
    if not job.processes.first:
        method(job)
        return
    with room_for(job.work), atomic_directory(finished) as folder:
        model = folder / "model"
        model.mkdir()
        note = job.settings.run.model_dump(exclude_unset=True, exclude={"seeds"})
        together = {"devices": job.processes.count} if job.processes.count > 1 else {}
        write_json({**note, "seed": job.seed, **together}, model / "run.json")
        result = method(replace(job, into=model))
        rows = result.metrics
        columns = [pl.col(c) if c in rows.columns else pl.lit(None).alias(c) for c in METRICS]
        write_parquet(rows.select(columns).cast(METRICS), folder / "metrics.parquet")
        write_parquet(result.verdicts, folder / "verdicts.parquet")
        write_parquet(result.predictions, folder / "predictions.parquet")
        made = [path for path in folder.rglob("*") if path.is_file()]
        write_done(folder / DONE, job.seed, made)


def _collect(finished: dict[int, Path], outputs: Outputs) -> None:
    """What the seeds have made, put together where it belongs."""

    def tables(name: str) -> Iterator[pl.DataFrame]:
        for seed, folder in finished.items():
            yield pl.read_parquet(folder / f"{name}.parquet").insert_column(
                0, pl.lit(seed, pl.Int64).alias("seed")
            )

    with room_for(outputs.work), atomic_directory(outputs.model) as into:
        for seed, folder in finished.items():
            shutil.copytree(folder / "model", into / str(seed))
        write_digest(into)
        write_parquet(pl.concat(tables("metrics")), outputs.metrics)
        used = pl.concat(tables("verdicts")).drop("seed").unique()
        write_parquet(used.sort("class", "prediction"), outputs.verdicts)
        write_parquet(pl.concat(tables("predictions")), outputs.predictions)
    _remove_all_but(finished.values(), outputs.work)


def _remove_all_but(kept: Collection[Path], work: Path) -> None:
    """Of a run that is finished: checkpoints, and what was begun otherwise."""
    for folder in work.iterdir():
        for path in folder.iterdir() if folder / FINISHED in kept else [folder]:
            if path.is_dir() and path not in kept:
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()


@contextmanager
def _only_start(work: Path) -> Iterator[None]:
    """Refuse a second start of a run, by hand beside the workflow, while one is under way."""
    work.mkdir(parents=True, exist_ok=True)
    folder = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise TrainingError(
            f"{work} is in use by another training of this run: wait for it, or end it"
        ) from None
    finally:
        os.close(folder)
