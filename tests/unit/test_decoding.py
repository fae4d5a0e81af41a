"""What is asked of the policy in evaluation: test images, sampling settings, completions alone."""

from types import SimpleNamespace

import polars as pl
import pytest
import torch
from PIL import Image

from speciarl.config import Evaluation, Run
from speciarl.evaluation import predict as stage
from speciarl.evaluation.transformers_engine import SamplingParams, generate
from speciarl.policy.chat import load_prompt

QUESTION = [1, 2, 3]
PREDICTION = 7  # token of the prediction; its rollout is added to it


class Inputs(dict):
    def to(self, device):
        assert device == "cpu"
        return self


class Processor:
    """Three tokens for whatever is asked; a text shows the numbers of its tokens."""

    def __init__(self):
        self.templates, self.batches = [], []

    def apply_chat_template(self, turns, **how):
        self.templates.append((turns, how))
        return "asked"

    def __call__(self, images, text, **how):
        self.batches.append((len(images), text, how))
        return Inputs(input_ids=torch.tensor([QUESTION] * len(images)))

    def batch_decode(self, tokens, **how):
        assert how == {"skip_special_tokens": True}
        return [" ".join(map(str, row.tolist())) for row in tokens]


class Model:
    """Writes the question again, as transformers does, and a prediction per rollout."""

    device = "cpu"

    def __init__(self):
        self.calls = []

    def generate(self, *, input_ids, num_return_sequences, **how):
        assert torch.is_inference_mode_enabled()
        self.calls.append({"num_return_sequences": num_return_sequences, **how})
        rows = [
            [*question.tolist(), PREDICTION + rollout]
            for question in input_ids
            for rollout in range(num_return_sequences)
        ]
        return torch.tensor(rows)


def drawn(decoding, count=3):
    model, processor = Model(), Processor()
    images = [lambda: Image.new("RGB", (4, 4))] * count
    texts = list(generate(model, processor, images, "plain", decoding))
    return texts, model, processor


def test_the_prompt_is_cut_off_and_each_image_has_its_completions():
    texts, _, _ = drawn(SamplingParams(2, 1.0))
    assert texts == [["7", "8"]] * 3


def test_one_answer_is_the_likeliest():
    _, model, _ = drawn(SamplingParams(max_new_tokens=5))
    assert model.calls == [
        {
            "num_return_sequences": 1, "do_sample": False, "repetition_penalty": 1.0,
            "max_new_tokens": 5,
        }
    ]  # fmt: skip


def test_several_are_drawn_from_all_tokens_that_top_p_leaves():
    _, model, _ = drawn(SamplingParams(4, 0.6, 0.95, max_new_tokens=5))
    assert model.calls == [
        {
            "num_return_sequences": 4, "do_sample": True, "temperature": 0.6, "top_p": 0.95,
            "top_k": 0, "repetition_penalty": 1.0, "max_new_tokens": 5,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rollouts", "batch_size", "sizes"),
    [(1, 2, [2, 1]), (2, 4, [2, 1]), (4, 2, [1, 1, 1]), (1, 8, [3])],
)
def test_a_batch_holds_so_many_sequences(rollouts, batch_size, sizes):
    texts, _, processor = drawn(SamplingParams(rollouts, 1.0, batch_size=batch_size))
    assert [size for size, _, _ in processor.batches] == sizes
    assert [len(one) for one in texts] == [rollouts] * 3


def test_the_question_follows_its_image_and_is_padded_on_the_left():
    _, _, processor = drawn(SamplingParams(), 2)
    ((turns, how),) = processor.templates
    assert how == {"add_generation_prompt": True, "tokenize": False}
    assert turns == [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": load_prompt("plain")}],
        }
    ]
    ((_, text, how),) = processor.batches
    assert text == ["asked", "asked"]
    assert how == {"return_tensors": "pt", "padding": True, "padding_side": "left"}


def test_what_is_drawn_goes_by_the_seed():
    seeds = []
    for seed in (3, 3, 4):
        drawn(SamplingParams(2, 1.0, seed=seed), 1)
        seeds.append(torch.initial_seed())
    assert seeds == [3, 3, 4]


SETTINGS = Evaluation(max_new_tokens=9, batch_size=5, temperature=0.7, top_p=0.9)


@pytest.mark.parametrize(
    ("best_of", "expected"),
    [
        (1, SamplingParams(1, 0.0, 0.9, max_new_tokens=9, batch_size=5, seed=11)),
        (2, SamplingParams(2, 0.7, 0.9, max_new_tokens=9, batch_size=5, seed=11)),
        (64, SamplingParams(64, 0.7, 0.9, max_new_tokens=9, batch_size=5, seed=11)),
    ],
)
def test_the_evaluation_section_becomes_decoding(best_of, expected):
    assert stage.decoding_of(Run(best_of=best_of), 11, SETTINGS) == expected


@pytest.fixture
def predicted(monkeypatch, tmp_path):
    """Predicts two datasets of all three splits with a policy that only counts."""
    asked = []

    def policy(images, prompt, decoding):
        asked.append(SimpleNamespace(count=len(images), prompt=prompt, decoding=decoding))
        for _ in images:
            yield ["<answer>gull</answer>"] * decoding.rollouts

    def opened(engine, base, run, work):
        assert (engine, base, run) == ("transformers", tmp_path / "base", tmp_path / "run/42")
        return policy

    monkeypatch.setattr(stage, "open_policy", opened)
    for name in ("base", "run"):
        (tmp_path / name / "42").mkdir(parents=True)
        (tmp_path / name / "42/weights").write_text(name)
    manifests = []
    for dataset in ("birds", "planes"):
        manifest = pl.DataFrame(
            {
                "sample_id": [f"{dataset}-{i}" for i in range(6)],
                "dataset": dataset,
                "class_name": "Herring Gull",
                "image": [f"{i}.png" for i in range(6)],
                "split": ["train", "test", "val", "test", "train", "val"],
            }
        )
        manifests.append(tmp_path / f"{dataset}.parquet")
        manifest.write_parquet(manifests[-1])

    def run(run=Run(prompt="be_specific", best_of=2), settings=SETTINGS):  # noqa: B008
        stage.predict_datasets(
            tmp_path / "base", tmp_path / "run", manifests, tmp_path / "into", run=run,
            settings=settings, images=tmp_path, work=tmp_path / "work", threads=1,
        )  # fmt: skip
        return {
            path.stem: pl.read_parquet(path) for path in (tmp_path / "into/42").glob("*.parquet")
        }

    return run, asked


def test_the_test_split_alone_is_predicted(predicted):
    run, asked = predicted
    tables = run()
    assert sorted(tables) == ["birds", "planes"]
    for dataset, table in tables.items():
        assert table["sample_id"].unique().sort().to_list() == [f"{dataset}-1", f"{dataset}-3"]
        assert table.height == 4 and set(table["prediction"]) == {"gull"}
    decoding = stage.decoding_of(Run(best_of=2), 42, SETTINGS)
    assert [(one.count, one.prompt, one.decoding) for one in asked] == [
        (2, "be_specific", decoding)
    ] * 2
