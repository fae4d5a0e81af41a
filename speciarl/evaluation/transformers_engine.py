"""Generates completions for images with transformers, in batches, greedy or sampled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from speciarl.policy.chat import load_prompt, messages


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


Engine = Callable[[Sequence[Callable[[], Image.Image]], str, SamplingParams], Iterator[list[str]]]
"""A policy ready to answer: images, prompt and decoding in, the completions of each out."""


def generate(
    model,
    processor,
    images: Sequence[Callable[[], Image.Image]],
    prompt: str,
    decoding: SamplingParams,
) -> Iterator[list[str]]:
    """Yield, image by image in order, the `rollouts` completions of each.

    Args:
        model: a Qwen2.5-VL in evaluation mode, with or without adapters.
        processor: its processor.
        images: functions that open one RGB image each, called when its turn comes.
        prompt: name of the prompt put with every image.
        decoding: sampling settings; the same seed draws the same completions.
    """
    text = processor.apply_chat_template(
        messages(load_prompt(prompt)), add_generation_prompt=True, tokenize=False
    )
    together = decoding.images_together
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
    for start in range(0, len(images), together):
        batch = [open_one() for open_one in images[start : start + together]]
        inputs = processor(
            images=batch,
            text=[text] * len(batch),
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
        for i in range(len(batch)):
            yield completions[i * decoding.rollouts : (i + 1) * decoding.rollouts]
