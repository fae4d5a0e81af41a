"""Checkpoints of the miniature's pretraining: kept when killed, exact, and of one setting only."""

import logging
import signal
import subprocess
import sys

import pytest
import torch

from speciarl.config.data import Miniature
from speciarl.config.learning import Policy
from speciarl.policy.miniature import checkpoint
from speciarl.policy.miniature.pretraining import pretrain

TINY = Policy(
    images_per_class=1, pretrain_steps=4, habit_steps=3, batch_size=4, learning_rate=2e-3, seed=0
)
SHOWN = Miniature(image_size=28, ambiguous_share=0.4)

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from speciarl.config.data import Miniature
from speciarl.config.learning import Policy
from speciarl.policy.miniature import checkpoint
from speciarl.policy.miniature.pretraining import pretrain

def kill(step, loss):
    if step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
checkpoint.EVERY = 0
pretrain(Path("model"), {settings}, work=Path("work"), on_step=kill)
"""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(folder, work, settings=TINY):
    """The bytes of every file of the model, and the steps that were made."""
    steps = []
    pretrain(folder, settings, SHOWN, work=work, on_step=lambda step, _: steps.append(step))
    return {path.name: path.read_bytes() for path in folder.iterdir()}, steps


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    torch.set_num_threads(1)
    return trained(folder / "model", folder / "work")[0]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder in which a pretraining was killed after its fifth step."""
    folder = tmp_path_factory.mktemp("killed")
    script = KILLED.replace("{settings}", f"{TINY!r}, {SHOWN!r}")
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return folder


def left_by(killed, work):
    (kept,) = (killed / "work").iterdir()
    work.mkdir()
    return work / kept.name, kept.read_bytes()


def test_a_killed_pretraining_goes_on_to_the_same_bytes(killed, undisturbed, tmp_path):
    path, content = left_by(killed, tmp_path / "work")
    path.write_bytes(content)
    model, steps = trained(tmp_path / "model", tmp_path / "work")
    assert checkpoint.EVERY <= 60  # seconds that a kill costs
    assert steps == [5, 6]
    assert model == undisturbed
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_named_and_not_used(damage, killed, undisturbed, tmp_path, caplog):
    path, content = left_by(killed, tmp_path / "work")
    half = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:half],
            "flipped": content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :],
            "empty": b"",
            "text": b"no checkpoint",
        }[damage]
    )
    with caplog.at_level(logging.WARNING):
        model, steps = trained(tmp_path / "model", tmp_path / "work")
    assert steps == [*range(7)]
    assert model == undisturbed
    assert path.name in caplog.text and "starting anew" in caplog.text


def test_a_checkpoint_of_other_settings_is_not_used(killed, tmp_path):
    path, content = left_by(killed, tmp_path / "work")
    path.write_bytes(content)
    other = TINY.model_copy(update={"seed": 1})
    assert trained(tmp_path / "model", tmp_path / "work", other)[1] == [*range(7)]


def test_the_learning_rate_warms_up_and_falls_to_zero(monkeypatch, tmp_path):
    rates = []

    class Optimizer(torch.optim.AdamW):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Optimizer)
    longer = {"pretrain_steps": 30, "habit_steps": 12, "batch_size": 1}
    trained(tmp_path / "model", tmp_path / "work", TINY.model_copy(update=longer))
    assert rates[:3] == [0, 1e-3, 2e-3]  # a twentieth of the steps
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[22] == pytest.approx(1e-3)  # half a cosine
    assert len(rates) == 42 and 0 < rates[-1] < 1e-5
