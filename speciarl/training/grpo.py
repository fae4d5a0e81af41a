"""Group relative policy optimization of a policy on specificity, through TRL."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl
from datasets import Dataset
from PIL import Image
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig

from speciarl.config import Grpo
from speciarl.errors import TrainingError
from speciarl.policy.chat import load_prompt
from speciarl.progress import Progress
from speciarl.training.adapters import lora_config, save_adapters
from speciarl.training.arguments import trl_arguments
from speciarl.training.checkpoints import MarkComplete, latest_checkpoint
from speciarl.training.job import Job
from speciarl.training.memory import PartsTrainer, process_once
from speciarl.training.reward_function import SpecificityReward
from speciarl.training.samples import usable_samples
from speciarl.training.schedule import flatten_epochs
from speciarl.verdicts import Pair

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchPlan:
    """How one generation batch is cut into the steps of TRL (1.16)."""

    per_device: int
    steps_per_generation: int
    gradient_accumulation: int


def plan_batches(settings: Grpo, rollouts: int, processes: int) -> BatchPlan:
    """Cut `prompts_per_step` x `rollouts` completions over processes, micro-batches, updates.

    Raises:
        TrainingError: the numbers do not divide, or a group would be split over processes, which
            would make group-relative rewards silently wrong.
    """
    completions = settings.prompts_per_step * rollouts
    if settings.prompts_per_step % processes:
        raise TrainingError(
            f"grpo.prompts_per_step {settings.prompts_per_step} does not divide over "
            f"{processes} processes: a group of rollouts must not be split, choose a multiple"
        )
    local = completions // processes
    micro = min(settings.per_device_batch_size, local)
    if local % (micro * settings.updates_per_step):
        raise TrainingError(
            f"grpo.per_device_batch_size {micro} x updates_per_step "
            f"{settings.updates_per_step} does not divide the {local} completions that "
            "each process has per generation: choose divisors"
        )
    steps = local // micro
    return BatchPlan(micro, steps, steps // settings.updates_per_step)


def trl_config(
    settings: Grpo, plan: BatchPlan, *, rollouts: int, seed: int, work: Path
) -> GRPOConfig:
    """The authors' settings in TRL's terms; every value that TRL defaults otherwise is set."""
    return GRPOConfig(
        **trl_arguments(settings, seed, work),
        per_device_train_batch_size=plan.per_device,
        steps_per_generation=plan.steps_per_generation,
        gradient_accumulation_steps=plan.gradient_accumulation,
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
        save_total_limit=2,
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


class LogSteps(TrainerCallback):
    """One line per generation batch: reward, the six counts, lookups."""

    def __init__(self, bridge: SpecificityReward, steps: int) -> None:
        self.bridge = bridge
        self.steps = steps
        self.logged = len(bridge.rows)
        self.progress = Progress("steps", steps, self.logged)

    def on_step_end(self, args, state, control, **_) -> None:
        for number in range(self.logged, len(self.bridge.rows)):
            counts = dict(self.bridge.rows[number])
            counts.pop("step")
            counts["reward"] = None if counts["reward"] is None else round(counts["reward"], 3)
            text = " ".join(f"{name}={value}" for name, value in counts.items())
            log.info("step %d/%d %s", number + 1, self.steps, text)
        self.logged = len(self.bridge.rows)
        self.progress.reached(self.logged)


def train_grpo(job: Job, bridge: SpecificityReward) -> pl.DataFrame:
    """Train adapters, resuming from `job.work` where an earlier start left a checkpoint.

    Returns:
        One row per generation: step, loss, kl, learning_rate, reward, the six counts, unparsable,
        several_tagged, failed, hits, misses.
    """
    run, settings = job.settings.run, job.settings.grpo
    plan = plan_batches(settings, run.num_generations, bridge.processes)
    resumed = latest_checkpoint(job.work)
    if resumed:
        checkpoint, progress = resumed
        bridge.rows = progress["rows"]
        bridge.predictions = progress["predictions"]
        if bridge.source:
            bridge.source.restore_seen(Pair(*pair) for pair in progress["met"])
        log.info("going on from %s", checkpoint.name)
    model, processor = job.policy()
    # TRL asks for each image once a rollout and micro-batch, and for no other meanwhile.
    together = settings.prompts_per_step // bridge.processes
    open_once = lru_cache(together)(job.open_image)
    process_once(processor, together)
    samples = usable_samples(
        job.samples(), processor, run.prompt, job.open_image,
        threads=job.threads, max_prompt_tokens=settings.max_prompt_tokens,
    )  # fmt: skip
    shown = flatten_epochs(samples, settings.steps * settings.prompts_per_step, job.seed)
    trainer = PartsTrainer(
        generation_tokens=settings.generation_tokens,
        model=model,
        processing_class=processor,
        reward_funcs=bridge,
        args=trl_config(settings, plan, rollouts=run.num_generations, seed=job.seed, work=job.work),
        train_dataset=training_data(shown, run.prompt, open_once),
        peft_config=lora_config(job.settings.lora),
        callbacks=[
            LogSteps(bridge, settings.steps),
            MarkComplete(
                lambda: {
                    "rows": bridge.rows,
                    "predictions": bridge.predictions,
                    "met": sorted(bridge.source.seen) if bridge.source else [],
                }
            ),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(resumed[0]) if resumed else None)
    save_adapters(trainer.model, job.into)
    return metrics(bridge.rows, trainer.state.log_history, settings.updates_per_step)


def metrics(rows: list[dict], history: list[dict], updates: int) -> pl.DataFrame:
    """Counts per generation joined with the optimizer's own figures, averaged over its updates."""
    learned = (
        pl.DataFrame(
            [
                {
                    "step": (entry["step"] - 1) // updates * updates,
                    **{name: entry.get(name) for name in ("loss", "kl", "learning_rate")},
                }
                for entry in history
                if "loss" in entry
            ],
            schema={
                "step": pl.Int64, "loss": pl.Float64, "kl": pl.Float64, "learning_rate": pl.Float64
            },
        )
        .group_by("step")
        .mean()
    )  # fmt: skip
    counted = pl.DataFrame(rows, schema_overrides={"reward": pl.Float64})
    return counted.join(learned, on="step", how="left").sort("step")
