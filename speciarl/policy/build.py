"""The base policy of all runs: a given model, or the miniature, trained here."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image

from speciarl.config import Policy
from speciarl.config.data import Miniature
from speciarl.errors import DataError, one_line
from speciarl.policy.chat import chat_text
from speciarl.policy.loading import check_model, load_processor, note_loading, note_source


def build_policy(
    into: Path, settings: Policy, shown: Miniature, *, work: Path, threads: int
) -> None:
    """Fill `into` with the base policy.

    Args:
        shown: the `miniature` section: what the images are like that the miniature sees.
        work: for the checkpoints of an unfinished training.
    """
    torch.set_num_threads(threads)
    note_loading(settings, into)
    if settings.path is not None:
        take_model(Path(settings.path), into)
        return
    if settings.source == "hub":
        assert settings.name and settings.revision  # the section sees to it
        take_model(from_hub(settings.name, settings.revision), into)
        return
    from speciarl.policy.miniature.pretraining import pretrain

    pretrain(into, settings, shown, work=work)


def from_hub(name: str, revision: str) -> Path:
    """A model in the cache of the Hugging Face hub, downloaded where it is not there yet.

    Raises:
        DataError: it is neither in the cache nor can it be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:  # or only a part of it is there
        pass
    # This process is told to stay offline: another one fetches.
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    command = [sys.executable, "-m", "huggingface_hub.cli.hf", "download", name, "--quiet"]
    done = subprocess.run(
        [*command, "--revision", revision], env=environment, text=True, capture_output=True
    )
    if done.returncode:
        print(done.stderr)
        raise DataError(
            f"policy.name {name} is not in the cache of the Hugging Face hub and cannot be had "
            "from it: make models/base where there is a network, or set policy.source: directory"
        )
    return Path(done.stdout.splitlines()[-1])


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
