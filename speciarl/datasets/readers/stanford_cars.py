"""Stanford Cars: the parquet copy that is online, or the original archives, which no longer are.

The copy holds the images' bytes and a label per row, and the names in its metadata; the archives
hold folders of images and MATLAB tables.
"""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import polars as pl

from speciarl.datasets.readers import Row, mat_variable
from speciarl.errors import DataError, one_line

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
    path = root / _ANNOTATIONS[split]
    names = _devkit_names(root / _DEVKIT)
    for record in mat_variable(path, "annotations"):
        file_name, label = str(record["fname"].item()), int(record["class"].item()) - 1
        if not 0 <= label < len(names):
            raise DataError(f"{path}: {file_name}: expected a class of 1 to {len(names)}")
        yield split, Path(file_name).stem, f"cars_{split}/{file_name}", label, names[label]


def _parquet_rows(root: Path, split: str) -> Iterator[Row]:
    paths = sorted(root.glob(f"{split}-*.parquet"))
    if not paths:
        raise DataError(f"{root}: expected {split}-*.parquet; download stanford_cars again")
    position = 0
    for path in paths:
        labels = _labels(path)
        names = _class_names(path, root / _DEVKIT)
        for row, label in enumerate(labels):
            if label is None or not 0 <= label < len(names):
                raise DataError(
                    f"{path.name}#{row}: expected a label of 0 to {len(names) - 1}, found {label}"
                )
            yield split, f"{position:05d}", f"{path.name}#{row}", label, names[label]
            position += 1


def _labels(path: Path) -> list[int | None]:
    try:
        return pl.read_parquet(path, columns=["label"])["label"].to_list()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path}: expected parquet with a column label ({one_line(error)}); "
            "delete it and download again"
        ) from error


def _class_names(path: Path, devkit: Path) -> list[str]:
    """Names of the labels: from the file's own metadata, else from the original devkit."""
    try:
        features = json.loads(pl.read_parquet_metadata(path)["huggingface"])
        return features["info"]["features"]["label"]["names"]
    except (KeyError, json.JSONDecodeError):
        if devkit.exists():
            return _devkit_names(devkit)
    raise DataError(
        f"{path.name}: expected class names in its metadata, found none; "
        f"put the devkit's cars_meta.mat at {devkit}"
    )


def _devkit_names(path: Path) -> list[str]:
    return [str(cell.item()) for cell in mat_variable(path, "class_names")]
