"""One reader per benchmark, and what they share: the manifest's schema and its index files.

A reader is a module with `SPLIT_KINDS`, the split kinds that exist for the benchmark, and
`read(root, split_kind)`, which reads the unpacked archives in `root` and yields a row for every
image, whose path is still relative to `root`. Readers trust no line of an index file: what they
cannot read becomes a `DataError` that names the file and the line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import polars as pl

from speciarl.datasets.readers.matlab import read_variable
from speciarl.errors import DataError, one_line
from speciarl.files import read_csv

SCHEMA = {
    "sample_id": pl.String,
    "dataset": pl.String,
    "split": pl.String,
    "image": pl.String,
    "class_id": pl.Int32,
    "class_name": pl.String,
}
SPLITS = ("train", "val", "test")
LONGEST_LINE = 300  # characters of an index file; those of the benchmarks have a third

Key = TypeVar("Key")
Value = TypeVar("Value")

Row = tuple[str, str, str, int, str]
"""split, key (unique within the split), image, class id from 0, display name"""


def frame(dataset: str, rows: Iterable[Row]) -> pl.DataFrame:
    """Manifest of a dataset; the sample id is DATASET/SPLIT/KEY."""
    records = [
        (f"{dataset}/{split}/{key}", dataset, split, image, class_id, class_name)
        for split, key, image, class_id, class_name in rows
    ]
    try:
        return pl.DataFrame(records, schema=SCHEMA, orient="row")
    except (pl.exceptions.PolarsError, OverflowError, UnicodeError) as error:
        raise DataError(
            f"{dataset}: its index files cannot be tabled ({one_line(error)})"
        ) from None


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
        if repeated := sorted(set(manifest.filter(pl.col(column).is_duplicated())[column])):
            raise DataError(
                f"{dataset}: expected every {column} once, found {len(repeated)} repeated, "
                f"first {repeated[0]}"
            )
    if (manifest["class_id"] < 0).any():
        raise DataError(f"{dataset}: expected class ids from 0 (in its index files from 1)")
    classes = manifest.select("class_id", "class_name").unique()
    if not len(classes) == classes["class_id"].n_unique() == classes["class_name"].n_unique():
        raise DataError(f"{dataset}: expected one name per class id, found {len(classes)} pairings")


def require(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"{path}: index file is missing; delete its folder and download the dataset again"
        )


def lines(path: Path) -> list[str]:
    """The non-empty lines of a text file, without the whitespace at their ends."""
    require(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text ({error})") from None
    numbered = enumerate(text.splitlines(), 1)
    if long := [number for number, line in numbered if len(line) > LONGEST_LINE]:
        raise DataError(f"{path}:{long[0]}: expected a line of at most {LONGEST_LINE} characters")
    found = [line.rstrip() for line in text.splitlines() if line.strip()]
    if not found:
        raise DataError(f"{path}: expected at least one line, found an empty file")
    return found


def pairs(path: Path) -> list[tuple[str, str]]:
    """The lines of a text file, each parted at its first space."""
    found = lines(path)
    if alone := [line for line in found if " " not in line]:
        raise DataError(f"{path}: expected 'ID VALUE' on every line, found {alone[0]!r}")
    return [(left, right) for left, _, right in (line.partition(" ") for line in found)]


def table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file that has at least the given columns."""
    require(path)
    return [row for _, row in read_csv(path, columns)[1]]


def coop_split(root: Path) -> Iterator[tuple[str, str]]:
    """(split, file name) of every row of the benchmark's split_coop.csv."""
    path = root / "split_coop.csv"
    for row in table(path, ("split", "filename")):
        if row["split"] not in SPLITS:
            raise DataError(f"{path}: expected one of {', '.join(SPLITS)}, found {row['split']!r}")
        yield row["split"], row["filename"]


def whole_number(text: str, path: Path) -> int:
    """The number that a field of an index file must hold."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # 9 digits fit an Int32
        shown = text if len(text) < 50 else f"{text[:20]}…"
        raise DataError(f"{path}: expected a number, found {shown!r}")
    return int(text)


def without_suffix(file_name: str, path: Path) -> str:
    """A file's place in its archive without the ending, as the index file `path` names it."""
    place = PurePosixPath(file_name)
    if not place.name:
        raise DataError(f"{path}: expected the name of a file, found {file_name!r}")
    return str(place.with_suffix(""))


def look_up(key: Key, known: Mapping[Key, Value], path: Path) -> Value:
    """The value of a key that an index file, `path`, should know."""
    if key not in known:
        raise DataError(f"{path}: no entry for {key!r}, expected one of {len(known)}")
    return known[key]


def mat_variable(path: Path, name: str) -> np.ndarray:
    """One variable of a MATLAB file, flattened."""
    require(path)
    return read_variable(path, name)


def mat_numbers(path: Path, name: str) -> list[int]:
    """A variable of a MATLAB file that holds the numbers 1 to 999,999,999."""
    found = mat_variable(path, name)
    if found.dtype.kind not in "uif" or not ((found >= 1) & (found < 1e9) & (found % 1 == 0)).all():
        raise DataError(f"{path}: expected {name} to hold whole numbers from 1")
    return found.astype(int).tolist()


def mat_texts(path: Path, name: str) -> list[str]:
    """A variable of a MATLAB file that is a cell array of texts."""
    return [_text_of(cell, path, name) for cell in mat_variable(path, name)]


def mat_records(path: Path, name: str, text: str, number: str) -> list[tuple[str, int]]:
    """A text and a number, fields of these names, of each record of a structure array."""
    found = mat_variable(path, name)
    missing = [field for field in (text, number) if field not in (found.dtype.names or ())]
    if missing:
        raise DataError(
            f"{path}: expected {name} to have the field {missing[0]!r}: is it labelled?"
        )
    return [
        (
            _text_of(record[text], path, name),
            whole_number(_text_of(record[number], path, name), path),
        )
        for record in found
    ]


def _text_of(cell: object, path: Path, name: str) -> str:
    if not isinstance(cell, np.ndarray | np.generic) or cell.size != 1:
        raise DataError(f"{path}: expected one value in each cell of {name}")
    return str(cell.item())
