"""What the tests of vLLM share: the miniature policy, a tiny judge, and a server that serves it.

They need the environment that `make test-vllm` makes, and are skipped in any other.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.datasets.miniature.render import render
from speciarl.policy.miniature.curriculum import all_classes
from tests.vllm.judge import write_judge
from tests.vllm.server import Server

# Read by vLLM when it is imported, here or by a server: little memory, nothing sent home.
os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")

FACTS = Path(__file__).parents[2] / "data/taxonomies"
CLASSES = {name: [one.name for one in classes] for name, classes in catalogue().items()}
IMAGE_SIZE = 56


@pytest.fixture(scope="session", autouse=True)
def _vllm_is_installed():
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("needs vLLM: run `make test-vllm`")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """Requests to loopback go there, whatever proxy the environment names."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    """Directory of a miniature policy that knows domains and groups but hardly any class."""
    import torch

    from speciarl.config.data import Miniature
    from speciarl.config.learning import Policy
    from speciarl.policy.miniature.pretraining import pretrain

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("policy")
    settings = Policy(images_per_class=8, pretrain_steps=150, habit_steps=300, batch_size=24)
    shown = Miniature(image_size=IMAGE_SIZE, ambiguous_share=0.4)
    pretrain(folder, settings, shown, work=tmp_path_factory.mktemp("work"))
    return folder


@pytest.fixture(scope="session")
def images():
    """One image of every class, in the order of `all_classes`."""
    rng = np.random.default_rng(0)
    return [render(one, rng, ambiguous=False, size=IMAGE_SIZE) for one in all_classes()]


@pytest.fixture(scope="session")
def manifest(images, tmp_path_factory):
    """A manifest of these images, which lie beside it."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for number, (one, image) in enumerate(zip(all_classes(), images, strict=True)):
        name = f"{number:03}.png"
        image.save(folder / name)
        rows.append((name, one.dataset, "test", name, one.name))
    names = ["sample_id", "dataset", "split", "image", "class_name"]
    path = folder / "mixed.parquet"
    pl.DataFrame(rows, orient="row", schema=names).write_parquet(path)
    return path


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """Directory of a randomly initialized chat model."""
    folder = tmp_path_factory.mktemp("judge")
    write_judge(folder)
    return folder


@pytest.fixture(scope="session")
def _server(judge, tmp_path_factory):
    server = Server(judge, tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def server(_server):
    """A server of the judge, up; a test may kill it."""
    if not _server.healthy():
        _server.start()
    return _server
