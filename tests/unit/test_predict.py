import importlib.util

import polars as pl
import pytest
from PIL import Image

from speciarl.config import Evaluation, Run
from speciarl.datasets.images import BadImage
from speciarl.errors import ConfigError, DataError
from speciarl.evaluation.predict import decoding_of, open_policy, predict
from speciarl.evaluation.transformers_engine import SamplingParams, in_batches
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


MANY = pl.DataFrame(
    {"sample_id": list("abcdef"), "dataset": "d", "class_name": "Tern", "image": list("abcdef")}
)


def unless(bad):
    def opener(reference):
        if reference in bad:
            raise BadImage(reference, "too thin", "1 x 300 pixels")
        return open_named(reference)

    return opener


def colors(images, prompt, decoding):
    """Says what it sees, two images at a time."""

    def complete(opened):
        assert 0 < len(opened) <= 2
        for place, image in opened.items():
            seen = chr(image.getpixel((0, 0))[0])
            yield [f"<answer>{seen}{place}</answer>"] * decoding.rollouts

    return in_batches(images, 2, complete)


@pytest.mark.parametrize("bad", ["", "a", "bc", "cd", "abef", "f"])
@pytest.mark.parametrize("rollouts", [1, 3])
def test_an_image_that_does_not_open_is_a_row_with_its_error(bad, rollouts):
    decoding = SamplingParams(rollouts)
    rows = predict(colors, MANY, unless(bad), "plain", decoding, max_failures=1.0)
    assert rows.height == 6 * rollouts
    for name, rollout, completion, prediction, error in rows.select(
        "sample_id", "rollout", "completion", "prediction", "error"
    ).iter_rows():
        assert rollout in range(rollouts)
        if name in bad:
            assert completion is prediction is None
            assert error == f"{name}: too thin (1 x 300 pixels); replace or remove it"
        else:  # the others are asked as if it were not there, each by its own place
            assert prediction == f"{name}{'abcdef'.index(name)}" and error is None


def test_too_many_of_them_stop_the_run_and_are_named(caplog):
    share = 2 / 6
    predict(colors, MANY, unless("ad"), "plain", SamplingParams(), max_failures=share)
    assert [text.split(":")[1] for text in caplog.messages] == [" a", " d"]
    opened = []

    def opener(reference):
        opened.append(reference)
        return unless("abd")(reference)

    with pytest.raises(DataError) as stopped:
        predict(colors, MANY, opener, "plain", SamplingParams(), max_failures=share)
    line = str(stopped.value)
    assert line.startswith("3 of 6 images of d cannot be shown, more than evaluation.max_failures")
    assert all(f"{name}: too thin (1 x 300 pixels)" in line for name in "abd")
    assert opened == list("abcd")  # it stops at the one that is too many
