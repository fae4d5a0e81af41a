"""What a training run is given and what it returns, whichever method it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from speciarl.code import unread_by_judge
from speciarl.config import Grpo, Lora, Run, Sft, Training, VerifierConfig
from speciarl.config.base import Section
from speciarl.datasets.images import open_image
from speciarl.schemas import PREDICTIONS, VERDICTS
from speciarl.training.processes import ALONE, Processes

_HARMLESS = {"server", "max_failures", "store_timeout"}


class Settings(Section):
    """The sections that a training run reads; one that its method does not read may be left out."""

    run: Run
    verifier: VerifierConfig
    grpo: Grpo = Grpo()
    sft: Sft = Sft()
    lora: Lora = Lora()
    training: Training = Training()

    def plain(self) -> dict:
        """What decides the outcome of a seed, and thus which checkpoints are of this run.

        How the verifier's server is reached does not, nor what may fail, nor how long to wait for
        the store, nor how training is run: they may be changed to go on with an interrupted run.
        """
        return self.model_dump(exclude={"run": {"seeds"}, "verifier": _HARMLESS, "training": True})

    @property
    def unread(self) -> set[str]:
        """The code and prompts that such a training does not read, or that train nothing again."""
        methods = {"sft": "sft.py", "grpo": "verified.py"}
        idle = {file for method, file in methods.items() if method != self.run.method}
        if self.run.method != "grpo":
            idle.add("rollouts.py")
        unread = {f"speciarl/training/{file}" for file in idle}
        unread.add("speciarl/policy/serving.py")  # of a rollout server
        unread.add("speciarl/datasets/readers/folders.py")  # the names that it reads are watched
        return unread | unread_by_judge(self.verifier.model, policy=[self.run.prompt])


@dataclass(frozen=True)
class Inputs:
    """What a run reads; None for what its method does not."""

    images: Path
    """What the manifest's references to images are relative to."""
    base: Path | None = None
    samples: Path | None = None
    archives: Sequence[Path] = ()
    """What stands for the archives of the images."""
    verdicts: Sequence[Path] = ()
    """Snapshots to start from."""
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names by dataset, of those without facts."""
    facts: Path | None = None
    store: Path | None = None
    """Of verdicts."""

    @property
    def files(self) -> list[Path]:
        """What it reads of them, by whose content checkpoints are told apart."""
        single = [path for path in (self.base, self.samples) if path]
        known = [self.facts / f"{n}.yaml" for n in ("common", *self.classes)] if self.facts else []
        return [*single, *self.archives, *self.verdicts, *filter(Path.is_file, known)]


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
    """For the adapters."""
    threads: int = 1
    live: Path | None = None
    """Table of the steps so far, written while it trains."""
    processes: Processes = ALONE
    """This one, among those that train together; `into` is the first one's."""

    def policy(self) -> tuple[Any, Any]:
        """The base model, ready to train, and its processor."""
        import torch  # takes seconds, which a run without training does not need
        from transformers import set_seed

        from speciarl.policy.loading import load_model, load_processor

        assert self.inputs.base
        torch.set_num_threads(self.threads)
        set_seed(self.seed)  # adapters begin with it, whichever seed was trained before
        return load_model(self.inputs.base).train(), load_processor(self.inputs.base)

    def samples(self) -> pl.DataFrame:
        assert self.inputs.samples
        return pl.read_parquet(self.inputs.samples)

    def open_image(self, reference: str) -> Image.Image:
        return open_image(reference, self.inputs.images)


@dataclass(frozen=True)
class TrainingResult:
    metrics: pl.DataFrame
    """One row per step."""
    verdicts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VERDICTS))
    """Those that the run used (`schemas.VERDICTS`)."""
    predictions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PREDICTIONS))
    """Those that the policy gave (`schemas.PREDICTIONS`)."""
