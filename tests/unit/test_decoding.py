"""What is asked of the policy in evaluation: test images, sampling settings, completions alone."""

import pytest
import torch
from PIL import Image

from speciarl.config import Evaluation, Run
from speciarl.datasets.images import BadImage
from speciarl.evaluation.predict import decoding_of
from speciarl.evaluation.transformers_engine import SamplingParams, Shown, generate
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


def image():
    return Image.new("RGB", (4, 4))


def drawn(decoding, *sizes, seed=0):
    model, processor = Model(), Processor()
    batches = [[Shown(image, seed)] * size for size in sizes or (3,)]
    return list(generate(model, processor, batches, "plain", decoding)), model, processor


def test_the_prompt_is_cut_off_and_each_image_has_its_completions():
    texts, _, _ = drawn(SamplingParams(2, 1.0))
    assert texts == [[["7", "8"]] * 3]


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


def test_images_are_shown_batch_by_batch():
    texts, _, processor = drawn(SamplingParams(4, 1.0, batch_size=1), 2, 1)
    assert [size for size, _, _ in processor.batches] == [2, 1]
    assert [[len(one) for one in batch] for batch in texts] == [[4, 4], [4]]


def test_an_image_that_does_not_open_is_left_out_of_its_batch():
    def broken():
        raise BadImage("b.png", "unreadable", "the file is empty")

    batches = [[Shown(image, 0), Shown(broken, 0)], [Shown(broken, 0)]]
    processor = Processor()
    (first, bad), (other,) = generate(Model(), processor, batches, "plain", SamplingParams())
    assert first == ["7"] and isinstance(bad, BadImage) and isinstance(other, BadImage)
    assert [size for size, _, _ in processor.batches] == [1]


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
        drawn(SamplingParams(2, 1.0), 1, seed=seed)
        seeds.append(torch.initial_seed())
    assert seeds == [3, 3, 4]


SETTINGS = Evaluation(max_new_tokens=9, batch_size=5, temperature=0.7, top_p=0.9)


@pytest.mark.parametrize(
    ("best_of", "expected"),
    [
        (1, SamplingParams(1, 0.0, 0.9, max_new_tokens=9, batch_size=5)),
        (2, SamplingParams(2, 0.7, 0.9, max_new_tokens=9, batch_size=5)),
        (64, SamplingParams(64, 0.7, 0.9, max_new_tokens=9, batch_size=5)),
    ],
)
def test_the_evaluation_section_becomes_decoding(best_of, expected):
    assert decoding_of(Run(best_of=best_of), SETTINGS) == expected
