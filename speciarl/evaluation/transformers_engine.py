"""Generates completions for images with transformers, in batches, greedy or sampled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    batch_size: int = 64  # sequences in flight at a time, where an engine takes up more as some end


class Shown(NamedTuple):
    """An image to show to a policy."""

    open: Callable[[], Image.Image]
    """Opens it as RGB, called when its turn comes."""
    seed: int
    """Of its samples."""


Batches = Iterable[Sequence[Shown]]
"""What is generated together; consumed as far as an engine has come."""

Completions = Iterator[list[list[str] | BadImage]]
"""Batch by batch, each image's completions; or why it could not be shown."""

Engine = Callable[[Batches, str, SamplingParams], Completions]
"""A policy ready to answer: batches, prompt and decoding in, completions out."""


def opened(shown: Shown) -> Image.Image | BadImage:
    """The image, or what is the matter with it."""
    try:
        return shown.open()
    except BadImage as error:
        return error


def generate(
    model,
    processor,
    batches: Batches,
    prompt: str,
    decoding: SamplingParams,
) -> Completions:
    """The `rollouts` completions of each image.

    A batch is drawn by the seed of its first image: of one batch and seed, always the same.

    Args:
        model: a Qwen2.5-VL in evaluation mode, with or without adapters.
        processor: its processor.
        prompt: name of the prompt put with every image.
        decoding: sampling settings.
    """
    text = chat_text(processor, prompt)
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

    def complete(images: list[Image.Image]) -> Iterator[list[str]]:
        inputs = processor(
            images=images,
            text=[text] * len(images),
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
        for i in range(len(images)):
            yield completions[i * decoding.rollouts : (i + 1) * decoding.rollouts]

    for batch in batches:
        seen = [opened(shown) for shown in batch]
        images = [image for image in seen if not isinstance(image, BadImage)]
        torch.manual_seed(batch[0].seed)
        completions = complete(images) if images else iter(())
        yield [one if isinstance(one, BadImage) else next(completions) for one in seen]
