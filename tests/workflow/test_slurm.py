"""The chain through a real Slurm: a local run's bytes, though a job is cancelled on the way."""

import time

import pytest

from tests.workflow.slurm import Slurm, missing
from tests.workflow.test_chain import artifacts

pytestmark = [pytest.mark.chain, pytest.mark.slurm]

PROFILE = ("snakemake", "--profile", "workflow/profiles/slurm")
QUICK = ("--jobs", "3", "--latency-wait", "5", "--seconds-between-status-checks", "1")
SMALLER = {
    "datasets": {"splits": {"cub200": "official"}, "folders": {}},
    "groups": {"seen": ["cub200"]},
    "training_sets": {"cub200": {"datasets": ["cub200"], "size": 24}},
    "policy": {"pretrain_steps": 40, "habit_steps": 20},
    "runs": {
        "zero_shot": {},
        "speciarl": {"method": "grpo", "num_generations": 4, "seeds": [42]},
    },
}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if absent := missing():
        pytest.skip(f"needs {', '.join(absent)}: on Debian, apt-get install slurm-wlm munge")
    try:
        with Slurm(tmp_path_factory.mktemp("slurm")) as running:
            yield running
    except RuntimeError as error:
        pytest.skip(str(error))


def test_a_cluster_makes_what_one_machine_makes(slurm, project, tmp_path, monkeypatch):
    project.change(**SMALLER)
    local = project.copy(tmp_path / "local")
    local.snakemake("all")

    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    process = project.start(*PROFILE, *QUICK, "--", "all")
    checkpoints = project.folder / "work/train/speciarl"
    deadline = time.monotonic() + 600
    while not list(checkpoints.glob("*/checkpoint-*/progress.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (training,) = slurm.ask(
        "squeue", "--noheader", "--states=running", "--name=train", "--format=%i"
    ).split()
    slurm.ask("scancel", training)
    output, _ = process.communicate(timeout=900)

    assert process.returncode == 0, output
    assert f"external_jobid: {training}" in output, "Snakemake names the job that was cancelled"
    assert "going on from checkpoint" in (project.folder / "logs/train/speciarl.log").read_text()
    assert artifacts(project) == artifacts(local)
    jobs = slurm.ask("squeue", "--noheader", "--states=all", "--format=%j %T").splitlines()
    assert sorted(one for one in jobs if one.startswith("train")) == [
        "train CANCELLED", "train COMPLETED", "train COMPLETED",
    ]  # fmt: skip
    assert {one.split()[0] for one in jobs} == {
        "manifest", "build_taxonomy", "precompute_verdicts", "build_policy",
        "train", "predict", "judge", "score", "report",
    }  # fmt: skip
