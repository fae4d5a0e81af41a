"""How the training of a run is started: which devices it sees, by what command, why it failed."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import accelerate.commands.launch
import pytest
import torch
import yaml
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from speciarl.config import load, parse
from speciarl.errors import ConfigError, DataError, TrainingError
from speciarl.paths import PROJECT
from speciarl.training import launch, rollouts
from speciarl.training.job import Inputs
from speciarl.training.task import inputs_of, outputs_of, settings_of, training_settings

ROOT = Path(__file__).parents[2]


def params_of(**training):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    return parse(values | {"training": training})


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What a start does: ("train", GPUs seen) in this process, or the launcher's arguments."""
    done = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(launch, "require_inputs", lambda inputs: None)
    monkeypatch.setattr(
        launch, "train",
        lambda *given: done.append(("train", os.environ.get("CUDA_VISIBLE_DEVICES"), given)),
    )  # fmt: skip
    monkeypatch.setattr(
        accelerate.commands.launch, "launch_command",
        lambda given: done.append((given, os.environ.get("CUDA_VISIBLE_DEVICES"))),
    )  # fmt: skip

    def start(run, params, gpus=0, visible=None):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        launch.start(run, params, threads=3)
        return done.pop()

    return start


@pytest.mark.parametrize(
    ("gpus", "visible", "seen"),
    [(0, None, None), (1, None, "0"), (8, None, "0"), (2, "5,7", "5"), (1, "GPU-1f", "GPU-1f")],
)
def test_one_process_sees_one_gpu_of_those_that_there_are(gpus, visible, seen, started):
    kind, devices, given = started("speciarl", params_of(), gpus, visible)
    assert (kind, devices) == ("train", seen)
    params = params_of()
    settings, inputs = settings_of(params, "speciarl"), inputs_of(params, "speciarl")
    assert given == ("speciarl", settings, inputs, outputs_of("speciarl"), 3)


@pytest.mark.parametrize("way", ["ddp", "fsdp", "zero3"])
def test_several_are_started_by_accelerate_with_the_file_of_the_name(way, started):
    given, devices = started("speciarl", params_of(devices=2, accelerate=way), 4, "4,5,6,7")
    assert devices == "4,5"
    assert (given.config_file, given.num_processes) == (f"workflow/accelerate/{way}.yaml", 2)
    assert (given.module, given.training_script) == (True, "speciarl.cli.main")
    command = ["train", "speciarl", "--here", "--params", f"work/train/speciarl.{os.getpid()}.yaml"]
    assert given.training_script_args == [*command, "--threads", "3"]
    accelerate.commands.launch.load_config_from_file(str(ROOT / given.config_file))
    assert not list(PROJECT.glob("work/train/*.yaml"))


def test_the_processes_are_given_the_same_parameters(started, monkeypatch):
    read = []
    monkeypatch.setattr(
        accelerate.commands.launch, "launch_command",
        lambda given: read.append(load([Path(given.training_script_args[4])])),
    )  # fmt: skip
    params = params_of(devices=2)
    with pytest.raises(IndexError):  # nothing noted
        started("speciarl", params)
    assert read == [params]


