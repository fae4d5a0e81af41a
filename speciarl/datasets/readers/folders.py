"""A custom dataset: any folder that holds a folder of images per class.

The class is what the folder is called, with spaces for underscores. Every file is accounted for: it
becomes a row of the manifest, or is counted among those left out.
"""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from speciarl.datasets.images import BadImage, find_bad
from speciarl.datasets.readers import SCHEMA, SPLITS, Field, Row, check_manifest, frame
from speciarl.datasets.sampling import shuffled
from speciarl.errors import DataError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif"}
)
NOT_IMAGES, OUTSIDE, ILL_NAMED = "no images by name", "outside class folders", "ill named"
NAMED = 5  # bad images that the log and a refusal name

log = logging.getLogger(__name__)


def build_folder_manifest(
    dataset: str, folder: Path, *, test_share: float | None, seed: int,
    bad_images: str = "leave_out", threads: int = 1,
) -> tuple[pl.DataFrame, Counter[str]]:  # fmt: skip
    """Manifest of a folder, and how many files are not in it, by reason.

    Args:
        folder: class folders; or, without `test_share`, folders named train, val and test that
            hold the class folders.
        test_share: share of each class's images for the test split, at least one where the class
            has two; the rest is for training.
        seed: picks which.
        bad_images: "leave_out" those that cannot be used, or "refuse" the dataset.
        threads: images opened side by side.

    Raises:
        DataError: the folder is missing, not of that form, or a class has no images.
    """
    if not folder.is_dir():
        raise DataError(
            f"{dataset}: {folder} is no folder; correct datasets.folders.{dataset}.path"
        )
    places = _places(folder, dataset, divided=test_share is None)
    left_out: Counter[str] = Counter()
    for place in {folder, *places.values()}:
        left_out.update(_reason(path) or OUTSIDE for path in _visible(place) if not path.is_dir())
    rows = frame(dataset, _rows(places, _class_ids(places, dataset), left_out))
    rows = _without_bad(rows, dataset, bad_images, threads, left_out)
    if test_share is not None:
        rows = _divided(rows, test_share, seed)
    if "test" not in rows["split"]:
        raise DataError(
            f"{dataset}: expected images for the test in {folder}, found none: add a folder "
            "named test, or state a test_share where a class has two images"
        )
    check_manifest(rows, dataset)
    return rows.select(*SCHEMA).sort("sample_id"), left_out


def class_names(folder: Path, test_share: float | None) -> list[str]:
    """The classes by the names of their folders alone; none of a folder that cannot be read."""
    places = [folder] if test_share is not None else [folder / split for split in SPLITS]
    return sorted({_class_name(f) for p in places if p.is_dir() for f in _folders(p)})


def _places(folder: Path, dataset: str, *, divided: bool) -> dict[str, Path]:
    """The folders that hold class folders, by split; "" where they are still to be divided."""
    found = {path.name: path for path in _folders(folder)}
    as_splits = {name.lower() for name in found} & set(SPLITS)
    key = f"datasets.folders.{dataset}.test_share"
    if not divided:
        if as_splits and (len(as_splits) == len(found) or as_splits >= {"train", "test"}):
            raise DataError(
                f"{dataset}: expected class folders in {folder}, found {_some(list(found))}; "
                f"if these are splits, remove {key}"
            )
        return {"": folder}
    if not found or not set(found) <= set(SPLITS):
        raise DataError(
            f"{dataset}: expected only folders named {', '.join(SPLITS)} in {folder}, found "
            f"{_some(list(found))}; if these are classes, state {key}"
        )
    return {split: found[split] for split in SPLITS if split in found}


def _class_ids(places: Mapping[str, Path], dataset: str) -> dict[str, int]:
    """Ids of the class names, in their order.

    Raises:
        DataError: a name that is none, two that are one but for case and spelling, fewer than two.
    """
    known: dict[str, Path] = {}
    for path in (folder for place in places.values() for folder in _folders(place)):
        name = _class_name(path)
        if not name or _ill_named(path.name):
            raise DataError(f"{dataset}: {str(path)!r} is no name for a class: rename it")
        twin = known.setdefault(name.casefold(), path)
        if twin is not path and (twin.parent == path.parent or _class_name(twin) != name):
            raise DataError(
                f"{dataset}: {twin} and {path} are one class but for the spelling: merge them, or "
                "give them names that differ in more"
            )
    if len(known) < 2:
        raise DataError(
            f"{dataset}: expected folders of at least two classes in "
            f"{' and '.join(map(str, places.values()))}, found "
            f"{_some([str(path) for path in known.values()])}: state the folder that holds them as "
            f"datasets.folders.{dataset}.path"
        )
    return {name: index for index, name in enumerate(sorted(map(_class_name, known.values())))}


