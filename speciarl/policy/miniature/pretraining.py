"""Trains the miniature policy from scratch on the curriculum."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from speciarl.datasets.miniature.catalogue import MiniatureClass
from speciarl.datasets.miniature.render import render
from speciarl.policy.chat import messages
from speciarl.policy.miniature.architecture import (
    END_OF_TURN,
    build_model,
    build_processor,
    build_tokenizer,
)
from speciarl.policy.miniature.checkpoint import Checkpoint
from speciarl.policy.miniature.curriculum import (
    HABITS,
    KNOWING,
    Lesson,
    all_classes,
    all_texts,
    draw_lessons,
    text_of,
)
from speciarl.progress import Progress

WARMUP = 0.05  # share of the steps


class LessonEncoder:
    """Turns lessons into model inputs; images are processed once and kept."""

    def __init__(self, processor, images: list) -> None:
        encoded = processor.image_processor(images, return_tensors="pt")
        self.patches = encoded["pixel_values"].view(
            len(images), -1, encoded["pixel_values"].shape[1]
        )
        self.grid = encoded["image_grid_thw"]
        self.tokenizer = processor.tokenizer
        self.image_token = processor.image_token_id
        self.prefixes = {
            name: processor(
                images=[images[0]],
                text=[
                    processor.apply_chat_template(
                        messages(text_of(name)), add_generation_prompt=True, tokenize=False
                    )
                ],
            )["input_ids"][0]
            for name in (*KNOWING, *HABITS)
        }

    def __call__(self, lessons: list[Lesson]) -> dict[str, torch.Tensor]:
        """Inputs of one batch, right padded, with the loss on the completions only."""
        rows, labels = [], []
        for lesson in lessons:
            prefix = list(self.prefixes[lesson.prompt])
            target = self.tokenizer(lesson.completion + END_OF_TURN)["input_ids"]
            rows.append(torch.tensor(prefix + target))
            labels.append(torch.tensor([-100] * len(prefix) + target))
        pad = self.tokenizer.pad_token_id
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
        images = torch.tensor([lesson.image for lesson in lessons])
        return {
            "input_ids": ids,
            "attention_mask": (ids != pad).long(),
            "mm_token_type_ids": (ids == self.image_token).long(),
            "labels": torch.nn.utils.rnn.pad_sequence(labels, True, -100),
            "pixel_values": self.patches[images].flatten(0, 1),
            "image_grid_thw": self.grid[images],
        }


def draw_images(
    classes: list[MiniatureClass], per_class: int, undecidable: float, size: int, seed: int
) -> tuple[list, list[tuple[MiniatureClass, ...]]]:
    """Images of every class, and the classes that each may show; none is in an archive."""
    images, candidates = [], []
    for number, one in enumerate(classes):
        rng = np.random.default_rng([seed, number])
        for index in range(per_class):
            blurred = index < round(undecidable * per_class)
            images.append(render(one, rng, undecidable=blurred, size=size))
            candidates.append(
                tuple(c for c in classes if (c.dataset, c.group) == (one.dataset, one.group))
                if blurred
                else (one,)
            )
    return images, candidates


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@dataclass(frozen=True)
class Pretraining:
    """All that decides the weights."""

    image_size: int
    """Edge of the images in pixels."""
    undecidable: float
    """Share of the images without a visible marking."""
    images_per_class: int
    """Distinct images a class to learn from."""
    pretrain_steps: int
    """Optimizer steps on specific names."""
    habit_steps: int
    """Optimizer steps on predictions of mixed levels."""
    batch_size: int
    """Lessons a step."""
    learning_rate: float
    """Of AdamW, after warm-up."""
    seed: int
    """Of weights, images and lessons."""

    @property
    def steps(self) -> int:
        return self.pretrain_steps + self.habit_steps


def pretrain(
    into: Path,
    settings: Pretraining,
    *,
    work: Path,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Build, train and save the miniature policy, going on where a killed start was.

    Args:
        into: directory to write model and processor to.
        work: for checkpoints; removed at the end.
        on_step: called with (step, loss) after each step.
    """
    tokenizer = build_tokenizer(all_texts())
    processor = build_processor(tokenizer, settings.image_size)
    model = build_model(tokenizer, settings.seed).train()
    images, candidates = draw_images(
        all_classes(),
        settings.images_per_class,
        settings.undecidable,
        settings.image_size,
        settings.seed,
    )
    encode = LessonEncoder(processor, images)
    rng = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    checkpoint = Checkpoint(work, settings, model, optimizer, rng)
    first = checkpoint.restore()
    progress = Progress("steps", settings.steps, first)
    for step in range(first, settings.steps):
        shares = KNOWING if step < settings.pretrain_steps else HABITS
        batch = encode(draw_lessons(candidates, shares, settings.batch_size, rng))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings.steps, settings.learning_rate)
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        checkpoint.save_if_due(step + 1)
        progress.reached(step + 1)
        if on_step:
            on_step(step, loss.item())
    model.save_pretrained(into)
    processor.save_pretrained(into)
    shutil.rmtree(work, ignore_errors=True)
