"""The order in which images are shown: seeded, another in every epoch, each epoch whole."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from speciarl.policy.chat import load_prompt
from speciarl.training.grpo import training_data
from speciarl.training.schedule import flatten_epochs

SAMPLES = pl.DataFrame(
    {
        "sample_id": [str(i) for i in range(12)],
        "class_name": [f"class {i // 2}" for i in range(12)],
        "image": [f"{chr(ord('a') + i)}.png" for i in range(12)],
    }
)


def epochs(seed, count=36):
    rows = flatten_epochs(SAMPLES, count, seed)
    return [rows["sample_id"][i : i + 12].to_list() for i in range(0, count, 12)]


def test_every_epoch_is_in_an_order_of_its_own():
    first, second, third = epochs(0)
    assert len({*map(tuple, (first, second, third, SAMPLES["sample_id"]))}) == 4
    assert sorted(first) == sorted(second) == sorted(third) == sorted(SAMPLES["sample_id"])


@pytest.mark.parametrize("seed", [0, 42])
def test_the_seed_alone_decides(seed):
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(12) for _ in range(3)]
    assert epochs(seed) == [[str(i) for i in order] for order in orders]
    assert epochs(seed) != epochs(seed + 1)


def test_a_longer_run_begins_like_a_shorter_one():
    short, long = (flatten_epochs(SAMPLES, count, 3) for count in (17, 36))
    assert short.equals(long[:17]) and short.height == 17


@pytest.mark.parametrize(("first", "count"), [(0, 17), (5, 9), (12, 12), (17, 19), (30, 1), (3, 0)])
def test_rows_from_any_number_on_are_those_of_the_whole(first, count):
    whole = flatten_epochs(SAMPLES, 40, 3)
    assert flatten_epochs(SAMPLES, count, 3, first).equals(whole[first : first + count])


def test_each_showing_is_a_group_of_its_own():
    rows = flatten_epochs(SAMPLES, 30, 0)
    assert rows["row"].dtype == pl.Int64
    assert rows["row"].to_list() == list(range(30))
    assert rows.select("sample_id", "class_name", "image").unique().height == 12


def test_the_trainer_is_given_the_schedule_as_it_is_laid_out():
    opened = []

    def open_named(reference):
        opened.append(reference)
        return Image.new("RGB", (4, 4), (ord(reference[0]), 0, 0))

    schedule = flatten_epochs(SAMPLES, 14, 0)
    data = training_data(schedule, "be_specific", open_named)
    assert len(data) == 14 and opened == []  # an image is opened when its turn comes
    rows = [data[i] for i in range(14)]
    assert opened == schedule["image"].to_list()
    assert [row["row"] for row in rows] == list(range(14))
    assert [row["class_name"] for row in rows] == schedule["class_name"].to_list()
    shown = [chr(row["image"].getpixel((0, 0))[0]) for row in rows]
    assert shown == [reference[0] for reference in schedule["image"]]
    question = [{"role": "user", "content": load_prompt("be_specific")}]
    assert all(row["prompt"] == question for row in rows)
