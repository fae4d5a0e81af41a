"""Stanford Cars as parquet: the pictures' bytes and a label per row, names in the metadata."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import scipy.io

from speciarl.datasets.readers import Row, frame
from speciarl.errors import DataError

SPLIT_KINDS = ("official",)


def read(root: Path, split_kind: str) -> pl.DataFrame:
    """Manifest of the official split; a picture is referred to as FILE.parquet#ROW."""
    return frame(
        "stanford_cars", (row for split in ("train", "test") for row in _rows(root, split))
    )


def _rows(root: Path, split: str) -> Iterator[Row]:
    paths = sorted(root.glob(f"{split}-*.parquet"))
    if not paths:
        raise DataError(f"{root}: expected {split}-*.parquet; download stanford_cars again")
    position = 0
    for path in paths:
        labels = _labels(path)
        names = _class_names(path, root / "devkit" / "cars_meta.mat")
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
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: expected parquet with a column label ({reason}); delete it and download again"
        ) from error


def _class_names(path: Path, devkit: Path) -> list[str]:
    """Names of the labels: from the file's own metadata, else from the original devkit."""
    try:
        features = json.loads(pl.read_parquet_metadata(path)["huggingface"])
        return features["info"]["features"]["label"]["names"]
    except (KeyError, json.JSONDecodeError):
        if devkit.exists():
            return [str(cell.item()) for cell in scipy.io.loadmat(devkit)["class_names"].ravel()]
    raise DataError(
        f"{path.name}: expected class names in its metadata, found none; "
        f"put the devkit's cars_meta.mat at {devkit}"
    )
