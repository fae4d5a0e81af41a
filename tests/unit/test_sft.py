"""What the supervised baseline imitates, and what it is trained with."""

from types import SimpleNamespace

import polars as pl
import pytest
import torch
from PIL import Image

from speciarl.answers import extract_prediction
from speciarl.evaluation.transformers_engine import SamplingParams
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


SEEN = "<think>marking visible</think> "


@pytest.mark.parametrize("name", SAMPLES["class_name"])
@pytest.mark.parametrize(
    ("said", "reasoning"),
    [
        (f"{SEEN}<answer>bird</answer>", SEEN),
        (f"{SEEN}<answer>bird", SEEN),
        (f"{SEEN}<answer>a</answer> <answer>b</answer>", SEEN),
        ("<answer>bird</answer>", "<think></think> "),  # no reasoning
        ("<think>cut off", "<think></think> "),
        (f"{SEEN}bird", "<think></think> "),  # none that leads to a prediction
        ("", "<think></think> "),
    ],
)
def test_the_target_is_the_policy_s_own_reasoning_and_then_the_class(said, reasoning, name):
    assert sft.target(said, name) == f"{reasoning}<answer>{name}</answer>"
    assert extract_prediction(sft.target(said, name)) == name


@pytest.mark.parametrize("prompt", ["plain", "be_specific"])
def test_every_sample_is_a_question_its_image_and_its_target(prompt):
    said = [f"{SEEN}<answer>bird</answer>", "bird"]
    rows = list(sft.training_data(SAMPLES, prompt, open_named, said))
    assert [row["completion"] for row in rows] == [
        [{"role": "assistant", "content": f"{reasoning}<answer>{name}</answer>"}]
        for reasoning, name in zip((SEEN, "<think></think> "), SAMPLES["class_name"], strict=True)
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
    model = torch.nn.Linear(1, 1)
    monkeypatch.setattr(Job, "policy", lambda job: (model, "processor"))

    def generated(*policy_and_images):
        policy, processor, batches, prompt, params = policy_and_images
        assert (policy, processor, prompt) == (model, "processor", "be_specific")
        assert not model.training and params == SamplingParams(max_new_tokens=7)  # greedy
        for batch in batches:
            seen = [chr(shown.open().getpixel((0, 0))[0]) for shown in batch]
            yield [[f"<think>{one}</think> <answer>bird</answer>"] for one in seen]

    monkeypatch.setattr(sft, "generate", generated)
    monkeypatch.setattr(Job, "samples", lambda job: SAMPLES)
    monkeypatch.setattr(Job, "open_image", lambda job, reference: open_named(reference))

    def usable(samples, processor, prompt, open_image, *, threads):
        assert (processor, prompt, threads) == ("processor", "be_specific", 2)
        return samples

    monkeypatch.setattr(sft, "usable_samples", usable)
    settings = Settings(
        run={"method": "sft", "seeds": [9], "prompt": "be_specific"}, verifier={},
        sft={"learning_rate": 0.1, "reasoning_tokens": 7}, lora={"rank": 3},
    )  # fmt: skip
    live = tmp_path / "live.csv"
    job = Job("name", 9, settings, Inputs(tmp_path), tmp_path, tmp_path / "into", 2, live)
    result = sft.train_sft(job)
    trainer = Trainer.made.pop()
    assert trainer.steps == ["PrinterCallback", "train"]
    assert (trainer.given["model"], trainer.given["processing_class"]) == (model, "processor")
    assert model.training
    data = trainer.given["train_dataset"]
    assert [row["prompt"][0]["content"] for row in data] == [load_prompt("be_specific")] * 2
    assert [row["completion"][0]["content"] for row in data] == [
        "<think>a</think> <answer>Herring Gull</answer>",
        "<think>b</think> <answer>737-800</answer>",
    ]
    assert trainer.given["peft_config"].r == 3
    assert (trainer.given["args"].seed, trainer.given["args"].learning_rate) == (9, 0.1)
    assert trainer.given["args"].output_dir == str(tmp_path)
    (log,) = trainer.given["callbacks"]
    assert (log.table, log.updates, log.live) == (sft.metrics, 1, live)
    assert {name: text.format(0.5) for name, text in log.note.items()} == {"loss": "loss 0.500"}
    assert saved == [(trainer, tmp_path / "into")]
    assert result.metrics.to_dicts() == HISTORY[:2]
    assert result.verdicts.is_empty() and result.predictions.is_empty()
