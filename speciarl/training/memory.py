"""What keeps a step of GRPO small: images are processed once, completions generated in parts.

TRL (1.16) processes an image twice for every rollout, and generates all completions of a step at
once.
"""

from collections.abc import Iterator
from functools import wraps
from typing import Any, cast

import torch
from transformers.image_utils import make_flat_list_of_images as flattened
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid


def process_once(processor, most: int) -> None:
    """Let a processor remember what it has made of the last `most` images, told apart as objects.

    An image that is repeated, in one call or in the next, is not processed again.
    """
    process = processor._process_images
    kept: dict[int, Any] = {}  # with the image itself, so that no other has its id meanwhile

    def remembered(image, settings: dict) -> tuple:
        if id(image) not in kept:
            if len(kept) == most:
                del kept[next(iter(kept))]
            kept[id(image)] = (image, *process([image], **settings))
        return kept[id(image)][1:]

    @wraps(process)
    def processed(images: Any, **settings):
        settings["return_tensors"] = "pt"
        ones = [remembered(image, settings) for image in cast(list, flattened(images))]
        together = {name: torch.cat([one[name] for one, _ in ones]) for name in ones[0][0]}
        return together, [text for _, texts in ones for text in texts]

    processor._process_images = processed


def parts_of(fields: dict[str, Any], count: int, size: int) -> Iterator[tuple[slice, dict]]:
    """Cut what a processor made of `count` prompts, of one image each, into `size` at a time."""
    whole: dict[str, Any] = {**fields, "num_images": [1] * count}
    for name in ("pixel_values", "image_grid_thw"):
        whole[name] = torch.as_tensor(whole[name])
    split = split_pixel_values_by_grid(whole)
    for start in range(0, count, size):
        part = slice(start, start + size)
        cut = unsplit_pixel_values_by_grid({name: values[part] for name, values in split.items()})
        cut.pop("num_images")
        yield part, cut
