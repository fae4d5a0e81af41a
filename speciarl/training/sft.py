"""The supervised baseline: imitate the class name of every training image, through TRL.

The data has no reasoning to imitate. What the policy itself writes before its prediction stands in
for it: with an empty one, a policy learns to leave its format where it has not seen the images.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from PIL import Image
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from speciarl.datasets.images import BadImage
from speciarl.evaluation.transformers_engine import SamplingParams, Shown, generate
from speciarl.policy.chat import load_prompt
from speciarl.training.adapters import lora_config, save_adapters
from speciarl.training.arguments import trl_arguments
from speciarl.training.batches import plan_supervised
from speciarl.training.callbacks import LogSteps
from speciarl.training.job import Job, TrainingResult
from speciarl.training.samples import usable_samples

BATCH = 64  # images that the policy is shown at a time


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
    batches = (
        [Shown(partial(open_image, reference), seed=0) for reference in some["image"]]
        for some in samples.iter_slices(BATCH)
    )
    params = SamplingParams(max_new_tokens=max_new_tokens)
    said: list[str] = []
    for completions in chain.from_iterable(generate(model, processor, batches, prompt, params)):
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
    """Prompt, completion, begun like what the policy `said` itself, and image of every sample,
    opened when it is needed."""
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


def trl_config(job: Job) -> SFTConfig:
    """The settings in TRL's terms; every value that TRL defaults otherwise is set."""
    settings = job.settings.sft
    return SFTConfig(
        **trl_arguments(job, settings),
        num_train_epochs=settings.epochs,
        **plan_supervised(settings, job.processes.count),
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
    share = job.processes.share(samples)
    said = completions_of(
        (model, processor), share, run.prompt, job.open_image, settings.sft.reasoning_tokens
    )
    said = job.processes.gather(said)
    trainer = SFTTrainer(
        model=model,
        processing_class=processor,
        train_dataset=training_data(samples, run.prompt, job.open_image, said),
        peft_config=lora_config(settings.lora),
        callbacks=[LogSteps(metrics, note={"loss": "loss {:.3f}"}, live=job.live)],
        args=trl_config(job),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    save_adapters(trainer, job.into)
    return TrainingResult(metrics(trainer.state.log_history))


def metrics(history: list[dict]) -> pl.DataFrame:
    """step, loss, learning_rate: one row per optimizer step."""
    schema = {"step": pl.Int64, "loss": pl.Float64, "learning_rate": pl.Float64}
    rows = [{name: entry.get(name) for name in schema} for entry in history if "loss" in entry]
    return pl.DataFrame(rows, schema=schema)
