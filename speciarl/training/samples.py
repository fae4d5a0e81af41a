"""What of a training set is shown: looked through once, before anything is learned from it."""

import logging
from collections.abc import Callable

import polars as pl
from PIL import Image

from speciarl.datasets.images import BadImage, look_at
from speciarl.errors import DataError, TrainingError
from speciarl.policy.chat import chat_text

log = logging.getLogger(__name__)


def usable_samples(
    samples: pl.DataFrame,
    processor,
    prompt: str,
    open_image: Callable[[str], Image.Image],
    *,
    threads: int,
    max_prompt_tokens: int | None = None,
) -> pl.DataFrame:
    """The training set, without images whose prompt is too long; those are counted and named.

    An image that cannot be used stops the run here: without it the set would be another than the
    one that its parameters name.

    Args:
        prompt: name of the prompt that is put with every image.
        max_prompt_tokens: most tokens of the question and its image; None takes all.

    Raises:
        DataError: an image cannot be opened or processed.
        TrainingError: all prompts are too long.
    """
    found = look_at(samples["image"].unique(maintain_order=True), open_image, threads)
    sizes = {name: one for name, one in found.items() if not isinstance(one, BadImage)}
    for first in (one for one in found.values() if isinstance(one, BadImage)):
        bad = len(found) - len(sizes)
        raise DataError(f"{bad} of {len(found)} training images cannot be used, first {first}")
    if max_prompt_tokens is None:
        return samples
    words = len(processor.tokenizer(chat_text(processor, prompt))["input_ids"]) - 1
    images = processor.image_processor
    tokens = {
        name: words + images.get_number_of_image_patches(height, width) // images.merge_size**2
        for name, (width, height) in sizes.items()
    }
    fit = pl.col("image").replace_strict(tokens, return_dtype=pl.Int64) <= max_prompt_tokens
    shown = samples.filter(fit)
    if shown.is_empty():
        raise TrainingError(
            f"grpo.max_prompt_tokens is {max_prompt_tokens}, and the shortest prompt has "
            f"{min(tokens.values())}: raise it, or lower policy.max_pixels"
        )
    if long := [f"{name} ({n})" for name, n in tokens.items() if n > max_prompt_tokens]:
        log.warning(
            "%d of %d training samples are left out, with more tokens than grpo.max_prompt_tokens "
            "%d: %s", samples.height - shown.height, samples.height, max_prompt_tokens,
            ", ".join(long),
        )  # fmt: skip
    return shown
