"""GPUs by fake lists: who gets which, who waits, and what a job sees of them."""

import os
import subprocess
import sys
import time

import pytest

from speciarl import devices
from speciarl.config import load, parse
from speciarl.config.reading import merged, read
from speciarl.devices import own_gpus, visible
from speciarl.errors import ConfigError
from tests.presets import ROOT, files_of

HOLD = """
import sys
from pathlib import Path
from speciarl.devices import own_gpus
with own_gpus(int(sys.argv[1]), Path(sys.argv[2])) as chosen:
    print(",".join(chosen), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def eight(monkeypatch):
    """A machine whose GPUs are named by CUDA_VISIBLE_DEVICES, whatever this one has."""
    monkeypatch.setattr(devices, "identities", dict)
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")


def holder(count, locks, listed="0,1,2,3,4,5,6,7"):
    """Another job, with what it got; it holds that until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(count), str(locks)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": listed},
    )  # fmt: skip
    return process, process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("named", "listed", "expected"),
    [
        (None, {}, []),
        (None, {"0": "GPU-a", "1": "GPU-b"}, ["0", "1"]),
        ("", {"0": "GPU-a"}, []),
        ("-1", {"0": "GPU-a"}, []),
        ("3,1", {"0": "GPU-a"}, ["3", "1"]),
        ("MIG-x", {}, ["MIG-x"]),
    ],
)
def test_a_job_may_use_what_its_environment_names_or_else_all(monkeypatch, named, listed, expected):
    monkeypatch.setattr(devices, "identities", lambda: listed)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible() == expected


def test_the_machine_is_asked_for_its_gpus(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-a'\necho '1, GPU-b'\n")
    program.chmod(0o755)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert devices.identities.__wrapped__() == {"0": "GPU-a", "1": "GPU-b"}


def test_jobs_side_by_side_never_meet(tmp_path):
    """Two trainings and an engine on eight GPUs."""
    first, ours = holder(4, tmp_path)
    second, theirs = holder(2, tmp_path)
    with own_gpus(1, tmp_path) as chosen:
        assert (ours, theirs, chosen) == ("0,1,2,3", "4,5", ["6"])
        told = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
        child = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True)
        assert child.stdout.strip() == "6"
    first.communicate("")
    second.communicate("")


def test_gpus_of_one_number_in_two_jobs_are_told_apart_by_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(devices, "identities", lambda: {"0": "GPU-a"})
    with own_gpus(1, tmp_path):
        monkeypatch.setattr(devices, "identities", lambda: {"0": "GPU-b"})
        with own_gpus(1, tmp_path) as chosen:
            assert chosen == ["0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["GPU-a", "GPU-b"]


def test_a_job_waits_for_all_that_it_needs_and_holds_nothing_meanwhile(tmp_path):
    busy, held = holder(1, tmp_path, "0,1")
    waiting = subprocess.Popen(
        [sys.executable, "-c", HOLD, "2", str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "0,1"},
    )  # fmt: skip
    time.sleep(0.5)
    other, got = holder(1, tmp_path, "0,1")  # the one that the waiting job must not keep
    assert (held, got) == ("0", "1")
    busy.communicate("")
    other.kill()  # and the lock of a dead job is free
    other.wait()
    assert waiting.stdout.readline().strip() == "0,1"
    _, said = waiting.communicate("")
    assert said.count("waits for 2 of the GPUs 0, 1, which other jobs hold") == 1


def test_a_job_that_takes_none_sees_none(tmp_path):
    with own_gpus(0, tmp_path) as chosen:
        assert chosen == []
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_more_gpus_than_there_are_is_one_line(tmp_path):
    with (
        pytest.raises(ConfigError, match="the job takes 9 GPUs and 8 are here"),
        own_gpus(9, tmp_path),
    ):
        pass


DIRECTORY = {"policy": {"source": "directory", "path": "x"}, "datasets": {"mixed_scale": True}}
LOCAL_JUDGE = {"backend": "llm", "model": {"kind": "directory", "path": "x"}}


@pytest.mark.parametrize(
    ("over", "stage", "run", "expected"),
    [
        ({}, "train", "speciarl", 0),
        ({}, "predict", "speciarl", 0),
        ({"evaluation": {"engine": "vllm"}}, "predict", "speciarl", 1),
        (DIRECTORY, "predict", "zero_shot", 1),
        (DIRECTORY, "train", "zero_shot", 0),
        (DIRECTORY | {"training": {"devices": 4}}, "train", "speciarl", 4),
        (merged(DIRECTORY, {"policy": {"device": "cpu"}}), "train", "speciarl", 0),
        (DIRECTORY, "judge", "speciarl", 0),
        (DIRECTORY | {"judge": LOCAL_JUDGE}, "judge", "speciarl", 1),
        ({"judge": LOCAL_JUDGE}, "judge", "speciarl", 0),
        (DIRECTORY | {"verifier": LOCAL_JUDGE}, "precompute_verdicts", None, 0),
        (
            DIRECTORY | {"verifier": LOCAL_JUDGE | {"precompute_model": True}},
            "precompute_verdicts", None, 1,
        ),
        ({"resources": {"train": {"gpu": 3}}}, "train", "speciarl", 3),
        ({"runs": {"sft": {"resources": {"train": {"gpu": 2}}}}}, "train", "sft", 2),
        ({"runs": {"sft": {"resources": {"train": {"gpu": 2}}}}}, "train", "rft", 0),
    ],
)  # fmt: skip
def test_gpus_follow_from_the_sections_where_no_row_counts_them(over, stage, run, expected):
    assert parse(merged(read(ROOT / "params.yaml"), over)).job(stage, run).gpu == expected


def test_the_papers_training_takes_its_servers_gpus_too():
    paper = load(files_of("paper"))
    taken = {name: paper.job("train", name).gpu for name in ("zero_shot", "sft", "speciarl")}
    assert taken == {"zero_shot": 0, "sft": 4, "speciarl": 6}
    assert (paper.job("train", "speciarl").threads, paper.job("judge", "speciarl").gpu) == (48, 0)


def test_what_a_job_takes_is_no_other_experiment():
    over = {"resources": {"train": {"memory": 9}}, "runs": {"sft": {"resources": {}}}}
    mine = parse(merged(read(ROOT / "params.yaml"), over))
    assert mine.model_dump() == load([ROOT / "params.yaml"]).model_dump()


def test_a_wrong_row_of_a_run_is_named():
    with pytest.raises(ConfigError, match=r"runs.sft.resources.train.gpu is -1"):
        over = {"runs": {"sft": {"resources": {"train": {"gpu": -1}}}}}
        parse(merged(read(ROOT / "params.yaml"), over))
