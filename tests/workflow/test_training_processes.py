"""`speciarl train` on two and four processes of a CPU, whole: from launching them to the adapters.

Processes draw other random numbers, so for the comparison completions are drawn by the number of
the rollout (SAMPLER); all else is as users have it.
"""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file

from tests import tiny

pytestmark = pytest.mark.chain

ROOT = Path(__file__).parents[2]
RUN = "models/speciarl"
STEPS = 3

SAMPLER = """
import os, signal, sys

if "train" in sys.orig_argv and ("RANK" in os.environ or "--here" not in sys.orig_argv):
    import torch

    rank = int(os.environ.get("RANK", 0))
    generations = []  # the frame of each call of generate

    def multinomial(probabilities, num_samples, **_):
        frame = sys._getframe(1)
        if not generations or generations[-1] is not frame:
            generations.append(frame)
        if os.environ.get("DIES") == f"{rank} in {len(generations)}":
            os.kill(os.getpid(), signal.SIGKILL)
        length = frame.f_locals["input_ids"].shape[1]
        noise = []
        for place in range(len(probabilities)):
            rollout = rank * len(probabilities) + place
            seed = (len(generations) * 1000 + length) * 1000 + rollout
            generator = torch.Generator().manual_seed(seed)
            noise.append(torch.rand(probabilities.shape[1], generator=generator))
        gumbel = -torch.log(-torch.log(torch.stack(noise)))
        return (probabilities.log() + gumbel).argmax(-1, keepdim=True)

    torch.multinomial = multinomial
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tiny.create(tmp_path_factory.mktemp("tiny") / "project")
    (folder / "sitecustomize.py").write_text(SAMPLER)
    return folder


def train(folder, run="speciarl", devices=1, code=0, environment=(), **grpo):
    grpo = {"steps": STEPS, "updates_per_step": 1, "per_device_batch_size": 4} | grpo
    tiny.change(folder, grpo=grpo, training={"devices": devices})
    done = subprocess.run(
        [sys.executable, "-m", "speciarl.cli.main", "train", run],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": f"{folder}:{ROOT}", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        | dict(environment),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stderr + (folder / f"logs/train/{run}.log").read_text()
    assert not done.stdout
    return done.stderr.splitlines()


@pytest.fixture(scope="module")
def trained(project, tmp_path_factory):
    """Copies in which the run was trained by one, two and four processes."""
    folders = {}
    for devices in (1, 2, 4):
        folders[devices] = tiny.copy(project, tmp_path_factory.mktemp("trained") / str(devices))
        (line,) = train(folders[devices], devices=devices)
        assert line.split()[0] == "train/speciarl"
    return folders


def table(folder, name, run="speciarl"):
    return pl.read_parquet(folder / f"results/training/{run}/{name}.parquet")


def adapters(folder):
    return load_file(folder / RUN / "1/adapter_model.safetensors")


@pytest.mark.parametrize("devices", [2, 4])
def test_several_processes_train_what_one_trains(devices, trained):
    """Completions, verdicts and rewards alike; adapters but for the order of sums."""
    one, several = trained[1], trained[devices]
    assert table(several, "predictions").equals(table(one, "predictions"))
    assert table(several, "verdicts").equals(table(one, "verdicts"))
    counts = pl.exclude("loss", "kl", "learning_rate")
    assert table(several, "metrics").select(counts).equals(table(one, "metrics").select(counts))
    assert table(one, "metrics")["reward"].n_unique() == STEPS
    expected = adapters(one)
    assert max((expected[k] - v).abs().max() for k, v in adapters(several).items()) < 1e-4