REFUSED = {
    "more than there are": ({"devices": 16}, 2, "need 16 GPUs, 2 are visible"),
    "sharing out without GPUs": ({"devices": 2, "accelerate": "fsdp"}, 0, "fsdp needs a GPU for"),
    "numbers": ({"devices": 3}, 0, "grpo.prompts_per_step 16 does not divide over 3 processes"),
    "a server needs GPUs": ({"rollouts": "vllm-server"}, 1, "need 2 GPUs, 1 are visible"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_started_is_one_line(name, started):
    training, gpus, line = REFUSED[name]
    with pytest.raises((ConfigError, TrainingError), match=line) as refused:
        started("speciarl", params_of(**training), gpus)
    assert "\n" not in str(refused.value)


def test_a_run_without_training_is_started_here_whatever_the_devices(started):
    assert started("zero_shot", params_of(devices=64), 8)[:2] == ("train", None)


def test_a_process_of_a_launcher_is_one_of_the_training(started, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    ended = []
    monkeypatch.setattr(launch, "end_with_parent", lambda: ended.append(1))
    assert started("speciarl", params_of(devices=2), 8)[:2] == ("train", None)
    assert ended == [1]


def test_what_a_training_begins_with_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as refused:
        launch.start("sft", params_of())
    files = ["models/base", "data/training/cub200.parquet", "data/raw/cub200/files.json"]
    assert str(refused.value).startswith(f"{', '.join(files)}: not there: ")
    assert f"snakemake --cores all -- {' '.join(files)}`" in str(refused.value)


def failure(rank, exitcode, said=None, at=100):
    one = ProcessFailure(rank, 1000 + rank, exitcode, "")
    one.message, one.timestamp = said or one.message, at
    return one


FAILED = {
    "killed": (
        [failure(0, -15), failure(1, -9, at=101)],
        "process 1 of 2 was ended by SIGKILL, and the others with it: start again, which goes on "
        "from the last checkpoint",
    ),
    "a loss of the other": (
        [failure(0, 1, "RuntimeError: Connection closed by peer"), failure(1, -9)],
        "process 1 of 2 was ended by SIGKILL, and the others with it: start again, which goes on "
        "from the last checkpoint",
    ),
    "first of its own": (
        [failure(0, 1, "later", at=102), failure(1, 1, "no such image", at=101)],
        "process 1 of 2 failed: no such image",
    ),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_failure_is_told_by_the_process_that_failed_of_itself(name, started, monkeypatch):
    failures, line = FAILED[name]

    def fail(given):
        raise ChildFailedError("speciarl", {one.local_rank: one for one in failures})

    monkeypatch.setattr(accelerate.commands.launch, "launch_command", fail)
    with pytest.raises(TrainingError) as failed:
        started("speciarl", params_of(devices=2))
    assert str(failed.value) == line


@pytest.mark.parametrize("rollout", ["colocate", "vllm-colocate"])
def test_vllm_within_the_training_is_refused_with_the_reason(rollout):
    with pytest.raises(ConfigError, match=r"trl/issues/6294\): use vllm-server"):
        params_of(rollouts=rollout)


@pytest.mark.parametrize("server", ["localhost:8000", "http://localhost:8000/v1", "http://a b"])
def test_a_server_is_an_address_without_a_path(server):
    with pytest.raises(ConfigError, match=r"training\.server is"):
        params_of(rollouts="vllm-server", server=server)


def test_a_server_without_a_use_is_refused():
    with pytest.raises(ConfigError, match="server goes with rollouts: vllm-server"):
        params_of(server="http://localhost:8000")


def test_the_server_is_the_one_that_trl_starts():
    command = rollouts.server_command(Path("models/base"), {"max_pixels": 401408}, 8123, 2)
    given = dict(pairwise(command))
    assert given["serve"] == "models/base" and given["--port"] == "8123"
    assert given["--tensor-parallel-size"] == "2" and given["--dtype"] == "bfloat16"
    assert given["--mm-processor-kwargs"] == '{"max_pixels": 401408}'
    assert given["--weight-transfer-config"] == '{"backend": "nccl"}'


def test_settings_are_those_that_the_run_reads():
    params = params_of(devices=2)
    assert set(training_settings(params, "zero_shot")) == {"run"}
    assert set(training_settings(params, "sft")) == {"run", "sft", "lora"}
    of_grpo = training_settings(params, "speciarl")
    assert set(of_grpo) == {"run", "grpo", "lora", "verifier"}
    assert set(of_grpo["verifier"]) == {"backend", "model", "max_failures"}
    assert settings_of(params, "speciarl").plain() == settings_of(params_of(), "speciarl").plain()
    assert inputs_of(params, "zero_shot") == Inputs(images=PROJECT)


def test_a_training_knows_the_custom_datasets_that_it_trains_on_and_no_others():
    garden = {"garden": {"path": "images/garden"}}
    row = {"method": "grpo", "reward": "dynamic"}
    own = params_of().model_dump()
    own["datasets"]["folders"] = garden
    own["training_sets"] |= {
        "garden": {"datasets": ["garden"]}, "both": {"datasets": ["cub200", "garden"]}
    }  # fmt: skip
    own["runs"] |= {name: row | {"training_set": name} for name in ("garden", "both")}
    params = parse(own)
    assert inputs_of(params, "speciarl") == inputs_of(params_of(), "speciarl")
    for run in ("garden", "both"):
        inputs = inputs_of(params, run)
        assert sorted(inputs.classes) == sorted([*params.datasets.splits, "garden"])
        assert [path.stem for path in inputs.verdicts] == ["garden"], "birds are judged without it"
    assert [str(path) for path in inputs.archives] == ["data/raw/cub200/files.json"]


def test_the_command_names_the_runs_that_there_are(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "speciarl.cli.main", "train", "nobody"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: nobody is not one of the runs: zero_shot, be_specific, ")


def test_rollouts_by_transformers_need_no_arguments():
    assert rollouts.rollout_arguments(params_of().training) == {}


@pytest.mark.parametrize(
    ("installed", "server", "line"),
    [(False, "http://a:1", "needs vLLM beside the training"), (True, None, "address of a server")],
)
def test_what_rollouts_by_a_server_lack_is_named(installed, server, line, monkeypatch):
    monkeypatch.setattr(rollouts, "find_spec", lambda name: "found" if installed else None)
    with pytest.raises(TrainingError, match=line):
        rollouts.rollout_arguments(params_of(rollouts="vllm-server", server=server).training)
