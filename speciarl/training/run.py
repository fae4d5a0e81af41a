"""One training run from its inputs to its outputs, whichever method it names."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from speciarl.config import Grpo, Lora, Run, Sft, VerifierConfig
from speciarl.datasets.images import open_image
from speciarl.files import (
    atomic_directory,
    content_hash,
    write_digest,
    write_json,
    write_parquet,
)
from speciarl.training.result import TrainingResult

_HARMLESS = {"server", "max_failures", "store_timeout"}


@dataclass(frozen=True)
class Settings:
    """The sections that a training run reads."""

    run: Run
    grpo: Grpo
    sft: Sft
    lora: Lora
    verifier: VerifierConfig

    @classmethod
    def parse(cls, *, run: Mapping, verifier: Mapping, **sections: Mapping):
        """From plain values; a section that the method does not read may be left out."""
        kinds = {"grpo": Grpo, "sft": Sft, "lora": Lora}
        parts = {name: kind(**sections.get(name, {})) for name, kind in kinds.items()}
        return cls(run=Run(**run), verifier=VerifierConfig(**verifier), **parts)

    def plain(self) -> dict:
        """What decides the outcome of a seed, and thus which checkpoints are of this run.

        How the verifier's server is reached does not, nor what may fail, nor how long to wait for
        the store: they may be changed to go on with an interrupted run.
        """
        values = {name: part.model_dump() for name, part in vars(self).items()}
        values["run"].pop("seeds")
        values["verifier"] = self.verifier.model_dump(exclude=_HARMLESS)
        return values


@dataclass(frozen=True)
class Inputs:
    """What a run reads; None for what its method does not."""

    images: Path
    """What the manifest's references to images are relative to."""
    base: Path | None = None
    samples: Path | None = None
    verdicts: Sequence[Path] = ()
    """Snapshots to start from."""
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names by dataset, of those without facts."""
    facts: Path | None = None
    store: Path | None = None
    """Of verdicts."""


@dataclass(frozen=True)
class Outputs:
    model: Path
    metrics: Path
    verdicts: Path
    predictions: Path
    work: Path
    """Checkpoints of an unfinished run; removed at its end."""


@dataclass(frozen=True)
class Job:
    """The training of a run with one of its seeds."""

    name: str
    """Of the run."""
    seed: int
    settings: Settings
    inputs: Inputs
    work: Path
    """For checkpoints."""
    into: Path
    """For adapters."""

    def start(self) -> tuple[tuple, dict[str, Any]]:
        """What every trainer is given: policy, samples and how to open their images; settings."""
        from transformers import set_seed

        from speciarl.policy.loading import load_model, load_processor

        assert self.inputs.base and self.inputs.samples  # of every method that trains
        set_seed(self.seed)  # adapters begin with it, whichever seed was trained before
        run = self.settings.run
        given = (
            load_model(self.inputs.base).train(),
            load_processor(self.inputs.base),
            pl.read_parquet(self.inputs.samples),
            partial(open_image, root=self.inputs.images),
        )
        return given, {
            "prompt": run.prompt, "lora": self.settings.lora, "seed": self.seed,
            "work": self.work, "into": self.into,
        }  # fmt: skip


def _none(job: Job) -> TrainingResult:
    return TrainingResult()


def _sft(job: Job) -> TrainingResult:
    from speciarl.training.sft import train_sft

    given, settings = job.start()
    return train_sft(*given, settings=job.settings.sft, **settings)


def _grpo(job: Job) -> TrainingResult:
    from speciarl.training.verified import train_verified

    given, settings = job.start()
    run, inputs = job.settings.run, job.inputs
    assert inputs.facts and inputs.store
    return train_verified(
        *given,
        verifier=job.settings.verifier,
        judging=(inputs.verdicts, inputs.classes, inputs.facts, inputs.store, job.name),
        reward=run.reward, answer_tag=run.answer_tag, rollouts=run.num_generations,
        settings=job.settings.grpo, **settings,
    )  # fmt: skip


# Each imports its own code where it is used: seconds for those that need it, and a change in it
# trains no run of another method again.
METHODS: Mapping[str, Callable[[Job], TrainingResult]] = {
    "none": _none, "sft": _sft, "grpo": _grpo,
}  # fmt: skip


def train(name: str, settings: Settings, inputs: Inputs, outputs: Outputs, threads: int) -> None:
    """Train a run with each of its seeds.

    The model's folder gets one of adapters for each (SEED), the tables a column `seed`; a run of
    method `none` has the note of its settings only, and no rows. A seed that is finished is kept
    under `work` until all are.
    """
    if settings.run.method != "none":
        import torch

        torch.set_num_threads(threads)
    read = [path for path in (inputs.base, inputs.samples, *inputs.verdicts) if path]
    finished = {}
    for seed in settings.run.seeds:
        work = outputs.work / content_hash(read, settings.plain(), seed)
        finished[seed] = work / "finished"
        if not finished[seed].exists():
            _train_seed(Job(name, seed, settings, inputs, work, Path()), finished[seed])
    with atomic_directory(outputs.model) as into:
        for seed, folder in finished.items():
            shutil.copytree(folder / "model", into / str(seed))
        write_digest(into)
    for table, path in (
        ("metrics", outputs.metrics),
        ("verdicts", outputs.verdicts),
        ("predictions", outputs.predictions),
    ):
        parts = {s: pl.read_parquet(f / f"{table}.parquet") for s, f in finished.items()}
        write_parquet(_together(parts, by_seed=table != "verdicts"), path)
    shutil.rmtree(outputs.work)


def _train_seed(job: Job, finished: Path) -> None:
    job.work.mkdir(parents=True, exist_ok=True)
    with atomic_directory(finished) as folder:
        (folder / "model").mkdir()
        note = job.settings.run.model_dump(exclude_unset=True, exclude={"seeds"})
        write_json({**note, "seed": job.seed}, folder / "model/run.json")
        result = METHODS[job.settings.run.method](replace(job, into=folder / "model"))
        for name, rows in result.tables().items():
            write_parquet(rows, folder / f"{name}.parquet")


def _together(parts: Mapping[int, pl.DataFrame], by_seed: bool) -> pl.DataFrame:
    if by_seed:
        return pl.concat(
            rows.select(pl.lit(seed, pl.Int64).alias("seed"), pl.all())
            for seed, rows in parts.items()
        )
    return pl.concat(parts.values()).unique().sort("class", "prediction")
