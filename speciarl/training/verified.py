"""GRPO on the verdicts of a verifier: the first process asks it, all learn from what it says."""

import polars as pl

from speciarl.progress import say
from speciarl.rewards import REWARDS, Noise
from speciarl.schemas import PREDICTIONS
from speciarl.training.grpo import train_grpo
from speciarl.training.job import Job, TrainingResult
from speciarl.training.reward_function import SpecificityReward, overlong_penalty
from speciarl.training.rollouts import reaching
from speciarl.verifiers.cached import CachedVerifier, open_cached, verdict_table
from speciarl.verifiers.factory import classes_of


def train_verified(job: Job) -> TrainingResult:
    """Train as `train_grpo` does; the metrics are one row per generation."""
    run, verifier, processes = job.settings.run, job.settings.verifier, job.processes
    source = _open(job) if processes.first else None
    bridge = SpecificityReward(
        source,
        REWARDS[run.reward],
        verifier.max_failures,
        processes,
        run.answer_tag,
        overlong_penalty(job.settings.grpo),
        Noise(run.noise, job.seed),
    )
    with reaching(job.settings.training):
        rows = train_grpo(job, bridge)
    if source:
        source.cache.flush()
    said = pl.DataFrame(bridge.predictions, schema=PREDICTIONS, orient="row")
    predictions = said.group_by(pl.exclude("count")).agg(pl.col("count").sum())
    used = verdict_table(source.seen if source else {})
    return TrainingResult(rows, used, predictions.sort("step", "class", "prediction", "verdict"))


def _open(job: Job) -> CachedVerifier:
    """The verifier, if it can judge every class of the training set.

    Raises:
        TaxonomyError: a class has no entry in the facts of its dataset.
    """
    read, verifier = job.inputs, job.settings.verifier
    assert read.facts and read.store
    classes = dict(read.classes)
    for dataset, names in classes_of(job.samples()).items():
        if not classes.get(dataset):
            classes[dataset] = names
        elif verifier.model is None:
            say(f"without facts about {dataset} only the names of its classes count (docs/data.md)")
    return open_cached(verifier, read.verdicts, classes, read.facts, read.store, job.name)
