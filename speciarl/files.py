"""Files: written whole or not at all, hashed by content; and CSV read with every fault named."""

import csv
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import polars as pl
import pyarrow
from pyarrow.parquet import ParquetFile

from speciarl.disk import room_for
from speciarl.errors import DataError, one_line, printable

_UNREADABLE = (
    OSError, ValueError, MemoryError, pyarrow.ArrowException, pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)  # fmt: skip

_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^[+-]?(inf|nan)$"

log = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A place to write to; it becomes `path` only if the block ends well.

    Raises:
        DiskError: there is no room for it.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """An empty folder to fill; it replaces `path` only if the block ends well.

    What a killed writer has left of its own attempt is removed first.

    Raises:
        DiskError: there is no room for it.
    """
    partial, old = (path.with_name(f".{path.name}.{end}") for end in ("part", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with room_for(path):
            partial.mkdir(parents=True)
            yield partial
            shutil.rmtree(old, ignore_errors=True)
            if path.exists():
                path.replace(old)  # a kill amid the removal must not leave half of it in place
            partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_parquet(
    table: pl.DataFrame, path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a table; what it was made from and does not show can stand in the file's metadata."""
    with atomic_write(path) as partial:
        table.write_parquet(partial, compression="zstd", metadata=dict(metadata or {}) or None)


def read_foreign_parquet(
    path: Path, columns: Sequence[str] | Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """A parquet file that nobody vouches for: what is corrupt may abort the reader of polars.

    Args:
        columns: what to read of it, all if not given; a mapping to types of polars casts them.

    Raises:
        DataError: it is damaged, no parquet, or lacks one of the columns.
    """
    try:
        with ParquetFile(path) as file:
            missing = [name for name in columns or () if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"{path}: expected the column {missing[0]!r}, which is not there")
            table = file.read(columns=columns and list(columns))
        table.validate(full=True)
        found = pl.DataFrame(table)
        return found.cast(pl.Schema(columns)) if isinstance(columns, Mapping) else found
    except _UNREADABLE as error:
        why = one_line(error)[:200]
        raise DataError(f"{path} cannot be read as parquet: {why}; make or fetch it anew") from None


def write_rows(
    table: pl.DataFrame, into: TextIO, *, header: bool = True, float_precision: int | None = None
) -> None:
    """Write CSV that commands nobody who opens it.

    Of a text that a spreadsheet would take for a formula, column names included, an apostrophe
    stands before = + - @; what is a number stays one. A terminal gets no control characters.
    """
    if header:
        names = [f"{n}" for n in range(table.width)]
        write_rows(pl.DataFrame([table.columns], names, orient="row"), into, header=False)
    texts = pl.col(pl.String, pl.Categorical, pl.Enum).cast(pl.String)
    if into.isatty():
        table = table.with_columns(texts.map_elements(printable, pl.String))
    formula = texts.str.contains(_FORMULA) & ~texts.str.contains(_NUMBER)
    table = table.with_columns(pl.when(formula).then("'" + texts).otherwise(texts).name.keep())
    into.write(table.write_csv(include_header=False, float_precision=float_precision))


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table as `write_rows` does, numbers with four decimals, nothing where undefined."""
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        write_rows(table, file, float_precision=4)


def write_json(value: object, path: Path) -> None:
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def write_done(marker: Path, value: Any, files: Iterable[Path] = ()) -> None:
    """Note that something is done: what came of it as plain JSON, and the hashes of its files.

    Args:
        files: in the marker's folder, or below it.
    """
    hashes = {str(path.relative_to(marker.parent)): content_hash([path]) for path in files}
    write_json({"done": value, "files": hashes}, marker)


def read_done(marker: Path) -> Any | None:
    """The value that `write_done` has noted.

    None where there is no marker. The same, and a warning in the log, where the marker or one of
    its files is damaged, as a full disk or a power cut leave them: it is then to be done again.
    """
    try:
        noted = json.loads(marker.read_bytes())
        value, hashes = noted["done"], noted["files"]
        for name, expected in hashes.items():
            if content_hash([marker.parent / name]) != expected:
                raise ValueError(f"{name} was changed")
    except FileNotFoundError as error:
        if Path(error.filename) != marker:
            log.warning("%s: %s is gone: taken as not done", marker, error.filename)
        return None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        log.warning("%s is damaged (%s): taken as not done", marker, error)
        return None
    return value


def write_digest(folder: Path) -> None:
    """Put a digest of all files below a folder into it, as digest.json.

    DVC reads it as parameters, which may be missing where a dependency may not (dvc.yaml).
    """
    below = sorted(folder.iterdir())
    write_json({"files": content_hash(below)}, folder / "digest.json")


def content_hash(paths: Iterable[Path], *values: object) -> str:
    """Hash of the bytes of files (folders: of all files in them) and of plain JSON values."""
    digest = hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8)
    for path in paths:
        below = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for one in below:
            if one.name == ".snakemake_timestamp":
                continue
            digest.update(str(one.relative_to(path.parent)).encode())
            with one.open("rb") as content:
                digest.update(hashlib.file_digest(content, "blake2b").digest())
    return digest.hexdigest()


def read_text(path: Path) -> str:
    """A text in UTF-8.

    Raises:
        DataError: it cannot be read, or is in another encoding, on a line that is named.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): restore it") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: expected UTF-8 ({error.reason})") from None


def read_csv(
    path: Path, columns: Sequence[str], may_be_empty: Collection[str] = ()
) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """The columns of a CSV file in UTF-8, and its rows, each after its place, `FILE:LINE`.

    Args:
        columns: what it must have, among others.
        may_be_empty: those of them that need no value in a row.

    Raises:
        DataError: one line that names the file, and the line where one is at fault.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        names = list(reader.fieldnames or ())
        rows = [(f"{path}:{reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.reader.line_num}: expected CSV ({error})") from None
    if missing := [name for name in columns if name not in names]:
        raise DataError(f"{path}: expected the columns {', '.join(columns)}, no {missing[0]}")
    for place, row in rows:
        if None in row or None in row.values():
            raise DataError(f"{place}: expected {len(names)} fields")
        if empty := [name for name in columns if not row[name] and name not in may_be_empty]:
            raise DataError(f"{place}: expected a value of {empty[0]}, found none")
    return names, rows
