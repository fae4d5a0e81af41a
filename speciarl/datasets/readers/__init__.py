"""One reader per benchmark, and what they share: the manifest's schema and its index files.

A reader is a module with `SPLIT_KINDS`, the split kinds that exist for the benchmark, and
`read(root, split_kind)`, which reads the unpacked archives in `root` and yields a row for every
image, whose path is still relative to `root`. Readers trust no line of an index file: each text
of one is a `Field`, which knows its place, and what is wrong with it becomes a `DataError` there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl

from speciarl.datasets.readers.matlab import read_variable
from speciarl.errors import DataError, one_line
from speciarl.files import read_csv, read_text

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

Value = TypeVar("Value")


class Field(str):
    """A text of an index file."""

    __slots__ = ("place",)

    place: str
    """Where it stands: `FILE:LINE`, `FILE:VARIABLE(RECORD)` of MATLAB, or `FILE#ROW` of parquet"""

    def __new__(cls, text: object, place: str) -> Self:
        field = super().__new__(cls, text)
        field.place = place
        return field

    def derived(self, text: object) -> "Field":
        """What was made of it, which stands at the same place."""
        return Field(text, self.place)

    def fault(self, expected: str) -> DataError:
        shown = str(self) if len(self) < 50 else f"{self[:20]}…"
        return DataError(f"{self.place}: expected {expected}, found {shown!r}")


Row = tuple[str, Field, str, int, str]
"""split, key (unique within the split), image, class id from 0, display name"""


def frame(dataset: str, rows: Iterable[Row]) -> pl.DataFrame:
    """The columns of SCHEMA, and `place`, where the index file has the row.

    The sample id is DATASET/SPLIT/KEY.
    """
    records = [
        (f"{dataset}/{split}/{key}", dataset, split, image, class_id, class_name, key.place)
        for split, key, image, class_id, class_name in rows
    ]
    try:
        return pl.DataFrame(records, schema=SCHEMA | {"place": pl.String}, orient="row")
    except (pl.exceptions.PolarsError, OverflowError, UnicodeError) as error:
        raise DataError(
            f"{dataset}: its index files cannot be tabled ({one_line(error)})"
        ) from None


def check_manifest(rows: pl.DataFrame, dataset: str) -> None:
    """Raise a DataError that names the place of a row of a `frame` if it contradicts others.

    Of two names of a class, or classes of a name, the one that fewer images have is at fault.
    """
    if rows.is_empty():
        raise DataError(f"{dataset}: expected images, found none")
    pair = ("class_id", "class_name")
    alike = pl.len().over(pair)
    faults = {
        "a value everywhere": pl.any_horizontal(pl.all().is_null()),
        f"a split of {', '.join(SPLITS)}": ~pl.col("split").is_in(SPLITS),
        "a class id from 0, and a name": (pl.col("class_id") < 0) | (pl.col("class_name") == ""),
        **{f"every {n} once": ~pl.col(n).is_first_distinct() for n in ("sample_id", "image")},
        **{
            f"one {of} of each {each}": (pl.col(of).n_unique().over(each) > 1)
            & (alike == alike.min().over(each))
            for each, of in (pair, pair[::-1])
        },
    }
    for expected, is_at_fault in faults.items():
        for row in rows.filter(is_at_fault).head(1).iter_rows(named=True):
            raise DataError(
                f"{row['place']}: expected {expected}, found {row['sample_id']!r} of class "
                f"{row['class_id']}, {row['class_name']!r}"
            )


def require(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"{path}: index file is missing; delete its folder and download the dataset again"
        )


def lines(path: Path) -> list[Field]:
    """The non-empty lines of a text file, without the whitespace at their ends."""
    require(path)
    numbered = enumerate(read_text(path).split("\n"), 1)
    found = [Field(line.rstrip(), f"{path}:{n}") for n, line in numbered if line.strip()]
    if not found:
        raise DataError(f"{path}: expected at least one line, found an empty file")
    for line in found:
        if len(line) > LONGEST_LINE:
            raise line.fault(f"a line of at most {LONGEST_LINE} characters")
    return found


def once(fields: Iterable[Field]) -> list[Field]:
    """The fields as they are; a DataError names the second of two that are equal."""
    known: dict[str, Field] = {}
    for field in fields:
        if (first := known.setdefault(field, field)) is not field:
            raise field.fault(f"another value than in {first.place}")
    return list(known.values())


def pairs(path: Path) -> dict[Field, Field]:
    """The lines of a text file, each parted at its first space; what stands before is unique."""
    parted = [(line, *line.partition(" ")) for line in lines(path)]
    for line, _, space, _ in parted:
        if not space:
            raise line.fault("'ID VALUE'")
    keys = once(line.derived(left) for line, left, _, _ in parted)
    return {key: key.derived(right) for key, (*_, right) in zip(keys, parted, strict=True)}


def table(path: Path, columns: Sequence[str], unique: Sequence[str] = ()) -> list[dict[str, Field]]:
    """These columns of the rows of a CSV file; some have each value but once."""
    require(path)
    rows = [
        {name: Field(row[name], place) for name in columns}
        for place, row in read_csv(path, columns)[1]
    ]
    for name in unique:
        once(row[name] for row in rows)
    return rows


def coop_split(root: Path) -> Iterator[tuple[str, Field]]:
    """(split, file name) of every row of the benchmark's split_coop.csv."""
    for row in table(root / "split_coop.csv", ("split", "filename")):
        if row["split"] not in SPLITS:
            raise row["split"].fault(f"one of {', '.join(SPLITS)}")
        yield row["split"], row["filename"]


