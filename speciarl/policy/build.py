"""The base policy of all runs: a given model directory, or the miniature, trained here."""

from pathlib import Path

import torch

from speciarl.config import Policy
from speciarl.config.data import Miniature
from speciarl.errors import DataError
from speciarl.policy.loading import check_model, load_processor, note_source


def build_policy(
    into: Path, settings: Policy, shown: Miniature, *, work: Path, threads: int
) -> None:
    """Fill `into` with the base policy.

    Args:
        settings: the `policy` section.
        shown: the `miniature` section: what the images are like that the miniature sees.
        work: for the checkpoints of an unfinished training.
        threads: processor threads to train with.
    """
    torch.set_num_threads(threads)
    if settings.path is not None:
        take_model(Path(settings.path), into)
        return
    from speciarl.policy.miniature.pretraining import pretrain

    pretrain(into, settings, shown, work=work)


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
