"""One training run from its inputs to its outputs, whichever method it names."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from speciarl.audit import ANSWERS
from speciarl.config import Grpo, Lora, Run, Sft, Verifier
from speciarl.datasets.images import open_image
from speciarl.files import content_hash, whole_folder, write_json, write_parquet
from speciarl.judging import open_cached, verdict_table
from speciarl.rewards import REWARDS
from speciarl.verdicts import COUNTS
from speciarl.verifiers.base import Judgement, Pair

_FIGURES = ("loss", "reward", "kl", "learning_rate")
_COUNTED = (*COUNTS, "unparsable", "several_answers", "failed", "hits", "misses")
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
    verifier: Verifier

    @classmethod
    def parse(cls, row: Mapping, *, grpo: Mapping, sft: Mapping, lora: Mapping, verifier: Mapping):
        return cls(Run(**row), Grpo(**grpo), Sft(**sft), Lora(**lora), Verifier(**verifier))

    def plain(self) -> dict:
        """What decides the outcome, and thus which checkpoints are of this run.

        How the verifier's server is reached does not, nor what may fail: both may be changed to
        go on with an interrupted run.
        """
        values = {name: part.model_dump() for name, part in vars(self).items()}
        values["verifier"] = self.verifier.model_dump(exclude={"server", "max_failures"})
        return values


@dataclass(frozen=True)
class Inputs:
    base: Path
    samples: Path
    verdicts: Path
    taxonomy: Path
    facts: Path
    images: Path
    """What the manifest's references to pictures are relative to."""


@dataclass(frozen=True)
class Outputs:
    model: Path
    metrics: Path
    verdicts: Path
    answers: Path
    work: Path
    """Checkpoints of an unfinished run; removed at its end."""


def train(name: str, settings: Settings, inputs: Inputs, outputs: Outputs, threads: int) -> None:
    """Train a run and write its adapters, metrics, the verdicts that it used and its answers.

    A run of method `none` has no adapters and no rows, only the note of its settings.
    """
    key = content_hash([inputs.base, inputs.samples, inputs.verdicts], settings.plain())
    work = outputs.work / key
    work.mkdir(parents=True, exist_ok=True)
    with whole_folder(outputs.model) as into:
        write_json(settings.run.model_dump(), into / "run.json")
        rows, used, answers = _by_method(name, settings, inputs, work, into, threads)
    columns = [pl.col(c) if c in rows.columns else pl.lit(None).alias(c) for c in METRICS]
    write_parquet(rows.select(columns).cast(METRICS), outputs.metrics)
    write_parquet(verdict_table(used), outputs.verdicts)
    write_parquet(answers, outputs.answers)
    shutil.rmtree(outputs.work)


def _by_method(
    name: str, settings: Settings, inputs: Inputs, work: Path, into: Path, threads: int
) -> tuple[pl.DataFrame, dict[Pair, Judgement], pl.DataFrame]:
    """Metrics per step, the verdicts used, and the answers given, as `audit.ANSWERS`."""
    run = settings.run
    if run.method == "none":
        return pl.DataFrame(schema=METRICS), {}, pl.DataFrame(schema=ANSWERS)

    # Seconds to import, for the runs that need them.
    import torch
    from accelerate import PartialState

    from speciarl.policy.loading import load_model, load_processor
    from speciarl.training.bridge import RewardBridge
    from speciarl.training.grpo import train_grpo
    from speciarl.training.sft import train_sft

    torch.set_num_threads(threads)
    samples = pl.read_parquet(inputs.samples)
    model = load_model(inputs.base).train()
    processor = load_processor(inputs.base)
    shared: dict[str, Any] = {
        "prompt": run.prompt, "lora": settings.lora, "seed": run.seed, "work": work, "into": into,
    }  # fmt: skip

    def picture(reference: str):
        return open_image(reference, inputs.images)

    if run.method == "sft":
        rows = train_sft(model, processor, samples, picture, settings=settings.sft, **shared)
        return rows, {}, pl.DataFrame(schema=ANSWERS)
    state = PartialState()
    source = None
    if state.is_main_process:
        source = open_cached(
            settings.verifier, inputs.verdicts, inputs.taxonomy, inputs.facts, run=name
        )
    bridge = RewardBridge(
        source, REWARDS[run.reward], settings.verifier.max_failures, state.num_processes,
        run.answer_tag,
    )  # fmt: skip
    rows = train_grpo(
        model, processor, samples, picture, bridge,
        rollouts=run.rollouts, settings=settings.grpo, **shared,
    )  # fmt: skip
    if source:
        source.cache.flush()
    answers = pl.DataFrame(bridge.answers, schema=ANSWERS, orient="row")
    answers = answers.sort("step", "class", "prediction")
    return rows, source.met if source else {}, answers
