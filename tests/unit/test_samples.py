"""What of a training set is shown, and what stops a run before it learns anything."""

import logging

import polars as pl
import pytest
from PIL import Image

from speciarl.datasets.images import BadImage
from speciarl.errors import DataError, TrainingError
from speciarl.policy.chat import chat_text
from speciarl.policy.miniature.architecture import build_processor, build_tokenizer
from speciarl.policy.miniature.curriculum import all_texts
from speciarl.training.samples import usable_samples

SIZES = {"a": (28, 28), "b": (280, 28), "c": (84, 140)}
SAMPLES = pl.DataFrame({"class_name": list("wxyz"), "image": list("abca")})


@pytest.fixture(scope="module")
def processor():
    processor = build_processor(build_tokenizer(all_texts()), 56)
    processor.image_processor.size = {"shortest_edge": 784, "longest_edge": 28**2 * 12}
    return processor


def open_one(reference):
    return Image.new("RGB", SIZES[reference])


def usable(processor, limit=None, opener=open_one, threads=2):
    return usable_samples(
        SAMPLES, processor, "plain", opener, threads=threads, max_prompt_tokens=limit
    )


def lengths(processor):
    text = chat_text(processor, "plain")
    return {
        name: len(processor(images=[open_one(name)], text=[text])["input_ids"][0]) for name in SIZES
    }


def test_all_are_shown_where_there_is_no_limit(processor):
    assert usable(processor).equals(SAMPLES)


def test_prompts_over_the_limit_are_left_out_counted_and_named(processor, caplog):
    tokens = lengths(processor)
    assert len(set(tokens.values())) == 3
    for limit in range(min(tokens.values()), max(tokens.values()) + 2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            shown = usable(processor, limit)
        expected = [name for name in SAMPLES["image"] if tokens[name] <= limit]
        assert shown["image"].to_list() == expected
        long = [f"{name} ({n})" for name, n in tokens.items() if n > limit]
        assert caplog.messages == (
            [
                f"{4 - len(expected)} of 4 training samples are left out, with more tokens than "
                f"grpo.max_prompt_tokens {limit}: {', '.join(long)}"
            ]
            if long
            else []
        )


def test_a_limit_that_leaves_nothing_is_refused(processor):
    least = min(lengths(processor).values())
    with pytest.raises(TrainingError, match=f"is {least - 1}, and the shortest .* has {least}:"):
        usable(processor, least - 1)


def test_each_image_is_opened_once(processor):
    opened = []

    def opener(reference):
        opened.append(reference)
        return open_one(reference)

    usable(processor, 1000, opener)
    assert sorted(opened) == ["a", "b", "c"]


def test_an_image_that_cannot_be_used_stops_the_run_by_name(processor):
    def opener(reference):
        if reference != "a":
            raise BadImage(reference, "unreadable", "the file is empty")
        return open_one(reference)

    line = "2 of 3 training images cannot be used, first b: unreadable (the file is empty)"
    with pytest.raises(DataError) as stopped:
        usable(processor, opener=opener, threads=1)
    assert str(stopped.value) == f"{line}; replace or remove it"
