"""One training run from its inputs to its outputs, whichever method it names."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from speciarl.schemas import PREDICTIONS, VERDICTS
from speciarl.verdicts import COUNTS

_HARMLESS = {"server", "max_failures", "store_timeout"}
_FIGURES = ("loss", "reward", "kl", "learning_rate")
_COUNTED = (*COUNTS, "unparsable", "several_tagged", "failed", "hits", "misses")
METRICS = pl.Schema(
    [("step", pl.Int64)]
    + [(name, pl.Float64) for name in _FIGURES]
    + [(name, pl.Int64) for name in _COUNTED]
)


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
        """What decides the outcome, and thus which checkpoints are of this run.

        How the verifier's server is reached does not, nor what may fail, nor how long to wait for
        the store: they may be changed to go on with an interrupted run.
        """
        values = {name: part.model_dump() for name, part in vars(self).items()}
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


def train(name: str, settings: Settings, inputs: Inputs, outputs: Outputs, threads: int) -> None:
    """Train a run and write its adapters, metrics, the verdicts that it used and its predictions.

    A run of method `none` has no adapters and no rows, only the note of its settings.
    """
    read = [path for path in (inputs.base, inputs.samples, *inputs.verdicts) if path]
    work = outputs.work / content_hash(read, settings.plain())
    work.mkdir(parents=True, exist_ok=True)
    with atomic_directory(outputs.model) as into:
        write_json(settings.run.model_dump(exclude_unset=True), into / "run.json")
        rows, used, predictions = _by_method(name, settings, inputs, work, into, threads)
        write_digest(into)
    columns = [pl.col(c) if c in rows.columns else pl.lit(None).alias(c) for c in METRICS]
    write_parquet(rows.select(columns).cast(METRICS), outputs.metrics)
    write_parquet(used, outputs.verdicts)
    write_parquet(predictions, outputs.predictions)
    shutil.rmtree(outputs.work)


def _by_method(
    name: str, settings: Settings, inputs: Inputs, work: Path, into: Path, threads: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Metrics per step, the verdicts used, and the predictions given (`schemas`).

    Each method is imported where it is used: seconds for those that need it, and a change in its
    code trains no run of another method again.
    """
    run = settings.run
    nothing = pl.DataFrame(schema=VERDICTS), pl.DataFrame(schema=PREDICTIONS)
    if run.method == "none":
        return pl.DataFrame(schema=METRICS), *nothing

    import torch

    from speciarl.policy.loading import load_model, load_processor

    assert inputs.base and inputs.samples  # of every method that trains
    torch.set_num_threads(threads)
    policy = load_model(inputs.base).train(), load_processor(inputs.base)
    samples = pl.read_parquet(inputs.samples)
    shared: dict[str, Any] = {
        "prompt": run.prompt, "lora": settings.lora, "seed": run.seed, "work": work, "into": into,
    }  # fmt: skip

    def image(reference: str):
        return open_image(reference, inputs.images)

    if run.method == "sft":
        from speciarl.training.sft import train_sft

        return train_sft(*policy, samples, image, settings=settings.sft, **shared), *nothing

    from speciarl.training.verified import train_verified

    assert inputs.facts and inputs.store
    return train_verified(
        *policy, samples, image,
        verifier=settings.verifier,
        judging=(inputs.verdicts, inputs.classes, inputs.facts, inputs.store, name),
        reward=run.reward, answer_tag=run.answer_tag, rollouts=run.num_generations,
        settings=settings.grpo, **shared,
    )  # fmt: skip
