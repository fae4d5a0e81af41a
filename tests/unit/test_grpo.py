"""A GRPO run around TRL: what the trainer is given, how it goes on, and what is kept of it."""

import json
import logging
from types import SimpleNamespace

import polars as pl
import pytest
from PIL import Image

from speciarl.config import Grpo
from speciarl.errors import TrainingError
from speciarl.training import grpo
from speciarl.training.checkpoints import MARK, MarkComplete
from speciarl.training.job import Inputs, Job, Settings
from speciarl.training.schedule import flatten_epochs
from speciarl.verdicts import Pair

SAMPLES = pl.DataFrame(
    {"class_name": [f"class {i}" for i in range(5)], "image": [f"{i}.png" for i in range(5)]}
)
SETTINGS = Settings(
    run={"method": "grpo", "num_generations": 4, "seeds": [9]},
    grpo={
        "steps": 3, "prompts_per_step": 4, "updates_per_step": 2, "per_device_batch_size": 4,
        "checkpoint_every": 2,
    },
    lora={"rank": 3},
    verifier={},
)  # fmt: skip


def counted(step, reward=0.5):
    return {"step": step, "reward": reward, "wrong": 1, "hits": 3}


class Source:
    def __init__(self):
        self.seen = {Pair("b", "y"): 1, Pair("a", "x"): 2}
        self.restored = []

    def restore_seen(self, pairs):
        self.restored += pairs


def bridge_of(source=None, rows=()):
    return SimpleNamespace(source=source, rows=list(rows), predictions=[], processes=1)


class Trainer:
    """Keeps what it is given; a generation batch is one row of counts and two updates."""

    made: list = []  # noqa: RUF012

    def __init__(self, **given):
        self.given = given
        self.model = "adapted"
        self.removed = []
        self.state = SimpleNamespace(
            log_history=[
                {"step": 1, "loss": 1.0, "kl": 0.1, "learning_rate": 3e-5},
                {"step": 2, "loss": 3.0, "kl": 0.3, "learning_rate": 3e-5},
                {"step": 2, "train_loss": 2.0},
            ]
        )
        self.made.append(self)

    def remove_callback(self, kind):
        self.removed.append(kind.__name__)

    def train(self, resume_from_checkpoint):
        self.resumed = resume_from_checkpoint
        self.given["reward_funcs"].rows.append(counted(0))


@pytest.fixture
def trained(monkeypatch, tmp_path):
    saved = []
    monkeypatch.setattr(grpo, "PartsTrainer", Trainer)
    monkeypatch.setattr(grpo, "process_once", lambda processor, most: None)
    monkeypatch.setattr(grpo, "save_adapters", lambda *given: saved.append(given))

    monkeypatch.setattr(Job, "policy", lambda job: ("model", "processor"))
    monkeypatch.setattr(Job, "samples", lambda job: SAMPLES)
    monkeypatch.setattr(Job, "open_image", lambda job, reference: Image.new("RGB", (4, 4)))

    def run(bridge):
        job = Job("name", 9, SETTINGS, Inputs(tmp_path), tmp_path / "work", tmp_path / "into")
        rows = grpo.train_grpo(job, bridge)
        assert saved == [("adapted", tmp_path / "into")]
        return Trainer.made.pop(), rows

    (tmp_path / "work").mkdir()
    return run


def test_the_trainer_is_given_the_schedule_the_reward_and_the_settings(trained, tmp_path):
    bridge = bridge_of()
    trainer, rows = trained(bridge)
    given = trainer.given
    assert (given["model"], given["processing_class"]) == ("model", "processor")
    assert given["reward_funcs"] is bridge
    assert given["peft_config"].r == 3
    args = given["args"]
    assert (args.seed, args.output_dir) == (9, str(tmp_path / "work"))
    assert (args.num_generations, args.per_device_train_batch_size) == (4, 4)
    assert (args.steps_per_generation, args.gradient_accumulation_steps) == (4, 2)
    schedule = flatten_epochs(SAMPLES, 12, 9)
    shown = [given["train_dataset"][i] for i in range(len(given["train_dataset"]))]
    assert [row["class_name"] for row in shown] == schedule["class_name"].to_list()
    assert [row["row"] for row in shown] == list(range(12))
    assert trainer.removed == ["PrinterCallback"] and trainer.resumed is None
    log, mark = given["callbacks"]
    assert (log.bridge, log.steps, log.logged) == (bridge, 3, 0)
    assert (log.progress.unit, log.progress.total, log.progress.first) == ("steps", 3, 0)
    assert isinstance(mark, MarkComplete)
    assert mark.progress() == {"rows": [counted(0)], "predictions": [], "met": []}
    assert rows.row(0, named=True) == {
        **counted(0), "loss": 2.0, "kl": pytest.approx(0.2), "learning_rate": 3e-5,
    }  # fmt: skip


