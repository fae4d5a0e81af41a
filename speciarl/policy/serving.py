"""Model directories that vLLM can load: with the stock processor."""

from pathlib import Path

from transformers import Qwen2_5_VLProcessor

from speciarl.files import atomic_directory
from speciarl.policy.loading import files_of, image_only, load_model, load_processor


def servable(base: Path, into: Path) -> Path:
    """A directory with a base policy for vLLM, which needs torchvision.

    Args:
        into: where a copy goes, if one is needed; taken as it is where it exists.

    Returns:
        The base where vLLM can take its processor, else `into`.
    """
    base = files_of(base)
    if not image_only(base):
        return base
    if not into.exists():
        with atomic_directory(into) as folder:
            load_model(base).save_pretrained(folder)
            stock_processor(base).save_pretrained(folder)
    return into


def pixel_limits(base: Path) -> dict[str, int]:
    """vLLM's `mm_processor_kwargs` for images of the size that `load_processor` gives them."""
    size = load_processor(base).image_processor.size
    # transformers heeds either only beside the other
    return {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}


def stock_processor(directory: Path) -> Qwen2_5_VLProcessor:
    """The processor of a model directory with its video part, made up where it was left out.

    vLLM constructs the stock processor, video part and all, also where no video is ever shown.
    """
    if not image_only(directory):
        return load_processor(directory)
    # Exists only where torchvision does.
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    saved = load_processor(directory)
    images = saved.image_processor
    videos = Qwen2VLVideoProcessor(
        patch_size=images.patch_size,
        merge_size=images.merge_size,
        temporal_patch_size=images.temporal_patch_size,
        size=dict(images.size),
    )
    return Qwen2_5_VLProcessor(images, saved.tokenizer, videos, chat_template=saved.chat_template)
