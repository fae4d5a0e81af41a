"""Training sets: seeded, fair, and independent of the order of the rows."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.datasets.readers import SCHEMA, Field, frame
from speciarl.datasets.sampling import sample_training
from speciarl.errors import ConfigError, DataError

seeds = st.integers(0, 2**32)


def manifest(dataset: str, *class_sizes: int) -> pl.DataFrame:
    """Class c has class_sizes[c] training images and one test image."""
    rows = []
    for class_id, size in enumerate(class_sizes):
        keys = [("train", f"{class_id}_{n}") for n in range(size)] + [("test", f"{class_id}_t")]
        name = f"class {class_id}"
        rows += [(s, Field(key, "l.txt:1"), f"{key}.jpg", class_id, name) for s, key in keys]
    return frame(dataset, rows).select(*SCHEMA)


def sample(manifests: dict[str, pl.DataFrame], **changed: object) -> pl.DataFrame:
    arguments = {"datasets": list(manifests), "size": None, "balanced": False, "seed": 0}
    return sample_training(manifests, **{**arguments, **changed})


@given(seed=seeds, size=st.integers(1, 30), balanced=st.booleans(), shuffle=seeds)
def test_the_order_of_rows_does_not_matter(
    seed: int, size: int, balanced: bool, shuffle: int
) -> None:
    rows = manifest("a", 5, 20, 5)
    drawn = sample({"a": rows}, size=size, balanced=balanced, seed=seed)
    mixed = rows.sample(fraction=1, shuffle=True, seed=shuffle)
    assert drawn.equals(sample({"a": mixed}, size=size, balanced=balanced, seed=seed))
    assert dict(drawn.schema) == SCHEMA
    assert len(drawn) == drawn["sample_id"].n_unique() == size
    assert drawn["split"].unique().to_list() == ["train"]


@given(seed=seeds, small=st.integers(1, 30), large=st.integers(1, 30), balanced=st.booleans())
def test_a_smaller_set_is_part_of_a_larger_one(
    seed: int, small: int, large: int, balanced: bool
) -> None:
    small, large = sorted((small, large))
    drawn = [
        set(sample({"a": manifest("a", 5, 20, 5)}, size=size, balanced=balanced, seed=seed)[:, 0])
        for size in (small, large)
    ]
    assert drawn[0] <= drawn[1]


@given(seed=seeds, size=st.integers(1, 60))
def test_balanced_classes_differ_by_one_at_most(seed: int, size: int) -> None:
    drawn = sample({"a": manifest("a", 20, 20, 20)}, size=size, balanced=True, seed=seed)
    counts = [drawn.filter(pl.col("class_id") == c).height for c in range(3)]
    assert max(counts) - min(counts) <= 1


def test_a_small_class_gives_what_it_has() -> None:
    drawn = sample({"a": manifest("a", 2, 20)}, size=10, balanced=True)
    assert sorted(drawn["class_id"].to_list()) == [0] * 2 + [1] * 8


@given(seed=seeds, size=st.integers(3, 30))
def test_datasets_have_equal_shares(seed: int, size: int) -> None:
    manifests = {name: manifest(name, 10) for name in "abc"}
    drawn = sample(manifests, size=size, seed=seed)
    counts = [drawn.filter(pl.col("dataset") == name).height for name in "abc"]
    assert sum(counts) == size
    assert counts == sorted(counts, reverse=True)
    assert max(counts) - min(counts) <= 1


def test_no_size_takes_everything_in_random_order() -> None:
    rows = manifest("a", 30, 30)
    drawn = sample({"a": rows})
    assert drawn.sort("sample_id").equals(rows.filter(pl.col("split") == "train").sort("sample_id"))
    assert not drawn.equals(drawn.sort("sample_id"))
    assert drawn["class_id"][:30].n_unique() == 2


def test_the_seed_changes_choice_and_order() -> None:
    rows = {"a": manifest("a", 50)}
    one, two = (sample(rows, size=20, seed=seed) for seed in (1, 2))
    assert set(one["sample_id"]) != set(two["sample_id"])
    assert not sample(rows, seed=1).equals(sample(rows, seed=2))


def test_the_choice_is_the_same_on_every_machine() -> None:
    drawn = sample({"a": manifest("a", 9)}, size=3, seed=7)
    assert drawn["sample_id"].to_list() == ["a/train/0_7", "a/train/0_6", "a/train/0_3"]


def test_several_splits_can_be_drawn_together() -> None:
    drawn = sample({"a": manifest("a", 3, 3)}, splits=["train", "test"], size=8)
    assert sorted(drawn["split"]) == ["test"] * 2 + ["train"] * 6


def test_another_split_can_be_drawn() -> None:
    assert sample({"a": manifest("a", 3)}, splits=["test"])["sample_id"].to_list() == ["a/test/0_t"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 7}, "a: expected 7 rows of train, found 6; ask for fewer"),
        ({"splits": ["val"]}, "a: expected images of val to train on, found only test and train"),
    ],
)
def test_too_few_rows_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sample({"a": manifest("a", 3, 3)}, **changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"datasets": []}, "expected one or more, each once"),
        ({"datasets": ["a", "a"]}, "expected one or more, each once"),
        ({"datasets": ["a", "b"]}, "no manifest of 'b'"),
        ({"size": 0}, "expected at least one row per dataset, found 0"),
    ],
)
def test_impossible_requests_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sample({"a": manifest("a", 3)}, **changed)
