"""Builds the manifest of a dataset: every image of every split, checked against the disk."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import polars as pl

from speciarl.datasets.counts import check_counts
from speciarl.datasets.readers import (
    SCHEMA,
    SPLITS,
    caltech101,
    cub200,
    fgvc_aircraft,
    flowers102,
    folders,
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
        dataset: one of `READERS`.
        raw_dir: folder of the unpacked archives, relative to `root`; it becomes the beginning
            of every image's reference.
        split_kind: "official" or "coop", where the benchmark has it (`SPLIT_KINDS`).
        root: the project root.
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
    manifest = (
        frame(dataset, reader.read(root / raw_dir, split_kind))
        .with_columns(image=pl.lit(f"{Path(raw_dir).as_posix()}/") + pl.col("image"))
        .sort("sample_id")
    )
    check_manifest(manifest, dataset)
    if published:
        check_counts(manifest, published, f"{dataset} {split_kind}")
    _check_images(manifest, dataset, root)
    return manifest


def build_folder_manifest(
    dataset: str,
    path: Path,
    *,
    test_share: float | None,
    seed: int,
    bad_images: str = "leave_out",
    threads: int = 1,
) -> tuple[pl.DataFrame, Counter[str]]:
    """Read a custom dataset (`folders.read`) into the manifest schema, as `build_manifest`.

    Returns:
        The manifest, and how many files are not in it, by reason.
    """
    rows, left_out = folders.read(
        path, dataset, test_share=test_share, seed=seed, bad_images=bad_images, threads=threads
    )
    manifest = rows.sort("sample_id")
    check_manifest(manifest, dataset)
    return manifest, left_out


def check_manifest(manifest: pl.DataFrame, dataset: str) -> None:
    """Raise a DataError unless the manifest has the schema and contradicts itself nowhere."""
    if dict(manifest.schema) != SCHEMA:
        raise DataError(f"{dataset}: expected the columns {SCHEMA}, found {dict(manifest.schema)}")
    if manifest.is_empty():
        raise DataError(f"{dataset}: expected images, found none")
    if nulls := [name for name in SCHEMA if manifest[name].has_nulls()]:
        raise DataError(f"{dataset}: expected a value everywhere, found gaps in {', '.join(nulls)}")
    if unknown := set(manifest["split"].unique()) - set(SPLITS):
        raise DataError(f"{dataset}: expected the splits {SPLITS}, found {sorted(unknown)}")
    for column in ("sample_id", "image"):
        repeated = sorted(set(manifest.filter(pl.col(column).is_duplicated())[column]))
        if repeated:
            raise DataError(
                f"{dataset}: expected every {column} once, found {len(repeated)} repeated, "
                f"first {repeated[0]}"
            )
    classes = manifest.select("class_id", "class_name").unique()
    if not len(classes) == classes["class_id"].n_unique() == classes["class_name"].n_unique():
        raise DataError(f"{dataset}: expected one name per class id, found {len(classes)} pairings")


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


def _check_images(manifest: pl.DataFrame, dataset: str, root: Path) -> None:
    files = manifest["image"].str.replace(r"#\d+$", "").unique().sort()
    # One listing per folder instead of one question per image: there may be 100,000.
    places = {file.rpartition("/")[0] for file in files}
    present = {f"{folder}/{entry.name}" for folder in places for entry in (root / folder).glob("*")}
    missing = [file for file in files if file not in present]
    if missing:
        raise DataError(
            f"{dataset}: expected {len(files)} image files, found {len(files) - len(missing)}; "
            f"first missing {missing[0]}; delete {dataset}'s raw folder and download again"
        )
