"""What a training shows while it runs: its log, its progress, its live table."""

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from speciarl.training import callbacks


def table(history):
    """A row for every two updates, of which the second tells the reward."""
    schema = {"step": pl.Int64, "reward": pl.Float64, "specific": pl.Float64, "hits": pl.Int64}
    done = history[1::2]
    rows = [(entry["step"] - 2, entry["reward"], 1 / 3, 10**7) for entry in done]
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture
def shown(monkeypatch):
    """What the progress is told."""
    told = []

    class Progress:
        def __init__(self, *given):
            told.append(given)
            self.total = given[1]

        def reached(self, *given):
            told.append(given)

    monkeypatch.setattr(callbacks, "Progress", Progress)
    return told


def logger(live=None):
    note = {"reward": "reward {:.2f}", "specific": "{:.0%} specific"}
    return callbacks.LogSteps(table, note=note, updates=2, live=live)


def play(log, rewards, history=(), first=True):
    """TRL's calls over the updates of some steps; the history as it is left."""
    state = SimpleNamespace(
        is_world_process_zero=first, log_history=list(history), max_steps=8,
        global_step=len(history),
    )  # fmt: skip
    log.on_train_begin(None, state, None, model=None)
    for reward in rewards:
        for _ in range(2):
            state.global_step += 1
            state.log_history.append({"step": state.global_step, "reward": reward})
            log.on_log(None, state, None, logs={}, model=None)
    log.on_log(None, state, None, logs={"train_runtime": 3.0})
    return state.log_history


def test_a_step_is_shown_once_after_its_last_update(tmp_path, caplog, shown):
    live = tmp_path / "live" / "run" / "42.csv"
    with caplog.at_level(logging.INFO):
        play(logger(live), [0.5, None])
    assert caplog.messages == [
        "step 1/4 reward=0.5 specific=0.3333 hits=1e+07",
        "step 2/4 specific=0.3333 hits=1e+07",
    ]
    assert shown == [
        ("steps", 4, 0), (1, "reward 0.50, 33% specific"), (2, "33% specific"),
    ]  # fmt: skip
    assert live.read_text() == (
        "step,reward,specific,hits\n0,0.500000,0.333333,10000000\n2,,0.333333,10000000\n"
    )


def test_an_interrupted_training_goes_on_with_its_rows_and_no_others(tmp_path, caplog, shown):
    live = tmp_path / "42.csv"
    history = play(logger(live), [0.1, 0.2, 0.3])
    caplog.clear()
    shown.clear()
    with caplog.at_level(logging.INFO):
        play(logger(live), [0.7], history[:4])  # the third step is lost
    assert pl.read_csv(live).select("step", "reward").rows() == [(0, 0.1), (2, 0.2), (4, 0.7)]
    assert shown[0] == ("steps", 4, 2)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("step 3/4 reward=0.7")


def test_a_new_training_leaves_no_row_of_an_older_one(tmp_path, shown):
    live = tmp_path / "42.csv"
    play(logger(live), [0.1, 0.2])
    play(logger(live), [])
    assert not live.exists()


def test_the_first_process_alone_shows_anything(tmp_path, caplog, shown):
    live = tmp_path / "42.csv"
    with caplog.at_level(logging.INFO):
        play(logger(live), [0.5], first=False)
    assert not live.exists() and caplog.messages == [] and shown == []


def test_without_a_file_the_log_and_the_progress_are_there(caplog, shown):
    with caplog.at_level(logging.INFO):
        play(logger(), [0.5])
    assert len(caplog.messages) == 1 and len(shown) == 2


def test_dvc_draws_the_live_tables_as_the_page_says(tmp_path, shown):
    root = Path(__file__).parents[2]
    page = (root / "docs/versioning.md").read_text()
    (command,) = re.findall(r"^(dvc plots show .*?) +#", page, re.MULTILINE)
    for seed in (42, 43):
        play(logger(tmp_path / f"results/live/rft/{seed}.csv"), [0.5, 0.75])
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    in_project = {"shell": True, "cwd": tmp_path, "env": environment}
    subprocess.run("dvc init --no-scm --quiet", check=True, **in_project)
    shutil.copytree(root / ".dvc/plots", tmp_path / ".dvc/plots")
    done = subprocess.run(command, capture_output=True, text=True, **in_project)
    assert done.returncode == 0 and "failed" not in done.stderr, done.stderr
    drawn = (tmp_path / "dvc_plots/index.html").read_text()
    assert drawn.count("tokens_per_second") == 2 * 2  # folded and sorted, in a plot for each seed
    assert drawn.count("0.750000") == 2
