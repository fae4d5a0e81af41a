"""GRPO on the verdicts of a verifier: the first process asks it, all learn from what it says."""

import polars as pl

from speciarl.rewards import REWARDS
from speciarl.schemas import PREDICTIONS
from speciarl.training.grpo import train_grpo
from speciarl.training.job import Job, TrainingResult
from speciarl.training.reward_function import SpecificityReward
from speciarl.training.rollouts import reaching
from speciarl.verifiers.cached import CachedVerifier, open_cached, verdict_table


def train_verified(job: Job) -> TrainingResult:
    """Train as `train_grpo` does; the metrics are one row per generation."""
    run, verifier, processes = job.settings.run, job.settings.verifier, job.processes
    source = _open(job) if processes.first else None
    bridge = SpecificityReward(
        source, REWARDS[run.reward], verifier.max_failures, processes.count, run.answer_tag
    )
    with reaching(job.settings.training):
        rows = train_grpo(job, bridge)
    if source:
        source.cache.flush()
    predictions = pl.DataFrame(bridge.predictions, schema=PREDICTIONS, orient="row")
    used = verdict_table(source.seen if source else {})
    return TrainingResult(rows, used, predictions.sort("step", "class", "prediction"))


def _open(job: Job) -> CachedVerifier:
    read = job.inputs
    assert read.facts and read.store
    return open_cached(
        job.settings.verifier, read.verdicts, read.classes, read.facts, read.store, job.name
    )
