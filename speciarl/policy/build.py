"""The base policy of all runs: a given model directory, or the miniature, trained here."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from speciarl.config import Policy
from speciarl.errors import DataError, one_line
from speciarl.policy.chat import chat_text
from speciarl.policy.loading import (
    Loading,
    check_model,
    load_processor,
    note_loading,
    note_source,
)


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
    note_loading(settings, into)
    if settings.path is not None:
        take_model(Path(settings.path), into)
        return
    from speciarl.policy.miniature.pretraining import Pretraining, pretrain

    values = settings.model_dump(exclude={"source", "path", *Loading.model_fields})
    pretrain(into, Pretraining(**drawn, **values), work=work)


def take_model(source: Path, into: Path) -> None:
    """Let `into` stand for a model directory, after a prompt and an image have been through it.

    Raises:
        DataError: there is no such directory, or it holds no policy, or not all of one.
    """
    if not source.is_dir():
        raise DataError(f"policy.path {source} is not a directory: put a Qwen2.5-VL there")
    check_model(source)
    _try_out(source)
    note_source(source, into)


def _try_out(source: Path) -> None:
    try:
        processor = load_processor(source)
        text = chat_text(processor, "plain")
        encoded = processor(images=[Image.new("RGB", (56, 84))], text=[text])
    except Exception as error:  # whatever transformers makes of files that it does not expect
        raise DataError(
            f"{source} cannot be asked about an image ({one_line(error)}): expected the files of "
            "its processor, tokenizer and chat template beside the weights"
        ) from error
    if processor.image_token_id not in encoded["input_ids"][0]:
        raise DataError(f"{source}: its chat template leaves no place for an image")
