"""What the supervised baseline imitates, and what it is trained with."""

import logging
from types import SimpleNamespace

import polars as pl
import pytest
from PIL import Image

from speciarl.answers import extract_prediction
from speciarl.policy.chat import load_prompt
from speciarl.training import sft
from speciarl.training.job import Inputs, Job, Settings

SAMPLES = pl.DataFrame({"class_name": ["Herring Gull", "737-800"], "image": ["a.png", "b.png"]})
HISTORY = [
    {"step": 1, "loss": 2.0, "learning_rate": 0.1},
    {"step": 2, "loss": 1.0, "learning_rate": 0.05},
    {"step": 2, "train_runtime": 3.0},
]


def open_named(reference):
    return Image.new("RGB", (4, 4), (ord(reference[0]), 0, 0))


@pytest.mark.parametrize("name", SAMPLES["class_name"])
def test_the_target_is_the_class_in_answer_tags_after_empty_thoughts(name):
    assert sft.target(name) == f"<think></think> <answer>{name}</answer>"
    assert extract_prediction(sft.target(name)) == name


@pytest.mark.parametrize("prompt", ["plain", "be_specific"])
def test_every_sample_is_a_question_its_image_and_its_target(prompt):
    rows = list(sft.training_data(SAMPLES, prompt, open_named))
    assert [row["completion"] for row in rows] == [
        [{"role": "assistant", "content": f"<think></think> <answer>{name}</answer>"}]
        for name in SAMPLES["class_name"]
    ]
    assert [row["prompt"] for row in rows] == [
        [{"role": "user", "content": load_prompt(prompt)}]
    ] * 2
    assert [chr(row["images"][0].getpixel((0, 0))[0]) for row in rows] == ["a", "b"]
    assert [len(row["images"]) for row in rows] == [1, 1]


class Trainer:
    """Keeps what it is given, and has learned what HISTORY says."""

    made: list = []  # noqa: RUF012

    def __init__(self, **given):
        self.given, self.steps = given, []
        self.model = "adapted"
        self.state = SimpleNamespace(log_history=HISTORY)
        self.made.append(self)

    def remove_callback(self, kind):
        self.steps.append(kind.__name__)

    def train(self):
        self.steps.append("train")


def test_a_run_trains_adapters_on_all_samples(monkeypatch, tmp_path):
    monkeypatch.setattr(sft, "SFTTrainer", Trainer)
    saved = []
    monkeypatch.setattr(sft, "save_adapters", lambda *given: saved.append(given))
    monkeypatch.setattr(Job, "policy", lambda job: ("model", "processor"))
    monkeypatch.setattr(Job, "samples", lambda job: SAMPLES)
    monkeypatch.setattr(Job, "open_image", lambda job, reference: open_named(reference))
    settings = Settings(
        run={"method": "sft", "seed": 9, "prompt": "be_specific"}, verifier={},
        sft={"learning_rate": 0.1}, lora={"rank": 3},
    )  # fmt: skip
    job = Job("name", settings, Inputs(tmp_path), tmp_path, tmp_path / "into")
    result = sft.train_sft(job)
    trainer = Trainer.made.pop()
    assert trainer.steps == ["PrinterCallback", "train"]
    assert (trainer.given["model"], trainer.given["processing_class"]) == ("model", "processor")
    data = trainer.given["train_dataset"]
    assert [row["prompt"][0]["content"] for row in data] == [load_prompt("be_specific")] * 2
    assert trainer.given["peft_config"].r == 3
    assert (trainer.given["args"].seed, trainer.given["args"].learning_rate) == (9, 0.1)
    assert trainer.given["args"].output_dir == str(tmp_path)
    assert [type(one) for one in trainer.given["callbacks"]] == [sft.LogSteps]
    assert saved == [("adapted", tmp_path / "into")]
    assert result.metrics.to_dicts() == HISTORY[:2]
    assert result.verdicts.is_empty() and result.predictions.is_empty()


def test_every_step_is_logged_with_its_loss(caplog):
    log = sft.LogSteps()
    state = SimpleNamespace(max_steps=8, global_step=3)
    log.on_train_begin(None, state, None, model=None)
    assert (log.progress.unit, log.progress.total) == ("steps", 8)
    reached = []
    log.progress = SimpleNamespace(reached=reached.append)
    with caplog.at_level(logging.INFO):
        log.on_log(None, state, None, logs={"loss": 0.5}, model=None)
        log.on_log(None, state, None, logs={"train_runtime": 3.0})
        log.on_log(None, state, None)
    assert caplog.messages == ["step 3/8 loss=0.5"]
    assert reached == [3]