def whole_number(field: Field, lowest: int = 0, highest: int = 999_999_999) -> int:
    """The number that a field must hold; by default what fits an Int32."""
    digits = field.isascii() and field.isdigit() and len(field) < 10
    if not (digits and lowest <= int(field) <= highest):
        raise field.fault(f"a whole number of {lowest} to {highest}")
    return int(field)


def without_suffix(file_name: Field) -> Field:
    """A file's place in its archive without the ending."""
    place = PurePosixPath(file_name)
    if not place.name:
        raise file_name.fault("the name of a file")
    return file_name.derived(place.with_suffix(""))


def look_up(key: Field, known: Mapping[Any, Value], source: Path) -> Value:
    """The value of a key that an index file, `source`, should know."""
    if key not in known:
        raise key.fault(f"one of {len(known)} entries of {source.name}")
    return known[key]


def mat_cells(path: Path, name: str) -> list[Field]:
    """A variable of a MATLAB file that holds one text or number in each cell."""
    return [_of_cell(cell, place) for cell, place in _placed(path, name)]


def mat_records(path: Path, name: str, *fields: str) -> list[tuple[Field, ...]]:
    """Fields of each record of a structure array, with one text or number in each."""
    return [
        tuple(_of_cell(_member(record, field, place), f"{place}.{field}") for field in fields)
        for record, place in _placed(path, name)
    ]


def _placed(path: Path, name: str) -> list[tuple[object, str]]:
    """The elements of a variable of a MATLAB file, each with its place as MATLAB writes it."""
    require(path)
    return [(one, f"{path}:{name}({n})") for n, one in enumerate(read_variable(path, name), 1)]


def _member(record: object, field: str, place: str) -> object:
    if not isinstance(record, np.void) or field not in (record.dtype.names or ()):
        raise DataError(f"{place}: expected the field {field!r}: is it labelled?")
    return record[field]


def _of_cell(cell: object, place: str) -> Field:
    if not isinstance(cell, np.ndarray | np.generic) or cell.size != 1:
        raise DataError(f"{place}: expected one value")
    value = cell.item()
    return Field(int(value) if isinstance(value, float) and value.is_integer() else value, place)
