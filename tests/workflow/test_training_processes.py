"""`speciarl train` on two and four processes of a CPU, whole: from launching them to the adapters.

Processes draw other random numbers, so for the comparison completions are drawn by the number of
the rollout (SAMPLER); all else is as users have it.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest
from safetensors.torch import load_file

from tests import tiny

pytestmark = [pytest.mark.chain, pytest.mark.long]

ROOT = Path(__file__).parents[2]
RUN = "models/speciarl"
STORE = "data/verdicts/cache.duckdb"
STEPS = 3

SAMPLER = """
import os, signal, sys

if "train" in sys.orig_argv and ("RANK" in os.environ or "ALONE" in os.environ):
    import torch

    rank = int(os.environ.get("RANK", 0))
    generations = []  # the frame of each call of generate

    def multinomial(probabilities, num_samples, **_):
        frame = sys._getframe(1)
        if not generations or generations[-1] is not frame:
            generations.append(frame)
        if os.environ.get("DIES") == f"{rank} in {len(generations)}":
            os.kill(os.getpid(), signal.SIGKILL)
        if "BY_PROCESS" in os.environ:
            return drawn(probabilities, num_samples)
        length = frame.f_locals["input_ids"].shape[1]
        noise = []
        for place in range(len(probabilities)):
            rollout = rank * len(probabilities) + place
            seed = (len(generations) * 1000 + length) * 1000 + rollout
            generator = torch.Generator().manual_seed(seed)
            noise.append(torch.rand(probabilities.shape[1], generator=generator))
        gumbel = -torch.log(-torch.log(torch.stack(noise)))
        return (probabilities.log() + gumbel).argmax(-1, keepdim=True)

    drawn, torch.multinomial = torch.multinomial, multinomial
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
        | ({"ALONE": "1"} if devices == 1 else {})
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
    assert table(one, "metrics")["reward"].n_unique() > 1
    expected = adapters(one)
    assert max(v.abs().max() for k, v in expected.items() if "lora_B" in k) > 1e-3
    assert max((expected[k] - v).abs().max() for k, v in adapters(several).items()) < 2e-5


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_a_pair_is_judged_once_over_all_processes(devices, trained):
    with duckdb.connect(str(trained[devices] / STORE), read_only=True) as db:
        asked, found = db.execute("SELECT sum(asked), sum(hits + misses) FROM lookups").fetchone()
        stored = db.execute("SELECT class, prediction FROM verdicts").fetchall()
    said = table(trained[devices], "predictions")
    distinct = said.select("class", "prediction").unique().rows()
    assert sorted(stored) == sorted(distinct) and asked == len(distinct)
    assert found == said["count"].sum() > asked


def test_a_killed_process_ends_all_and_the_next_start_goes_on(project, tmp_path):
    """One line within a minute; nothing half-written; the end is that of an undisturbed run."""
    folder, alone = (tiny.copy(project, tmp_path / name) for name in ("killed", "alone"))
    drawn = {"BY_PROCESS": "1"}  # by the random numbers of each process, which have to be restored
    started = time.monotonic()
    (line,) = train(folder, devices=2, code=1, environment=drawn | {"DIES": f"1 in {STEPS}"})
    assert time.monotonic() - started < 120  # its imports included
    assert line == (
        "error: process 1 of 2 was ended by SIGKILL, and the others with it: start again, which "
        "goes on from the last checkpoint"
    )
    assert not (folder / RUN).exists() and not (folder / "results/training").exists()
    (work,) = (folder / "work/train/speciarl").iterdir()
    assert {path.parent.name for path in work.glob("checkpoint-*/progress.json")} == {
        f"checkpoint-{step}" for step in range(1, STEPS)
    }
    with duckdb.connect(str(folder / STORE), read_only=True) as db:
        assert db.execute("SELECT max(step) FROM lookups").fetchone() == (STEPS - 2,)

    (line,) = train(folder, devices=1, code=1)
    assert "is of a training on 2 devices, this one has 1: set training.devices to 2" in line
    train(folder, devices=2, environment=drawn)
    assert "going on from checkpoint-2" in (folder / "logs/train/speciarl.log").read_text()
    train(alone, devices=2, environment=drawn)
    for name in ("predictions", "verdicts", "metrics"):
        assert table(folder, name).equals(table(alone, name))
    weights = [(one / RUN / "1/adapter_model.safetensors").read_bytes() for one in (folder, alone)]
    assert weights[0] == weights[1]
    assert not list((folder / "work/train").glob("*/*/checkpoint-*"))


def test_a_fault_of_one_process_is_one_line(project, tmp_path):
    """Of the first alone: its store cannot be made. The other does not wait for ever."""
    folder = tiny.copy(project, tmp_path / "faulty")
    (folder / STORE).mkdir()
    (line,) = train(folder, devices=2, code=1)
    assert line.startswith(f"error: process 0 of 2 failed: {STORE} cannot be opened")
    assert not (folder / RUN).exists()


def test_the_supervised_baseline_is_trained_by_two(project, tmp_path):
    folder = tiny.copy(project, tmp_path / "supervised")
    train(folder, run="sft", devices=2)
    assert table(folder, "metrics", "sft").height == 2  # 8 images, 4 a step
    assert (folder / "models/sft/42/adapter_model.safetensors").is_file()
