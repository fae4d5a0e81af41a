"""The supervised baseline: imitate the class name of every training image, through TRL.

The data has no reasoning to imitate. What the policy itself writes before its prediction stands in
for it: with an empty one, a policy learns to leave its format where it has not seen the images.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from PIL import Image
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from speciarl.config import Sft
from speciarl.datasets.images import BadImage
from speciarl.evaluation.transformers_engine import SamplingParams, generate
from speciarl.policy.chat import load_prompt
from speciarl.progress import Progress
from speciarl.training.adapters import lora_config, save_adapters
from speciarl.training.arguments import trl_arguments
from speciarl.training.job import Job, TrainingResult
from speciarl.training.samples import usable_samples

log = logging.getLogger(__name__)


class LogSteps(TrainerCallback):
    """One line per optimizer step."""

    def on_train_begin(self, args, state, control, **_) -> None:
        self.progress = Progress("steps", state.max_steps)

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if logs and "loss" in logs:
            log.info("step %d/%d loss=%s", state.global_step, state.max_steps, logs["loss"])
            self.progress.reached(state.global_step)


def target(said: str, class_name: str) -> str:
    """What the policy should write: the reasoning of what it said, then the class name."""
    reasoning, answered, _ = said.partition("<answer>")
    if not answered or "</think>" not in reasoning:
        reasoning = "<think></think> "
    return f"{reasoning}<answer>{class_name}</answer>"


def completions_of(
    policy: tuple[Any, Any],
    samples: pl.DataFrame,
    prompt: str,
    open_image: Callable[[str], Image.Image],
    max_new_tokens: int,
) -> list[str]:
    """The policy's own greedy completion for every sample."""
    model, processor = policy
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    images = [partial(open_image, reference) for reference in samples["image"]]
    params = SamplingParams(max_new_tokens=max_new_tokens)
    said: list[str] = []
    for completions in generate(model, processor, images, prompt, params):
        if isinstance(completions, BadImage):
            raise completions
        said += completions
    model.train()
    return said


def training_data(
    samples: pl.DataFrame,
    prompt: str,
    open_image: Callable[[str], Image.Image],
    said: Sequence[str],
) -> Dataset:
    """Prompt, completion and image of every sample, opened when it is needed.

    Args:
        said: the policy's own completions.
    """
    question = [{"role": "user", "content": load_prompt(prompt)}]

    def in_full(batch: dict) -> dict:
        return {
            "prompt": [question] * len(batch["target"]),
            "completion": [[{"role": "assistant", "content": text}] for text in batch["target"]],
            "images": [[open_image(reference)] for reference in batch["reference"]],
        }

    targets = map(target, said, samples["class_name"])
    rows = {"target": list(targets), "reference": samples["image"].to_list()}
    return Dataset.from_dict(rows).with_transform(in_full)


def trl_config(settings: Sft, *, seed: int, work: Path) -> SFTConfig:
    """The settings in TRL's terms; every value that TRL defaults otherwise is set."""
    return SFTConfig(
        **trl_arguments(settings, seed, work),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.per_device_batch_size,
        gradient_accumulation_steps=max(1, settings.batch_size // settings.per_device_batch_size),
        max_length=None,
        remove_unused_columns=False,  # what the images are opened by is one
        save_strategy="no",
    )


def train_sft(job: Job) -> TrainingResult:
    """Train adapters; the metrics are one row per optimizer step (step, loss, learning_rate)."""
    run, settings = job.settings.run, job.settings
    model, processor = job.policy()
    samples = usable_samples(
        job.samples(), processor, run.prompt, job.open_image, threads=job.threads
    )
    said = completions_of(
        (model, processor), samples, run.prompt, job.open_image, settings.sft.reasoning_tokens
    )
    trainer = SFTTrainer(
        model=model,
        processing_class=processor,
        train_dataset=training_data(samples, run.prompt, job.open_image, said),
        peft_config=lora_config(settings.lora),
        callbacks=[LogSteps()],
        args=trl_config(settings.sft, seed=job.seed, work=job.work),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    save_adapters(trainer.model, job.into)
    names = ("step", "loss", "learning_rate")
    rows = [entry for entry in trainer.state.log_history if "loss" in entry]
    return TrainingResult(pl.DataFrame([{n: entry.get(n) for n in names} for entry in rows]))
