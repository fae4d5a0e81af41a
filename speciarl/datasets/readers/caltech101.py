"""Caltech-101: a folder of images per class; the CoOp split is the only one there is.

The background and the second folder of faces are in the archive and in no split.
"""

from pathlib import Path

import polars as pl

from speciarl.datasets.readers import (
    Row,
    coop_split,
    frame,
    look_up,
    table,
    whole_number,
    without_suffix,
)  # fmt: skip

SPLIT_KINDS = ("coop",)
_IMAGES = "caltech-101/101_ObjectCategories"


def read(root: Path, split_kind: str) -> pl.DataFrame:
    """Manifest of the CoOp split; metadata.csv names the class of each folder."""
    metadata = root / "metadata.csv"
    classes = {
        row["folder_name"]: (whole_number(row["idx"], metadata), row["class_name"])
        for row in table(metadata, ("idx", "folder_name", "class_name"))
    }
    rows: list[Row] = []
    for split, file in coop_split(root):
        key = without_suffix(file, root / "split_coop.csv")
        class_id, name = look_up(file.partition("/")[0], classes, metadata)
        rows.append((split, key, f"{_IMAGES}/{file}", class_id, name.replace("_", " ")))
    return frame("caltech101", rows)
