"""Reporters: TRL is told of them, a missing one is refused, and none trains a run again."""

import sys
from types import SimpleNamespace

import pytest

from speciarl.config import Training
from speciarl.errors import TrainingError
from speciarl.training import reporting, run
from speciarl.training.job import Inputs, Job, Settings


def job_with(names, live, seed=7):
    settings = Settings(run={"method": "sft"}, verifier={}, training={"report_to": names})
    return Job("rft", seed, settings, Inputs(live.parent), live, live, live=live)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    given = {}
    monkeypatch.setattr(reporting, "os", SimpleNamespace(environ=given))
    return given


@pytest.fixture
def wandb(monkeypatch):
    finished = []
    monkeypatch.setitem(
        sys.modules, "wandb", SimpleNamespace(finish=lambda: finished.append("run"))
    )
    return finished


def test_every_seed_is_a_run_of_its_own_and_leaves_its_files_with_the_live_table(
    tmp_path, wandb, environment
):
    job = job_with(["tensorboard", "wandb"], tmp_path / "live/rft/7.csv")
    assert reporting.reporting_arguments(job) == {
        "report_to": ["tensorboard", "wandb"], "run_name": "rft-7", "project": "speciarl",
    }  # fmt: skip
    files = tmp_path / "live/rft/7"
    assert files.is_dir() and wandb == ["run"]  # of the seed before
    assert environment == {
        "WANDB_PROJECT": "speciarl", "TENSORBOARD_LOGGING_DIR": str(files),
        "WANDB_DIR": str(files.parent),
    }  # fmt: skip


def test_a_project_of_the_users_own_stays(tmp_path, environment):
    environment["WANDB_PROJECT"] = "theirs"
    reporting.reporting_arguments(job_with(["tensorboard"], tmp_path / "7.csv"))
    assert environment["WANDB_PROJECT"] == "theirs"


def test_without_reporters_nothing_is_made(tmp_path, wandb, environment):
    given = reporting.reporting_arguments(job_with([], tmp_path / "live/7.csv"))
    assert given["report_to"] == []
    assert list(tmp_path.iterdir()) == [] and environment == {} and wandb == []


def test_a_reporter_that_is_not_installed_is_one_line_before_anything_is_read(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(reporting, "find_spec", lambda name: None if name == "trackio" else name)
    settings = Settings(
        run={"method": "grpo"}, verifier={}, training={"report_to": ["wandb", "trackio"]}
    )
    nowhere = tmp_path / "nowhere"
    outputs = run.Outputs(nowhere, nowhere, nowhere, nowhere, nowhere)
    with pytest.raises(TrainingError) as refused:
        run.train("rft", settings, Inputs(nowhere, base=nowhere), outputs, threads=1)
    assert str(refused.value) == (
        "training.report_to names trackio, which is not installed: `pip install trackio`, or "
        "leave it out"
    )
    assert list(tmp_path.iterdir()) == []


def test_who_is_shown_the_metrics_is_no_reason_to_train_again():
    plain = Settings(run={}, verifier={}).plain()
    told = Settings(run={}, verifier={}, training={"report_to": ["wandb"]}).plain()
    assert told == plain
    assert Training().report_to == []
