"""Stanford Cars: the parquet copy that is online, or the original archives, which no longer are.

The copy holds the images' bytes and a label per row, and the names in its metadata; the archives
hold folders of images and MATLAB tables.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from pyarrow.parquet import ParquetFile

from speciarl.datasets.readers import (
    Field,
    Row,
    mat_cells,
    mat_records,
    once,
    whole_number,
    without_suffix,
)
from speciarl.errors import DataError
from speciarl.files import read_foreign_parquet

SPLIT_KINDS = ("official",)
_DEVKIT = "devkit/cars_meta.mat"
_ANNOTATIONS = {
    "train": "devkit/cars_train_annos.mat",
    "test": "cars_test_annos_withlabels.mat",  # the devkit's own has no labels
}


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official split; an image of the copy is referred to as FILE.parquet#ROW."""
    rows = _archive_rows if (root / "cars_train").is_dir() else _parquet_rows
    return chain.from_iterable(rows(root, split) for split in _ANNOTATIONS)


def _archive_rows(root: Path, split: str) -> Iterator[Row]:
    names = once(mat_cells(root / _DEVKIT, "class_names"))
    annotations = mat_records(root / _ANNOTATIONS[split], "annotations", "fname", "class")
    for file_name, number in annotations:
        label = whole_number(number, 1, len(names)) - 1
        yield split, without_suffix(file_name), f"cars_{split}/{file_name}", label, names[label]


def _parquet_rows(root: Path, split: str) -> Iterator[Row]:
    paths = sorted(root.glob(f"{split}-*.parquet"))
    if not paths:
        raise DataError(f"{root}: expected {split}-*.parquet; download stanford_cars again")
    position = 0
    for path in paths:
        labels = read_foreign_parquet(path, ["label"])["label"]
        names = _class_names(path, root / _DEVKIT)
        for row, value in enumerate(labels):
            field = Field(value, f"{path}#{row}")
            label = whole_number(field, 0, len(names) - 1)
            yield split, field.derived(f"{position:05d}"), f"{path.name}#{row}", label, names[label]
            position += 1


def _class_names(path: Path, devkit: Path) -> Sequence[str]:
    """Names of the labels: from the file's own metadata, else from the original devkit."""
    metadata = ParquetFile(path).metadata.metadata or {}
    try:
        features = json.loads(metadata[b"huggingface"])
        return list(map(str, features["info"]["features"]["label"]["names"]))
    except (LookupError, TypeError, ValueError, RecursionError):
        if devkit.exists():
            return mat_cells(devkit, "class_names")
    raise DataError(
        f"{path.name}: expected class names in its metadata, found none; "
        f"put the devkit's cars_meta.mat at {devkit}"
    )
