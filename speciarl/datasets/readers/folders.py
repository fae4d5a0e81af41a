"""A dataset of one's own: any folder that holds a folder of pictures per class.

The class is what the folder is called, with spaces for underscores. Pictures may lie in folders
below that of their class.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from speciarl.datasets.readers import SPLITS, Row, frame
from speciarl.datasets.sampling import shuffled
from speciarl.errors import DataError

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

log = logging.getLogger(__name__)


def read(folder: Path, dataset: str, *, test_share: float | None, seed: int) -> pl.DataFrame:
    """Manifest of a folder; `image` is relative to it.

    Args:
        folder: class folders; or, without `test_share`, folders named train, val and test that
            hold the class folders.
        dataset: what the dataset is called.
        test_share: share of each class's pictures for the test split, at least one where the class
            has two; the rest is for training.
        seed: picks which.

    Raises:
        DataError: the folder is missing, not of that form, or a class has no pictures.
    """
    if not folder.is_dir():
        raise DataError(
            f"{dataset}: {folder} is no folder; correct datasets.folders.{dataset}.path"
        )
    places = {"": folder} if test_share is not None else _split_folders(folder, dataset)
    names = sorted({_class_name(f) for place in places.values() for f in _folders(place)})
    class_ids = {name: index for index, name in enumerate(names)}
    rows = frame(
        dataset,
        (row for split, place in places.items() for row in _rows(split, place, folder, class_ids)),
    )
    if test_share is not None:
        rows = _divided(rows, test_share, seed)
    if not rows.is_empty() and "test" not in rows["split"]:
        raise DataError(
            f"{dataset}: expected pictures for the test in {folder}, found none: add a folder "
            "named test, or state a test_share where a class has two pictures"
        )
    return rows


def class_names(folder: Path, test_share: float | None) -> list[str]:
    """The classes by the names of their folders alone; none of a folder that cannot be read."""
    places = [folder] if test_share is not None else [folder / split for split in SPLITS]
    return sorted({_class_name(f) for p in places if p.is_dir() for f in _folders(p)})


def _split_folders(folder: Path, dataset: str) -> dict[str, Path]:
    found = {path.name: path for path in _folders(folder)}
    if not found or not set(found) <= set(SPLITS):
        raise DataError(
            f"{dataset}: expected only folders named {', '.join(SPLITS)} in {folder}, found "
            f"{', '.join(sorted(found)) or 'none'}; if these are classes, state "
            f"datasets.folders.{dataset}.test_share"
        )
    return {split: found[split] for split in SPLITS if split in found}


def _rows(split: str, place: Path, folder: Path, class_ids: dict[str, int]) -> Iterator[Row]:
    for class_folder in _folders(place):
        found = (path for path in class_folder.rglob("*") if not path.name.startswith("."))
        files = sorted(path for path in found if path.is_file())
        pictures = [path for path in files if path.suffix.lower() in PICTURES]
        if not pictures:
            raise DataError(f"{class_folder}: expected pictures of a class, found none")
        if len(files) > len(pictures):
            log.info("%s: left out %d of %d files, which are no pictures by their names",
                     class_folder, len(files) - len(pictures), len(files))  # fmt: skip
        name = _class_name(class_folder)
        for path in pictures:
            key = path.relative_to(place).as_posix()
            yield split, key, path.relative_to(folder).as_posix(), class_ids[name], name


def _divided(rows: pl.DataFrame, test_share: float, seed: int) -> pl.DataFrame:
    """The rows with their split, chosen by a hash of each one's place in the folder."""
    ranked = shuffled(rows, seed, "split")
    count = pl.len().over("class_id")
    wanted = (count * test_share).round().clip(lower_bound=1)
    is_test = pl.int_range(pl.len()).over("class_id") < pl.min_horizontal(wanted, count - 1)
    split = pl.when(is_test).then(pl.lit("test")).otherwise(pl.lit("train"))
    return ranked.with_columns(
        split=split,
        sample_id=pl.concat_str("dataset", split, "image", separator="/"),
    )


def _class_name(folder: Path) -> str:
    return " ".join(folder.name.replace("_", " ").split())


def _folders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))
