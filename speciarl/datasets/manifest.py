"""Builds the manifest of a dataset: every image of every split, checked against the disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType

import polars as pl

from speciarl.datasets.counts import check_counts
from speciarl.datasets.readers import (
    SCHEMA,
    caltech101,
    check_manifest,
    cub200,
    fgvc_aircraft,
    flowers102,
    food101,
    frame,
    oxford_pets,
    stanford_cars,
)
from speciarl.errors import ConfigError, DataError

READERS: dict[str, ModuleType] = {
    "caltech101": caltech101,
    "cub200": cub200,
    "fgvc_aircraft": fgvc_aircraft,
    "flowers102": flowers102,
    "food101": food101,
    "oxford_pets": oxford_pets,
    "stanford_cars": stanford_cars,
}


def build_manifest(
    dataset: str,
    raw_dir: Path,
    split_kind: str,
    root: Path = Path(),
    published: Mapping[str, Sequence[int]] | None = None,
) -> pl.DataFrame:
    """Read a dataset's unpacked archives into the manifest schema.

    Args:
        raw_dir: folder of the unpacked archives, relative to `root`; it becomes the beginning
            of every image's reference.
        split_kind: "official" or "coop", where the benchmark has it (`SPLIT_KINDS`).
        published: images per class of each split, to be checked (`published_counts`).

    Returns:
        One row per image in the columns of `SCHEMA`, sorted by sample_id.

    Raises:
        ConfigError: an unknown dataset or split kind.
        DataError: index files that are missing or contradictory, or images that are.
    """
    if dataset not in READERS:
        raise ConfigError(f"dataset {dataset!r} is unknown; expected one of {', '.join(READERS)}")
    reader = READERS[dataset]
    if split_kind not in reader.SPLIT_KINDS:
        raise ConfigError(
            f"{dataset} has no split {split_kind!r}; expected {' or '.join(reader.SPLIT_KINDS)}"
        )
    rows = frame(dataset, reader.read(root / raw_dir, split_kind))
    for image, place in rows.select("image", "place").iter_rows():
        if ".." in PurePosixPath(image).parts or not image.isprintable():
            raise DataError(f"{place}: {image!r} is no name of an image in the dataset's folder")
    check_manifest(rows, dataset)
    if published:
        check_counts(rows, published, f"{dataset} {split_kind}")
    folder = pl.lit(f"{Path(raw_dir).as_posix()}/")
    rows = rows.with_columns(image=folder + pl.col("image")).sort("sample_id")
    _check_images(rows, dataset, root)
    return rows.select(*SCHEMA)


def summary(manifest: pl.DataFrame) -> str:
    """One line for a log: images, classes, and images of each split."""
    counts = dict(manifest.group_by("split").len().sort("split").iter_rows())
    return f"{manifest.height} images of {manifest['class_id'].n_unique()} classes: {counts}"


def accounted(manifest: pl.DataFrame, left_out: Mapping[str, int]) -> str:
    """One line: the files found are those of the manifest and those left out, by reason."""
    dropped = sum(left_out.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()))
    return (
        f"{manifest.height + dropped:,} files: {manifest.height:,} images, "
        f"{dropped:,} left out" + (f" ({reasons})" if reasons else "")
    )


def _check_images(rows: pl.DataFrame, dataset: str, root: Path) -> None:
    named = rows.select(pl.col("image").str.replace(r"#\d+$", ""), "place")
    files = dict(named.unique("image", keep="first", maintain_order=True).iter_rows())
    # One listing per folder instead of one question per image: there may be 100,000.
    folders = {file.rpartition("/")[0] for file in files}
    present = {f"{f}/{entry.name}" for f in folders for entry in (root / f).glob("*")}
    missing = [file for file in files if file not in present]
    if missing:
        raise DataError(
            f"{dataset}: expected {len(files)} image files, found {len(files) - len(missing)}; "
            f"first missing {missing[0]}, which {files[missing[0]]} names; delete {dataset}'s raw "
            "folder and download again"
        )
