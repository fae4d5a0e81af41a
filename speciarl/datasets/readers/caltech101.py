"""Caltech-101: a folder of images per class; the CoOp split is the only one there is.

The background and the second folder of faces are in the archive and in no split.
"""

from collections.abc import Iterator
from pathlib import Path

from speciarl.datasets.readers import Row, coop_split, look_up, table, whole_number, without_suffix

SPLIT_KINDS = ("coop",)
_IMAGES = "caltech-101/101_ObjectCategories"


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The CoOp split; metadata.csv names the class of each folder."""
    metadata = root / "metadata.csv"
    columns = ("idx", "folder_name", "class_name")
    classes = {
        row["folder_name"]: (whole_number(row["idx"]), row["class_name"].replace("_", " "))
        for row in table(metadata, columns, unique=columns)
    }
    for split, file in coop_split(root):
        key, folder = without_suffix(file), file.derived(file.partition("/")[0])
        class_id, name = look_up(folder, classes, metadata)
        yield split, key, f"{_IMAGES}/{file}", class_id, name
