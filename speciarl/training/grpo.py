"""Group relative policy optimization of a policy on specificity, through TRL."""

import logging
from collections.abc import Callable
from functools import lru_cache

import polars as pl
from datasets import Dataset
from PIL import Image
from transformers import PrinterCallback
from trl import GRPOConfig

from speciarl.errors import TrainingError
from speciarl.policy.chat import load_prompt
from speciarl.training.adapters import lora_config, save_adapters
from speciarl.training.arguments import trl_arguments
from speciarl.training.batches import plan_batches
from speciarl.training.callbacks import LogSteps
from speciarl.training.checkpoints import MarkComplete, latest_checkpoint
from speciarl.training.job import Job
from speciarl.training.memory import process_once
from speciarl.training.reward_function import SpecificityReward
from speciarl.training.rollouts import rollout_arguments
from speciarl.training.samples import usable_samples
from speciarl.training.schedule import flatten_epochs
from speciarl.training.trainer import GroupTrainer
from speciarl.verdicts import OUTCOMES, Pair

log = logging.getLogger(__name__)


def trl_config(job: Job) -> GRPOConfig:
    """The authors' settings in TRL's terms; every value that TRL defaults otherwise is set."""
    settings, rollouts = job.settings.grpo, job.settings.run.num_generations
    return GRPOConfig(
        **trl_arguments(job, settings),
        **rollout_arguments(job.settings.training),
        **plan_batches(settings, rollouts, job.processes.count),
        num_generations=rollouts,
        num_train_epochs=1,
        shuffle_dataset=False,
        beta=settings.beta,
        use_bias_correction_kl=False,
        epsilon=settings.epsilon,
        epsilon_high=settings.epsilon_high,
        delta=settings.delta,
        loss_type=settings.loss_type,
        scale_rewards=settings.scale_rewards,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=0,
        max_completion_length=settings.max_new_tokens,
        save_strategy="steps",
        save_steps=settings.checkpoint_every * settings.updates_per_step,
    )


def training_data(
    samples: pl.DataFrame, prompt: str, open_image: Callable[[str], Image.Image]
) -> Dataset:
    """The flattened schedule as a dataset that opens each image when it is needed."""
    question = [{"role": "user", "content": load_prompt(prompt)}]

    def with_images(batch: dict) -> dict:
        images = [open_image(reference) for reference in batch["reference"]]
        return {**batch, "prompt": [question] * len(images), "image": images}

    columns = samples.select("row", "class_name", reference="image").to_dict(as_series=False)
    return Dataset.from_dict(columns).with_transform(with_images)


