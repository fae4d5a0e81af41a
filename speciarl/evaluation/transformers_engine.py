"""Generates completions for images with transformers, in batches, greedy or sampled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from speciarl.datasets.images import BadImage
from speciarl.policy.chat import chat_text


@dataclass(frozen=True)
class SamplingParams:
    """How completions are drawn: greedy for `rollouts` 1 and `temperature` 0, else sampled."""

    rollouts: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 2048
    batch_size: int = 64  # sequences generated together
    seed: int = 0

    @property
    def images_together(self) -> int:
        return max(1, self.batch_size // self.rollouts)


Openers = Sequence[Callable[[], Image.Image]]
"""Functions that open one RGB image each, called when its turn comes."""

Completions = Iterator[list[str] | BadImage]
"""Image by image, in order, its completions; or why it could not be shown."""

Engine = Callable[[Openers, str, SamplingParams], Completions]
"""A policy ready to answer: images, prompt and decoding in, the completions of each out."""


def in_batches(
    images: Openers,
    together: int,
    complete: Callable[[dict[int, Image.Image]], Iterable[list[str]]],
) -> Completions:
    """Open `together` images at a time and have `complete` answer, by place, those that open."""
    for start in range(0, len(images), together):
        opened: dict[int, Image.Image] = {}
        bad: dict[int, BadImage] = {}
        for place, open_one in enumerate(images[start : start + together], start):
            try:
                opened[place] = open_one()
            except BadImage as error:
                bad[place] = error
        completions = iter(complete(opened) if opened else ())
        for place in range(start, start + len(opened) + len(bad)):
            yield bad[place] if place in bad else next(completions)


def generate(
    model,
    processor,
    images: Openers,
    prompt: str,
    decoding: SamplingParams,
) -> Completions:
    """The `rollouts` completions of each image.

    Args:
        model: a Qwen2.5-VL in evaluation mode, with or without adapters.
        processor: its processor.
        prompt: name of the prompt put with every image.
        decoding: sampling settings; the same seed draws the same completions.
    """
    text = chat_text(processor, prompt)
    torch.manual_seed(decoding.seed)
    sampling = (
        {
            "do_sample": True,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": 0,
        }
        if decoding.temperature
        else {"do_sample": False}
    )

    def complete(opened: dict[int, Image.Image]) -> Iterator[list[str]]:
        inputs = processor(
            images=list(opened.values()),
            text=[text] * len(opened),
            return_tensors="pt",
            padding=True,
            padding_side="left",
        ).to(model.device)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                **sampling,
                repetition_penalty=1.0,  # whatever the model directory asks for
                num_return_sequences=decoding.rollouts,
                max_new_tokens=decoding.max_new_tokens,
            )
        completions = processor.batch_decode(
            output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        for i in range(len(opened)):
            yield completions[i * decoding.rollouts : (i + 1) * decoding.rollouts]

    yield from in_batches(images, decoding.images_together, complete)
