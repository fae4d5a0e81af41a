"""Flowers102: MATLAB files (official split) or tables (CoOp split) beside a folder of images.

The official files number the classes and name none; the names stand in metadata.csv, which is
published with the CoOp split.
"""

from collections.abc import Iterator
from pathlib import Path

from speciarl.datasets.readers import (
    Field,
    Row,
    coop_split,
    look_up,
    mat_cells,
    table,
    whole_number,
    without_suffix,
)

SPLIT_KINDS = ("official", "coop")
_OFFICIAL = {"train": "trnid", "val": "valid", "test": "tstid"}


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official split (setid.mat) or the CoOp split (split_coop.csv)."""
    if split_kind == "official":
        source, members = root / "imagelabels.mat", _official_split(root)
        numbered = enumerate(mat_cells(source, "labels"), start=1)
        labels = {
            f"image_{n:05d}.jpg": label.derived(whole_number(label, 1) - 1) for n, label in numbered
        }
    else:
        source, members = root / "labels.csv", coop_split(root)
        rows = table(source, ("filename", "class_idx"), unique=("filename",))
        labels = {row["filename"]: row["class_idx"] for row in rows}
    metadata = root / "metadata.csv"
    columns = ("idx", "class_name")
    names = {row["idx"]: row["class_name"] for row in table(metadata, columns, unique=columns)}
    for split, file_name in members:
        label = look_up(file_name, labels, source)
        name = look_up(label, names, metadata)
        yield split, without_suffix(file_name), f"jpg/{file_name}", whole_number(label), name


def _official_split(root: Path) -> Iterator[tuple[str, Field]]:
    for split, variable in _OFFICIAL.items():
        for member in mat_cells(root / "setid.mat", variable):
            yield split, member.derived(f"image_{whole_number(member, 1):05d}.jpg")
