"""The base policy of all runs: a given model directory, or the miniature, trained here."""

from pathlib import Path
from typing import Any

import torch

from speciarl.config import Policy
from speciarl.errors import DataError
from speciarl.policy.loading import check_model, load_processor, note_source


def build_policy(
    into: Path,
    settings: Policy,
    *,
    work: Path,
    threads: int,
    **drawn: Any,
) -> None:
    """Fill `into` with the base policy.

    Args:
        settings: the `policy` section.
        work: for the checkpoints of an unfinished training.
        threads: processor threads to train with.
        drawn: what the miniature's images are like, as `Pretraining` takes it.
    """
    torch.set_num_threads(threads)
    if settings.path is not None:
        take_model(Path(settings.path), into)
        return
    from speciarl.policy.miniature.pretraining import Pretraining, pretrain

    values = settings.model_dump(exclude={"source", "path"})
    pretrain(into, Pretraining(**drawn, **values), work=work)


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
