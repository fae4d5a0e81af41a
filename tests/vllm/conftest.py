"""What the tests of vLLM share: the miniature policy, a tiny judge, and a server that serves it.

They need the environment that `make test-vllm` makes, and are skipped in any other.
"""

import importlib.util
import os

import pytest

from tests.vllm.judge import write_judge
from tests.vllm.server import Server

# Read by vLLM when it is imported, here or by a server: little memory, nothing sent home.
os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")

IMAGE_SIZE = 56


@pytest.fixture(scope="session", autouse=True)
def _vllm_is_installed():
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("needs vLLM: run `make test-vllm`")


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    """Directory of a miniature policy that knows domains and groups but hardly any class."""
    import torch

    from speciarl.policy.miniature.pretraining import pretrain

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("policy")
    pretrain(
        folder,
        image_size=IMAGE_SIZE,
        undecidable=0.4,
        pictures_per_class=8,
        knowing_steps=300,
        habit_steps=60,
        batch_size=24,
        peak_learning_rate=2e-3,
        seed=0,
    )
    return folder


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """Directory of a randomly initialised chat model."""
    folder = tmp_path_factory.mktemp("judge")
    write_judge(folder)
    return folder


@pytest.fixture(scope="session")
def server(judge, tmp_path_factory):
    """A server of the judge, up; a test that kills it starts it again."""
    server = Server(judge, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()
