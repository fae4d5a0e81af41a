"""Flowers102: MATLAB files (official split) or tables (CoOp split) beside a folder of images.

The official files number the classes and name none; the names stand in metadata.csv, which is
published with the CoOp split.
"""

from collections.abc import Iterator
from pathlib import Path

from speciarl.datasets.readers import Row, coop_split, look_up, mat_numbers, table, whole_number

SPLIT_KINDS = ("official", "coop")
_OFFICIAL = {"train": "trnid", "val": "valid", "test": "tstid"}


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official split (setid.mat) or the CoOp split (split_coop.csv)."""
    if split_kind == "official":
        source, members = root / "imagelabels.mat", _official_split(root)
        numbered = enumerate(mat_numbers(source, "labels"), start=1)
        labels = {f"image_{n:05d}.jpg": label - 1 for n, label in numbered}
    else:
        source, members = root / "labels.csv", coop_split(root)
        rows = table(source, ("filename", "class_idx"))
        labels = {row["filename"]: whole_number(row["class_idx"], source) for row in rows}
    metadata = root / "metadata.csv"
    names = {
        whole_number(row["idx"], metadata): row["class_name"]
        for row in table(metadata, ("idx", "class_name"))
    }
    for split, file_name in members:
        class_id = look_up(file_name, labels, source)
        name = look_up(class_id, names, metadata)
        yield split, Path(file_name).stem, f"jpg/{file_name}", class_id, name


def _official_split(root: Path) -> Iterator[tuple[str, str]]:
    for split, variable in _OFFICIAL.items():
        for n in mat_numbers(root / "setid.mat", variable):
            yield split, f"image_{n:05d}.jpg"
