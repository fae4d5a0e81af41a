"""Published counts: a sound table, and manifests that differ refused with both numbers."""

from pathlib import Path

import pytest

from speciarl.datasets.counts import COLUMNS, check_counts, published_counts
from speciarl.datasets.manifest import READERS
from speciarl.datasets.readers import Field, frame
from speciarl.errors import DataError

TABLE = Path(__file__).resolve().parents[2] / "data" / "counts.csv"
KINDS = [(name, kind) for name, reader in READERS.items() for kind in reader.SPLIT_KINDS]
EXPECTED = {
    ("cub200", "official"): ({"train": 5994, "test": 5794}, 200),
    ("fgvc_aircraft", "official"): ({"train": 3334, "val": 3333, "test": 3333}, 100),
    ("flowers102", "official"): ({"train": 1020, "val": 1020, "test": 6149}, 102),
    ("flowers102", "coop"): ({"train": 4093, "val": 1633, "test": 2463}, 102),
    ("food101", "official"): ({"train": 75750, "test": 25250}, 101),
    ("food101", "coop"): ({"train": 50500, "val": 20200, "test": 30300}, 101),
    ("oxford_pets", "official"): ({"train": 3680, "test": 3669}, 37),
    ("oxford_pets", "coop"): ({"train": 2944, "val": 736, "test": 3669}, 37),
    ("stanford_cars", "official"): ({"train": 8144, "test": 8041}, 196),
    ("caltech101", "coop"): ({"train": 4128, "val": 1649, "test": 2465}, 100),
}


def test_every_benchmark_and_split_kind_is_stated():
    assert set(KINDS) == set(EXPECTED)
    for (dataset, kind), (sizes, classes) in EXPECTED.items():
        found = published_counts(TABLE, "real", dataset, kind)
        assert {split: sum(numbers) for split, numbers in found.items()} == sizes
        assert {len(numbers) for numbers in found.values()} == {classes}


def test_what_is_rendered_has_no_published_counts():
    assert published_counts(TABLE, "miniature", "cub200", "official") == {}


def manifest(**splits):
    """Images per class of each split."""
    return frame(
        "birds",
        [
            (split, Field(f"{c}-{i}", "l.txt:1"), f"{split}-{c}-{i}.jpg", c, f"class {c}")
            for split, counts in splits.items()
            for c, count in enumerate(counts)
            for i in range(count)
        ],
    )


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            {"train": [3, 2], "test": [1, 1]},
            "birds train: expected 4 images in 2 classes, found 5",
        ),
        ({"train": [1, 3], "test": [1, 1]}, "train: expected 2 images of 'class 0', found 1"),
        ({"train": [4], "test": [1, 1]}, "train: expected 4 images in 2 classes, found 4 in 1"),
        ({"train": [2, 2]}, "test: expected 2 images in 2 classes, found 0 in 0"),
        ({"train": [2, 2], "test": [1, 1], "val": [1]}, "expected no split val, found one"),
    ],
)
def test_other_counts_are_refused_with_expected_and_found(splits, message):
    published = {"train": [2, 2], "test": [1, 1]}
    check_counts(manifest(**published), published, "birds")
    with pytest.raises(DataError) as refused:
        check_counts(manifest(**splits), published, "birds")
    assert message in str(refused.value) and "fetch it again" in str(refused.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("real,birds,official,train,4,2 2 1", r"counts\.csv:2: per_class is not 4"),
        ("real,birds,official,train,4,2 x", "expected numbers"),
        ("real,birds,official,train,,2 2", r"counts\.csv:2: expected a value of images"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path, line, message):
    path = tmp_path / "counts.csv"
    path.write_text(f"{','.join(COLUMNS)}\n{line}\n")
    with pytest.raises(DataError, match=message):
        published_counts(path, "real", "birds", "official")
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="expected the columns"):
        published_counts(path, "real", "birds", "official")
    with pytest.raises(DataError, match="restore it"):
        published_counts(tmp_path / "none.csv", "real", "birds", "official")