def _rows(
    places: Mapping[str, Path], class_ids: Mapping[str, int], left_out: Counter[str]
) -> Iterator[Row]:
    for split, place in places.items():
        for class_folder in _folders(place):
            reasons = {path: _reason(path) for path in _files(class_folder)}
            left_out.update(filter(None, reasons.values()))
            images = [path for path, why in reasons.items() if why is None]
            if not images:
                raise DataError(
                    f"{class_folder}: expected images of a class, found none: add some, or remove "
                    "the folder"
                )
            name = _class_name(class_folder)
            for path in images:
                key = Field(path.relative_to(place).as_posix(), str(path))
                yield split, key, path.as_posix(), class_ids[name], name


def _files(class_folder: Path) -> Iterator[Path]:
    """The files of a class; folders in it may hold anything but images."""
    for path in _visible(class_folder):
        if not path.is_dir():
            yield path
            continue
        for below in _below(path):
            if _reason(below) is None:
                raise DataError(
                    f"{class_folder}: expected the images of one class, found a folder of images, "
                    f"{path.name}: classes are not nested, put all images of one side by side"
                )
            yield below


def _without_bad(
    rows: pl.DataFrame, dataset: str, bad_images: str, threads: int, left_out: Counter[str]
) -> pl.DataFrame:
    """The rows whose images can be used; the others are counted, and the first of them named."""
    bad = find_bad(rows["image"], Path(), threads)
    if not bad:
        return rows
    if bad_images == "refuse":
        raise DataError(
            f"{dataset}: {len(bad)} of {rows.height} images cannot be used: {_described(bad)}; "
            f"replace or remove them, or set datasets.folders.{dataset}.bad_images: leave_out"
        )
    log.warning("%s: left out %d of %d images that cannot be used: %s", dataset, len(bad),
                rows.height, _described(bad))  # fmt: skip
    left_out.update(fault.kind for fault in bad.values())
    good = rows.filter(~pl.col("image").is_in(list(bad)))
    empty = rows.join(good, on="class_name", how="anti")
    if not empty.is_empty():
        name = empty["class_name"][0]
        faults = {image: bad[image] for image in empty.filter(class_name=name)["image"]}
        raise DataError(
            f"{dataset}: no image of {name!r} can be used: {_described(faults)}; "
            "replace them, or remove the class"
        )
    return good


def _divided(rows: pl.DataFrame, test_share: float, seed: int) -> pl.DataFrame:
    """The rows with their split, chosen by a hash of each one's place in the folder."""
    ranked = shuffled(rows, seed, "split")
    count = pl.len().over("class_id")
    wanted = (count * test_share).round().clip(lower_bound=1)
    is_test = pl.int_range(pl.len()).over("class_id") < pl.min_horizontal(wanted, count - 1)
    split = pl.when(is_test).then(pl.lit("test")).otherwise(pl.lit("train"))
    key = pl.col("sample_id").str.replace(r"^[^/]*//", "")
    return ranked.with_columns(
        split=split, sample_id=pl.concat_str("dataset", split, key, separator="/")
    )


def _described(bad: Mapping[str, BadImage]) -> str:
    return _some([f"{image}: {fault.kind} ({fault.detail})" for image, fault in bad.items()])


def _some(names: list[str]) -> str:
    """The first few of many names; a list in a message must not be of ten thousand."""
    rest = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest or "none"


def _reason(path: Path) -> str | None:
    """Why a file is no image already by its name; None if it may be one."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return NOT_IMAGES
    return ILL_NAMED if _ill_named(path.name) else None


def _ill_named(name: str) -> bool:
    """Whether a name has what no table can hold, control characters or bytes that are not UTF-8, or
    braces, which are wildcards in the workflow."""
    return any(c in "{}" or unicodedata.category(c) in ("Cc", "Cs") for c in name)


def _class_name(folder: Path) -> str:
    """Composed characters: some systems store "ü" as "u" and its dots."""
    return " ".join(unicodedata.normalize("NFC", folder.name).replace("_", " ").split())


def _folders(place: Path) -> list[Path]:
    return [path for path in _visible(place) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _below(folder: Path) -> Iterator[Path]:
    """All visible files of a folder and of those in it; links are not followed, they may loop."""
    for path in _visible(folder):
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
        else:
            yield path
