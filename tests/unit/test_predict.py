import importlib.util

import polars as pl
import pytest
from PIL import Image

from speciarl.config import Evaluation, Run
from speciarl.errors import ConfigError
from speciarl.evaluation.predict import decoding_of, open_policy, predict
from speciarl.evaluation.transformers_engine import SamplingParams
from speciarl.evaluation.vllm_engine import conversation
from speciarl.policy.chat import load_prompt

SAMPLES = pl.DataFrame(
    {
        "sample_id": ["b", "a"],
        "dataset": "d",
        "class_name": ["Tern", "Gull"],
        "image": ["b.png", "a.png"],
    }
)


def open_named(reference):
    return Image.new("RGB", (4, 4), (ord(reference[0]), 0, 0))


def test_every_rollout_has_its_row_whatever_the_engine():
    asked = []

    def policy(images, prompt, decoding):
        asked.append((prompt, decoding))
        for open_one in images:
            seen = chr(open_one().getpixel((0, 0))[0])
            yield [f"<answer>{seen}{i}</answer>" if i else seen for i in range(decoding.rollouts)]

    decoding = SamplingParams(2, 1.0)
    rows = predict(policy, SAMPLES, open_named, "plain", decoding)
    assert asked == [("plain", decoding)]
    assert rows.select("sample_id", "class_name", "rollout", "prediction").rows() == [
        ("a", "Gull", 0, None),
        ("a", "Gull", 1, "a1"),
        ("b", "Tern", 0, None),
        ("b", "Tern", 1, "b1"),
    ]


@pytest.mark.parametrize(("best_of", "temperature"), [(1, 0.0), (64, 0.6)])
def test_one_answer_is_greedy_and_many_are_sampled(best_of, temperature):
    decoding = decoding_of(Run(best_of=best_of), 7, Evaluation())
    assert (decoding.rollouts, decoding.temperature) == (best_of, temperature)
    assert decoding.seed == 7
    assert decoding.images_together == 512 // best_of


def test_an_engine_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"evaluation\.engine .* not installed") as refused:
        open_policy("vllm", tmp_path / "base", tmp_path / "run", tmp_path / "work")
    assert "\n" not in str(refused.value)


def test_a_image_comes_before_its_question():
    image = open_named("a.png")
    (turn,) = conversation(image, "plain")
    assert turn["role"] == "user"
    assert turn["content"] == [
        {"type": "image_pil", "image_pil": image},
        {"type": "text", "text": load_prompt("plain")},
    ]
