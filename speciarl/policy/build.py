"""The base policy of all runs: a given model directory, or the miniature, trained here."""

from pathlib import Path

import torch

from speciarl.config import Policy
from speciarl.errors import DataError
from speciarl.policy.loading import check_model, load_processor, note_source


def build_policy(
    into: Path,
    settings: Policy,
    *,
    image_size: int,
    ambiguous_share: float,
    work: Path,
    threads: int,
) -> None:
    """Fill `into` with the base policy.

    Args:
        settings: the `policy` section.
        image_size: edge of the miniature's images in pixels.
        ambiguous_share: share of them whose class cannot be seen.
        work: for the checkpoints of an unfinished training.
        threads: processor threads to train with.
    """
    torch.set_num_threads(threads)
    if settings.path is not None:
        take_model(Path(settings.path), into)
        return
    from speciarl.policy.miniature.pretraining import Pretraining, pretrain

    values = settings.model_dump(exclude={"source", "path"})
    lessons = Pretraining(image_size=image_size, ambiguous_share=ambiguous_share, **values)
    pretrain(into, lessons, work=work)


def take_model(source: Path, into: Path) -> None:
    """Let `into` stand for a model directory, after checking that it can be loaded.

    Raises:
        DataError: there is no such directory, or it holds no policy.
    """
    if not source.is_dir():
        raise DataError(f"policy.path {source} is not a directory: put a Qwen2.5-VL there")
    check_model(source)
    load_processor(source)
    note_source(source, into)
