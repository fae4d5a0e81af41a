"""Trains the miniature policy from scratch on the curriculum."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup

from speciarl.config.data import Miniature
from speciarl.config.learning import Policy
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
from speciarl.policy.repeats import share_repeats
from speciarl.progress import Progress

WARMUP = 0.05  # share of the steps


class LessonEncoder:
    """Turns lessons into model inputs; images are processed once and kept."""

    def __init__(self, processor, images: list) -> None:
        encoded = processor.image_processor(images, return_tensors="pt")
        patches = encoded["pixel_values"]
        self.patches = patches.view(len(images), -1, patches.shape[1])
        self.grid = encoded["image_grid_thw"]
        self.tokenizer = processor.tokenizer
        self.image_token = processor.image_token_id
        self.prefixes = {}
        for name in (*KNOWING, *HABITS):
            chat = processor.apply_chat_template(
                messages(text_of(name)), add_generation_prompt=True, tokenize=False
            )
            self.prefixes[name] = processor(images=[images[0]], text=[chat])["input_ids"][0]

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
    classes: list[MiniatureClass], per_class: int, ambiguous_share: float, size: int, seed: int
) -> tuple[list, list[tuple[MiniatureClass, ...]]]:
    """Images of every class, and the classes that each may show; none is in an archive."""
    images, candidates = [], []
    for number, one in enumerate(classes):
        rng = np.random.default_rng([seed, number])
        group = tuple(c for c in classes if (c.dataset, c.group) == (one.dataset, one.group))
        for index in range(per_class):
            blurred = index < round(ambiguous_share * per_class)
            images.append(render(one, rng, ambiguous=blurred, size=size))
            candidates.append(group if blurred else (one,))
    return images, candidates


def pretrain(
    into: Path,
    settings: Policy,
    shown: Miniature,
    *,
    work: Path,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Build, train and save the miniature policy, going on where a killed start was.

    Args:
        shown: what the images are like that it sees.
        work: for checkpoints; removed at the end.
        on_step: called with (step, loss) after each step.
    """
    tokenizer = build_tokenizer(all_texts())
    processor = build_processor(tokenizer, shown.image_size)
    model = build_model(tokenizer, settings.seed).train()
    share_repeats(model)
    images, candidates = draw_images(
        all_classes(shown.classes_per_group),
        settings.images_per_class,
        shown.ambiguous_share,
        shown.image_size,
        settings.seed,
    )
    encode = LessonEncoder(processor, images)
    rng = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    of = [section.model_dump(mode="json") for section in (settings, shown)]
    checkpoint = Checkpoint(work, of, model, optimizer, rng)
    first, steps = checkpoint.restore(), settings.pretrain_steps + settings.habit_steps
    schedule = get_cosine_schedule_with_warmup(
        optimizer, round(WARMUP * steps), steps, last_epoch=first - 1
    )
    progress = Progress("steps", steps, first)
    for step in range(first, steps):
        shares = KNOWING if step < settings.pretrain_steps else HABITS
        batch = encode(draw_lessons(candidates, shares, settings.batch_size, rng))
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        checkpoint.save_if_due(step + 1)
        progress.reached(step + 1)
        if on_step:
            on_step(step, loss.item())
    model.save_pretrained(into)
    processor.save_pretrained(into)
    shutil.rmtree(work, ignore_errors=True)