def test_an_interrupted_run_goes_on_with_what_it_had(trained, tmp_path, caplog):
    path = tmp_path / "work" / "checkpoint-4"
    path.mkdir()
    progress = {"rows": [counted(-2)], "predictions": [[0, "a", "x", None, 1]], "met": [["a", "x"]]}
    (path / MARK).write_text(json.dumps(progress))
    source = Source()
    bridge = bridge_of(source)
    with caplog.at_level(logging.INFO):
        trainer, _ = trained(bridge)
    assert trainer.resumed == str(path)
    assert bridge.rows == [counted(-2), counted(0)]
    assert bridge.predictions == progress["predictions"]
    assert source.restored == [Pair("a", "x")]
    log = trainer.given["callbacks"][0]
    assert log.logged == log.progress.first == 1
    assert "going on from checkpoint-4" in caplog.messages
    met = [Pair("a", "x"), Pair("b", "y")]
    assert trainer.given["callbacks"][1].progress()["met"] == met  # in an order that stays


def test_another_process_than_the_first_goes_on_too(trained, tmp_path):
    path = tmp_path / "work" / "checkpoint-4"
    path.mkdir()
    (path / MARK).write_text(json.dumps({"rows": [], "predictions": [], "met": [["a", "x"]]}))
    assert trained(bridge_of())[0].resumed == str(path)


def test_figures_of_a_generation_are_means_over_its_updates():
    history = [
        {"step": step, "loss": float(step), "kl": 10.0 * step, "learning_rate": 1.0}
        for step in range(1, 7)
    ] + [{"step": 6, "train_loss": 0.0}]
    rows = [counted(4), counted(0, None), counted(2)]
    table = grpo.metrics(rows, history, 2)
    assert table.select("step", "reward", "loss", "kl", "learning_rate").rows() == [
        (0, None, 1.5, 15.0, 1.0),
        (2, 0.5, 3.5, 35.0, 1.0),
        (4, 0.5, 5.5, 55.0, 1.0),
    ]
    assert table["wrong"].to_list() == [1, 1, 1]
    assert table.schema["reward"] == pl.Float64
    three = grpo.metrics([counted(0), counted(3)], history, 3)
    assert three["loss"].to_list() == [2.0, 5.0]


def test_a_generation_without_updates_keeps_its_counts():
    table = grpo.metrics([counted(0, None)], [], 1)
    assert table.schema["reward"] == pl.Float64
    assert table.row(0, named=True) == {
        **counted(0, None), "loss": None, "kl": None, "learning_rate": None,
    }  # fmt: skip
    without = grpo.metrics([counted(0)], [{"step": 1, "loss": 1.0}], 1)
    assert (without["loss"].item(), without["kl"].item()) == (1.0, None)


def test_a_generation_is_logged_once(caplog):
    bridge = bridge_of(rows=[counted(0)])
    log = grpo.LogSteps(bridge, 3)
    reached = []
    log.progress = SimpleNamespace(reached=reached.append)
    with caplog.at_level(logging.INFO):
        log.on_step_end(None, None, None, model=None)
        assert caplog.messages == []
        bridge.rows += [counted(2, 1 / 3), counted(4, None)]
        log.on_step_end(None, None, None)
        log.on_step_end(None, None, None)
    assert caplog.messages == [
        "step 2/3 reward=0.333 wrong=1 hits=3",
        "step 3/3 reward=None wrong=1 hits=3",
    ]
    assert reached == [1, 3, 3]
    assert bridge.rows[1]["step"] == 2  # the row itself is left alone


REFUSED = {
    "prompts over processes": (
        {"prompts_per_step": 5}, 2,
        "grpo.prompts_per_step 5 does not divide over 2 processes: a group of rollouts must "
        "not be split, choose a multiple",
    ),
    "micro-batch": (
        {"prompts_per_step": 8, "per_device_batch_size": 7}, 1,
        "grpo.per_device_batch_size 7 x updates_per_step 1 does not divide the 32 completions that "
        "each process has per generation: choose divisors",
    ),
    "more updates than micro-batches": (
        {"prompts_per_step": 8, "per_device_batch_size": 32, "updates_per_step": 2}, 1,
        "grpo.per_device_batch_size 32 x updates_per_step 2 does not divide the 32 completions "
        "that "
        "each process has per generation: choose divisors",
    ),
    "updates": (
        {"prompts_per_step": 8, "per_device_batch_size": 16, "updates_per_step": 3}, 1,
        "grpo.per_device_batch_size 16 x updates_per_step 3 does not divide the 32 completions "
        "that "
        "each process has per generation: choose divisors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_do_not_divide_are_refused_by_name(name):
    values, processes, line = REFUSED[name]
    with pytest.raises(TrainingError) as refused:
        grpo.plan_batches(Grpo(**values), 4, processes)
    assert str(refused.value) == line