def train_grpo(job: Job, bridge: SpecificityReward) -> pl.DataFrame:
    """Train adapters, resuming from `job.work` where an earlier start left a checkpoint.

    Returns:
        One row per generation: step, reward, `schemas.COUNTED`, judge_seconds, and what `LEARNED`
        names.
    """
    settings, args = job.settings.grpo, trl_config(job)
    checkpoint, next_row = _go_on(job, bridge)
    model, processor = job.policy()
    rows = _schedule(job, processor)
    trainer: GroupTrainer = GroupTrainer(
        more_rows=rows,
        next_row=next_row,
        tries=settings.dynamic_sampling_tries,
        generation_tokens=settings.generation_tokens,
        model=model,
        processing_class=processor,
        bridge=bridge,
        args=args,
        train_dataset=rows(0, settings.steps * settings.prompts_per_step),
        peft_config=lora_config(job.settings.lora),
        callbacks=[
            _shown(job, bridge),
            MarkComplete(
                lambda: {
                    "rows": bridge.rows,
                    "next_row": trainer.next_row,
                    "predictions": bridge.predictions,
                    "met": sorted(bridge.source.seen) if bridge.source else [],
                }
            ),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=checkpoint)
    require_all(len(bridge.rows), settings.steps)
    save_adapters(trainer, job.into)
    return metrics(bridge.rows, trainer.state.log_history, settings.updates_per_step)


def _go_on(job: Job, bridge: SpecificityReward) -> tuple[str | None, int]:
    """The checkpoint to go on from, whose progress the bridge is given, and the first row that no
    group was drawn for beyond those of the run's own steps."""
    resumed = latest_checkpoint(job.work, job.processes)
    if resumed is None:
        return None, job.settings.grpo.steps * job.settings.grpo.prompts_per_step
    checkpoint, progress = resumed
    bridge.rows, bridge.predictions = progress["rows"], progress["predictions"]
    if bridge.source:
        bridge.source.restore_seen(Pair(*pair) for pair in progress["met"])
    log.info("going on from %s", checkpoint.name)
    return str(checkpoint), progress["next_row"]


def _schedule(job: Job, processor) -> Callable[[int, int], Dataset]:
    """Gives that many rows from that number on of a schedule that does not end."""
    settings, prompt = job.settings.grpo, job.settings.run.prompt
    # TRL asks for each image once a rollout and micro-batch, and for no other meanwhile.
    together = settings.prompts_per_step // job.processes.count
    open_once = lru_cache(together)(job.open_image)
    process_once(processor, together)
    samples = usable_samples(
        job.samples(), processor, prompt, job.open_image,
        threads=job.threads, max_prompt_tokens=settings.max_prompt_tokens,
    )  # fmt: skip

    def rows(first: int, count: int) -> Dataset:
        return training_data(flatten_epochs(samples, count, job.seed, first), prompt, open_once)

    return rows


def _shown(job: Job, bridge: SpecificityReward) -> LogSteps:
    updates = job.settings.grpo.updates_per_step
    return LogSteps(
        lambda history: live_table(metrics(bridge.rows, history, updates)),
        note={"reward": "reward {:.2f}", "specific": "{:.0%} specific"},
        updates=updates,
        live=job.live,
    )


LEARNED = {
    "loss": "loss",
    "kl": "kl",
    "clip_ratio": "clip_ratio/region_mean",
    "completion_length": "completions/mean_length",
    "learning_rate": "learning_rate",
    "seconds": "step_time",
}
"""The optimizer's own figures and how TRL calls them."""


def require_all(trained: int, asked: int) -> None:
    """Refuse adapters of fewer, or more, steps than the parameters ask for.

    Raises:
        TrainingError: they differ, as they do where processes do not see one another.
    """
    if trained != asked:
        raise TrainingError(
            f"{trained} steps were trained and {asked} asked for (grpo.steps): the adapters are "
            "not kept; see the log for how many processes took part"
        )


def metrics(rows: list[dict], history: list[dict], updates: int) -> pl.DataFrame:
    """Counts per generation joined with the optimizer's own figures, averaged over its updates.

    `seconds`, of the whole generation, is their sum.
    """
    learned = pl.DataFrame(
        [
            {
                "step": (entry["step"] - 1) // updates * updates,
                **{name: entry.get(key) for name, key in LEARNED.items()},
            }
            for entry in history
            if "loss" in entry
        ],
        schema={"step": pl.Int64} | dict.fromkeys(LEARNED, pl.Float64),
    )
    means = [pl.col(name).mean() for name in LEARNED if name != "seconds"]
    learned = learned.group_by("step").agg(*means, pl.col("seconds").sum())
    counted = pl.DataFrame(rows, schema_overrides={"reward": pl.Float64})
    return counted.join(learned, on="step", how="left").sort("step")


def live_table(steps: pl.DataFrame) -> pl.DataFrame:
    """`metrics` to look at: shares of the rollouts drawn in a step, and its tokens a second."""
    drawn = pl.sum_horizontal(OUTCOMES)
    return steps.with_columns(
        pl.col(*OUTCOMES, "several_tagged") / drawn,
        tokens_per_second=pl.col("completion_length") * drawn / pl.col("seconds"),
    )
