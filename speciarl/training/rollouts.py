"""What generates completions while training: the processes that train, or a vLLM server of TRL's.

The server loads the base policy; before each step TRL sends it the policy's weights with the
adapters merged in, over NCCL, then sends images and prompts over HTTP (trl 1.16, `vllm_client`).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests

from speciarl.config import Training
from speciarl.errors import TrainingError, one_line

TAKES_WEIGHTS = {"VLLM_SERVER_DEV_MODE": "1"}
"""The endpoints that weights are sent to are there in vLLM's development mode only."""
ANSWER_SECONDS = 60.0
"""For a server that is said to be up."""


def rollout_arguments(training: Training) -> dict[str, Any]:
    """TRL's arguments on what generates completions.

    Raises:
        TrainingError: vLLM, whose parts TRL's client uses, is not installed; or no server is named.
    """
    if training.rollouts == "transformers":
        return {}
    if find_spec("vllm") is None:
        raise TrainingError(
            "training.rollouts: vllm-server needs vLLM beside the training, too: install "
            "speciarl[vllm], or take transformers"
        )
    if training.server is None:
        raise TrainingError(
            "training.server: expected the address of a server, since this training was started by "
            "a launcher: start one by `trl vllm-serve --model DIRECTORY`, and name it"
        )
    return {
        "use_vllm": True,
        "vllm_mode": "server",
        "vllm_server_base_url": training.server,
        "vllm_server_timeout": ANSWER_SECONDS,
        "vllm_importance_sampling_correction": False,
    }


@contextmanager
def reaching(training: Training) -> Iterator[None]:
    """Tell a server that is gone from faults of ours; TRL tries again for a minute before."""
    try:
        yield
    except requests.RequestException as error:
        raise TrainingError(
            f"the rollout server at {training.server} cannot be reached "
            f"({one_line(error)[:100]}): see that it is up and start again, which goes on from the "
            "last checkpoint"
        ) from error


def server_command(
    model: Path, pixels: dict[str, int], port: int, devices: int, host: str = "127.0.0.1"
) -> list[str]:
    """The command of `trl vllm-serve`, which is vLLM's own server with what TRL needs of it.

    Args:
        pixels: limits of an image's pixels, as the training has them (`serving.pixel_limits`).
    """
    from trl.scripts.vllm_serve import ScriptArguments, build_command

    arguments = ScriptArguments(
        model=str(model), host=host, port=port, tensor_parallel_size=devices,
        dtype="bfloat16",
    )  # fmt: skip
    return [*build_command(arguments), "--mm-processor-kwargs", json.dumps(pixels)]
