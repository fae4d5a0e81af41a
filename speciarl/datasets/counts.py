"""data/counts.csv: how many images of each class each split has, as published.

Columns: mirror, dataset, kind (of the split), split, images, per_class (numbers separated by one
space, in the order of class ids). What the table does not have is not checked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from speciarl.errors import DataError
from speciarl.files import read_csv

COLUMNS = ["mirror", "dataset", "kind", "split", "images", "per_class"]


def published_counts(path: Path, mirror: str, dataset: str, kind: str) -> dict[str, list[int]]:
    """Images per class, in the order of class ids, of each split; empty where none are stated.

    Raises:
        DataError: the table is missing or malformed.
    """
    found = {}
    for place, row in read_csv(path, COLUMNS)[1]:
        if (row["mirror"], row["dataset"], row["kind"]) != (mirror, dataset, kind):
            continue
        per_class = row["per_class"].split(" ")
        if not all(number.isdecimal() for number in [row["images"], *per_class]):
            raise DataError(f"{place}: expected numbers of images")
        found[row["split"]] = [int(number) for number in per_class]
        if sum(found[row["split"]]) != int(row["images"]):
            raise DataError(f"{place}: per_class is not {row['images']}")
    return found


def check_counts(manifest: pl.DataFrame, published: Mapping[str, Sequence[int]], name: str) -> None:
    """Raise a DataError, with expected and found, unless a manifest has the published counts."""
    names = dict(manifest.select("class_id", "class_name").iter_rows())
    advice = "an archive or split file is not the published one: fetch it again"
    for split, expected in published.items():
        rows = manifest.filter(pl.col("split") == split)
        if len(rows) != sum(expected) or rows["class_id"].n_unique() != len(expected):
            raise DataError(
                f"{name} {split}: expected {sum(expected)} images in {len(expected)} classes, "
                f"found {len(rows)} in {rows['class_id'].n_unique()}; {advice}"
            )
        counted = dict(rows.group_by("class_id").len().iter_rows())
        for class_id, wanted in enumerate(expected):
            if counted.get(class_id, 0) != wanted:
                raise DataError(
                    f"{name} {split}: expected {wanted} images of {names.get(class_id)!r}, "
                    f"found {counted.get(class_id, 0)}; {advice}"
                )
    if unknown := sorted(set(manifest["split"]) - set(published)):
        raise DataError(f"{name}: expected no split {unknown[0]}, found one; {advice}")
