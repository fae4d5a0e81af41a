"""Trains the miniature policy from scratch on the curriculum."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import get_cosine_schedule_with_warmup

from speciarl.config.data import Miniature
from speciarl.config.learning import Policy
from speciarl.datasets.miniature.catalogue import MiniatureClass
from speciarl.datasets.miniature.render import render
from speciarl.policy.chat import messages
from speciarl.policy.loading import ImageOnlyProcessor
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
from speciarl.policy.miniature.gradient import Gradient
from speciarl.progress import Progress

WARMUP = 0.05  # share of the steps
AT_ONCE = 256
"""Images processed together: all at once would need twice the memory that they keep."""


class LessonEncoder:
    """Turns lessons into model inputs; images, all of one size, are processed once and kept."""

    def __init__(self, processor, images: list) -> None:
        self.patches: list[torch.Tensor] = []
        for first in range(0, len(images), AT_ONCE):
            some = images[first : first + AT_ONCE]
            encoded = processor.image_processor(some, return_tensors="pt")
            self.patches += encoded["pixel_values"].chunk(len(some))
        self.grid = encoded["image_grid_thw"][:1]
        self.tokenizer = processor.tokenizer
        self.image_token = processor.image_token_id
        self.prefixes = {}
        for name in (*KNOWING, *HABITS):
            chat = processor.apply_chat_template(
                messages(text_of(name)), add_generation_prompt=True, tokenize=False
            )
            self.prefixes[name] = processor(images=[images[0]], text=[chat])["input_ids"][0]

    def __call__(self, lessons: Sequence[Lesson]) -> dict[str, torch.Tensor]:
        """Inputs of one batch, right padded, with the loss on the completions only."""
        rows, labels = [], []
        for lesson in lessons:
            prefix = list(self.prefixes[lesson.prompt])
            target = self.tokenizer(lesson.completion + END_OF_TURN)["input_ids"]
            rows.append(torch.tensor(prefix + target))
            labels.append(torch.tensor([-100] * len(prefix) + target))
        pad = self.tokenizer.pad_token_id
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
        return {
            "input_ids": ids,
            "attention_mask": (ids != pad).long(),
            "mm_token_type_ids": (ids == self.image_token).long(),
            "labels": torch.nn.utils.rnn.pad_sequence(labels, True, -100),
            "pixel_values": torch.cat([self.patches[lesson.image] for lesson in lessons]),
            "image_grid_thw": self.grid.expand(len(lessons), -1),
        }


def draw_images(settings: Policy, shown: Miniature) -> list[Image.Image]:
    """Images of every class, in the order of `candidates_of`; none is in an archive."""
    blurred = round(shown.ambiguous_share * settings.images_per_class)
    images = []
    for number, one in enumerate(all_classes(shown.classes_per_group)):
        rng = np.random.default_rng([settings.seed, number])
        for index in range(settings.images_per_class):
            images.append(render(one, rng, ambiguous=index < blurred, size=shown.image_size))
    return images


def candidates_of(settings: Policy, shown: Miniature) -> list[tuple[MiniatureClass, ...]]:
    """The classes that each image may show: one, or its group where no marking is visible."""
    classes = all_classes(shown.classes_per_group)
    blurred = round(shown.ambiguous_share * settings.images_per_class)
    candidates: list[tuple[MiniatureClass, ...]] = []
    for one in classes:
        group = tuple(c for c in classes if (c.dataset, c.group) == (one.dataset, one.group))
        candidates += [group] * blurred + [(one,)] * (settings.images_per_class - blurred)
    return candidates


def _processor(shown: Miniature) -> ImageOnlyProcessor:
    return build_processor(build_tokenizer(all_texts()), shown.image_size)


def _encoder(settings: Policy, shown: Miniature) -> LessonEncoder:
    return LessonEncoder(_processor(shown), draw_images(settings, shown))


def pretrain(
    into: Path,
    settings: Policy,
    shown: Miniature,
    *,
    work: Path,
    processes: int = 1,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Build, train and save the miniature policy, going on where a killed start was.

    Args:
        shown: what the images are like that it sees.
        work: for checkpoints; removed at the end.
        processes: 1 or 2 that train, with a thread each; the same bytes either way.
        on_step: called with (step, loss) after each step.
    """
    torch.set_num_threads(1)
    processor = _processor(shown)
    model = build_model(processor.tokenizer, settings.seed).train()
    candidates = candidates_of(settings, shown)
    rng = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    of = [section.model_dump(mode="json") for section in (settings, shown)]
    checkpoint = Checkpoint(work, of, model, optimizer, rng)
    first, steps = checkpoint.restore(), settings.pretrain_steps + settings.habit_steps
    schedule = get_cosine_schedule_with_warmup(
        optimizer, round(WARMUP * steps), steps, last_epoch=first - 1
    )
    progress = Progress("steps", steps, first)
    with Gradient(model, partial(_encoder, settings, shown), processes) as gradient:
        for step in range(first, steps):
            shares = KNOWING if step < settings.pretrain_steps else HABITS
            loss = gradient(draw_lessons(candidates, shares, settings.batch_size, rng))
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            checkpoint.save_if_due(step + 1)
            progress.reached(step + 1)
            if on_step:
                on_step(step, loss)
    model.save_pretrained(into)
    processor.save_pretrained(into)
    shutil.rmtree(work, ignore_errors=True)
