"""A GRPO run around TRL: what the trainer is given, how it goes on, and what is kept of it."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from PIL import Image

from speciarl.config import Grpo
from speciarl.errors import TrainingError
from speciarl.files import write_done
from speciarl.training import grpo, verified
from speciarl.training.checkpoints import MARK, MarkComplete
from speciarl.training.job import Inputs, Job, Settings
from speciarl.training.schedule import flatten_epochs
from speciarl.verdicts import Pair

ROOT = Path(__file__).parents[2]
SAMPLES = pl.DataFrame(
    {"class_name": [f"class {i}" for i in range(5)], "image": [f"{i}.png" for i in range(5)]}
)
SETTINGS = Settings(
    run={"method": "grpo", "num_generations": 4, "seeds": [9]},
    grpo={
        "steps": 3, "prompts_per_step": 4, "updates_per_step": 2, "per_device_batch_size": 4,
        "checkpoint_every": 2, "dynamic_sampling_tries": 6, "generation_tokens": 512,
        "max_prompt_tokens": 77,
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
    return SimpleNamespace(source=source, rows=list(rows), predictions=[])


class Trainer:
    """Keeps what it is given; a generation batch is one row of counts and two updates."""

    made: list = []  # noqa: RUF012

    def __init__(self, **given):
        self.given = given
        self.model = "adapted"
        self.next_row = given["next_row"]
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
        self.given["bridge"].rows.append(counted(0))


@pytest.fixture
def trained(monkeypatch, tmp_path):
    saved, compared = [], []
    monkeypatch.setattr(grpo, "require_all", lambda *steps: compared.append(steps))
    monkeypatch.setattr(grpo, "GroupTrainer", Trainer)
    asked = {}
    monkeypatch.setattr(grpo, "process_once", lambda *given: asked.update(remembered=given))

    def usable(samples, processor, prompt, open_image, **given):
        asked.update(processor=processor, prompt=prompt, **given)
        return samples

    monkeypatch.setattr(grpo, "usable_samples", usable)
    monkeypatch.setattr(grpo, "save_adapters", lambda *given: saved.append(given))

    monkeypatch.setattr(Job, "policy", lambda job: ("model", "processor"))
    monkeypatch.setattr(Job, "samples", lambda job: SAMPLES)
    monkeypatch.setattr(Job, "open_image", lambda job, reference: Image.new("RGB", (4, 4)))

    def run(bridge):
        job = Job("name", 9, SETTINGS, Inputs(tmp_path), tmp_path / "work", tmp_path / "into",
                  threads=2, live=tmp_path / "live.csv")  # fmt: skip
        rows = grpo.train_grpo(job, bridge)
        trainer = Trainer.made.pop()
        trainer.asked = asked
        assert saved == [(trainer, tmp_path / "into")]
        assert compared == [(len(bridge.rows), 3)]
        return trainer, rows

    (tmp_path / "work").mkdir()
    return run


def test_the_trainer_is_given_the_schedule_the_reward_and_the_settings(trained, tmp_path):
    bridge = bridge_of()
    trainer, rows = trained(bridge)
    given = trainer.given
    assert (given["model"], given["processing_class"]) == ("model", "processor")
    assert given["bridge"] is bridge
    assert (given["tries"], given["generation_tokens"]) == (6, 512)
    assert trainer.asked == {
        "processor": "processor", "prompt": "plain", "threads": 2, "max_prompt_tokens": 77,
        "remembered": ("processor", 4),
    }  # fmt: skip
    assert given["peft_config"].r == 3
    args = given["args"]
    assert (args.seed, args.output_dir) == (9, str(tmp_path / "work"))
    assert (args.num_generations, args.per_device_train_batch_size) == (4, 4)
    assert (args.steps_per_generation, args.gradient_accumulation_steps) == (4, 2)
    schedule = flatten_epochs(SAMPLES, 12, 9)
    shown = [given["train_dataset"][i] for i in range(len(given["train_dataset"]))]
    assert [row["class_name"] for row in shown] == schedule["class_name"].to_list()
    assert [row["row"] for row in shown] == list(range(12))
    assert given["next_row"] == 12
    more = [*given["more_rows"](12, 5)]
    beyond = flatten_epochs(SAMPLES, 17, 9)[12:]
    assert [row["class_name"] for row in more] == beyond["class_name"].to_list()
    assert [row["row"] for row in more] == [12, 13, 14, 15, 16]
    assert trainer.removed == ["PrinterCallback"] and trainer.resumed is None
    log, mark = given["callbacks"]
    assert (log.updates, log.live, log.shown) == (2, tmp_path / "live.csv", 0)
    assert [text.format(0.5) for text in log.note.values()] == ["reward 0.50", "50% specific"]
    assert list(log.note) == ["reward", "specific"]
    assert isinstance(mark, MarkComplete)
    assert mark.progress() == {
        "rows": [counted(0)], "next_row": 12, "predictions": [], "met": [],
    }  # fmt: skip
    assert rows.row(0, named=True) == {
        **counted(0), "loss": 2.0, "kl": pytest.approx(0.2), "learning_rate": 3e-5,
        "clip_ratio": None, "completion_length": None, "seconds": 0.0,
    }  # fmt: skip


def test_an_interrupted_run_goes_on_with_what_it_had(trained, tmp_path, caplog):
    path = tmp_path / "work" / "checkpoint-4"
    path.mkdir()
    progress = {
        "rows": [counted(-2)], "next_row": 15, "predictions": [[0, "a", "x", None, 1]],
        "met": [["a", "x"]],
    }  # fmt: skip
    write_done(path / MARK, progress)
    source = Source()
    bridge = bridge_of(source)
    with caplog.at_level(logging.INFO):
        trainer, _ = trained(bridge)
    assert trainer.resumed == str(path)
    assert trainer.given["next_row"] == 15 and len(trainer.given["train_dataset"]) == 12
    assert bridge.rows == [counted(-2), counted(0)]
    assert bridge.predictions == progress["predictions"]
    assert source.restored == [Pair("a", "x")]
    assert "going on from checkpoint-4" in caplog.messages
    met = [Pair("a", "x"), Pair("b", "y")]
    assert trainer.given["callbacks"][1].progress()["met"] == met  # in an order that stays


def test_another_process_than_the_first_goes_on_too(trained, tmp_path):
    path = tmp_path / "work" / "checkpoint-4"
    path.mkdir()
    progress = {"rows": [], "next_row": 12, "predictions": [], "met": [["a", "x"]]}
    write_done(path / MARK, progress)
    assert trained(bridge_of())[0].resumed == str(path)


def test_what_a_step_was_told_in_several_calls_is_one_prediction(monkeypatch, tmp_path):
    said = [
        (2, "gull", "tern", "wrong", 2), (0, "gull", "tern", "wrong", 1),
        (2, "gull", "tern", None, 1), (2, "gull", "tern", "wrong", 5), (2, "auk", "auk", None, 1),
    ]  # fmt: skip
    given = []

    def train(job, bridge):
        given.append(bridge)
        bridge.predictions = said
        return "rows"

    source = SimpleNamespace(seen={}, cache=SimpleNamespace(flush=lambda: None))
    monkeypatch.setattr(verified, "train_grpo", train)
    monkeypatch.setattr(verified, "_open", lambda job: source)
    settings = SETTINGS.model_copy(update={"grpo": Grpo(max_new_tokens=8, overlong_buffer=2)})
    job = Job("name", 9, settings, Inputs(tmp_path), tmp_path, tmp_path)
    result = verified.train_verified(job)
    assert result.metrics == "rows"
    assert result.predictions.rows() == [
        (0, "gull", "tern", "wrong", 1),
        (2, "auk", "auk", None, 1),
        (2, "gull", "tern", None, 1),
        (2, "gull", "tern", "wrong", 7),
    ]
    assert given[0].penalty([[0] * 6, [0] * 7, [0] * 8]) == [0, -0.5, -1]


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
    assert table.row(0, named=True) == {**counted(0, None), **dict.fromkeys(grpo.LEARNED)}
    without = grpo.metrics([counted(0)], [{"step": 1, "loss": 1.0}], 1)
    assert (without["loss"].item(), without["kl"].item()) == (1.0, None)


def test_what_is_looked_at_are_shares_and_tokens_a_second():
    counts = dict.fromkeys(("abstain", "generic", "less_specific", "more_specific"), 0)
    rows = [
        {
            "step": 0, "reward": 0.5, "specific": 6, "wrong": 1, **counts, "unparsable": 1,
            "several_tagged": 2, "failed": 0, "hits": 7, "misses": 1, "judge_seconds": 0.5,
        }
    ]  # fmt: skip
    history = [
        {"step": 1, "loss": 1.0, "step_time": 3.0, "completions/mean_length": 12.0,
         "clip_ratio/region_mean": 0.0},
        {"step": 2, "loss": 1.0, "step_time": 1.0, "clip_ratio/region_mean": 0.5},
    ]  # fmt: skip
    table = grpo.live_table(grpo.metrics(rows, history, 2))
    assert table.row(0, named=True) == {
        "step": 0, "reward": 0.5, "specific": 0.75, "wrong": 0.125, **counts, "unparsable": 0.125,
        "several_tagged": 0.25, "failed": 0.0, "hits": 7, "misses": 1, "judge_seconds": 0.5,
        "loss": 1.0, "kl": None, "clip_ratio": 0.25, "completion_length": 12.0,
        "learning_rate": None, "seconds": 4.0, "tokens_per_second": 24.0,
    }  # fmt: skip
    form = json.loads((ROOT / ".dvc/plots/live.json").read_text())
    drawn = form["transform"][0]["fold"]
    assert sorted(drawn) == sorted({*table.columns} - {"step", "several_tagged", "learning_rate"})
    assert form["encoding"]["facet"]["sort"] == drawn


@pytest.mark.parametrize("trained", [0, 2, 4])
def test_other_steps_than_were_asked_for_are_an_error(trained):
    grpo.require_all(3, 3)
    with pytest.raises(TrainingError, match=f"{trained} steps were trained and 3 asked for"):
        grpo.require_all(trained, 3)
