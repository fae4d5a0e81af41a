"""Questions in SQL: one SELECT, asked of copies, for a limited time.

A question holds no lock that a run waits for: the store is copied under the lock, and the copy is
asked. What SQL can reach and change is a temporary folder with such copies, whatever it says: the
rest of the disk and the network are out of reach, and the settings are locked.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import duckdb
import polars as pl
import pyarrow

from speciarl.cache.store import LADDER, message, opened, quoted, sql
from speciarl.errors import CacheError
from speciarl.verdicts import Verdict

# One thread and little memory: a training may be at work beside.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "2GB",
    "max_temp_directory_size": "20GB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
# DuckDB compares an ENUM with a string as strings, so that `verdict >= 'generic'` says nothing.
LEVEL = f"enum_code(verdict::verdict)::INTEGER AS level, level >= {Verdict.GENERIC.step} AS correct"
_ROWS = 10_000  # of a result in memory at once
_GRACE_SECONDS = 2.0  # a single call of a function does not heed an interruption
_THREAD = "query"
T = TypeVar("T")
Prepare = Callable[[duckdb.DuckDBPyConnection, Path], None]


@contextmanager
def copied(store: Path, prepare: Prepare | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection from which nothing but copies is in reach.

    Args:
        store: verdicts, verifiers and lookups are views of its tables.
        prepare: called with the connection and a folder, to bring in copies of other files.

    Raises:
        CacheError: there is no store, or it is held for too long.
    """
    with TemporaryDirectory(prefix="speciarl-") as name:
        folder = Path(name)
        copy = folder / "store.duckdb"
        with opened(store, read_only=True):
            log = store.resolve().with_name(store.resolve().name + ".wal")
            if log.is_file():  # left by a writer that was killed
                copy_file(log, copy.with_name("store.duckdb.wal"))
            # Last: closing the file gives DuckDB's lock on it away (speciarl.cache.lock).
            copy_file(store, copy)
        db = duckdb.connect(config=_CONFIG | {"temp_directory": f"{folder}/spilled"})
        db.execute(f"ATTACH {quoted(copy)} AS store (READ_ONLY)")
        db.execute(sql("views", labels=LADDER, level=LEVEL))
        if prepare is not None:
            prepare(db, folder)
        db.execute(
            "SET enable_progress_bar = false; "  # it would be written among the rows
            f"SET allowed_directories = [{quoted(folder)}]; SET enable_external_access = false; "
            "SET lock_configuration = true"
        )
        yield db


def copy_file(source: Path, into: Path) -> None:
    """Copy a file into a temporary folder; a CacheError says where there is no room or no file."""
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, into)
    except OSError as error:
        raise CacheError(
            f"{source} cannot be copied to {into.parent} ({error.strerror}): ask again; TMPDIR may "
            "name a folder with more room"
        ) from None


def ask(db: duckdb.DuckDBPyConnection, query: str, seconds: float | None = None) -> pl.DataFrame:
    """The rows of one SELECT.

    Raises:
        CacheError: it is something else, DuckDB refuses it, or it takes longer than `seconds`.
    """
    limited = _Limit(db, seconds)
    relation = limited(lambda: _select(db, query))
    return pl.DataFrame(limited(lambda: relation.to_arrow_table()))


def ask_for_text(
    db: duckdb.DuckDBPyConnection, query: str, seconds: float | None = None
) -> Iterator[pl.DataFrame]:
    """`ask`, with values as DuckDB writes them and some rows at a time; at first none, but names.

    What is done with the rows does not count for the limit.
    """
    limited = _Limit(db, seconds)
    texts = limited(lambda: _select(db, query).project("COLUMNS(*)::VARCHAR"))
    reader = limited(lambda: texts.to_arrow_reader(_ROWS))
    yield pl.DataFrame(reader.schema.empty_table())
    while (batch := limited(lambda: next(reader, None))) is not None:
        yield pl.DataFrame(batch)


def is_stuck() -> bool:
    """Whether a query that was stopped goes on, in a function that heeds no interruption."""
    return any(thread.name == _THREAD for thread in threading.enumerate())


def query_store(store: Path, query: str) -> pl.DataFrame:
    """The rows of one SELECT on a store.

    Raises:
        CacheError: there is no store, or DuckDB refuses the query.
    """
    with copied(store) as db:
        return ask(db, query)


class _Limit:
    """Does the steps of a query, each in a thread of its own, so that Ctrl-C and the limit work."""

    def __init__(self, db: duckdb.DuckDBPyConnection, seconds: float | None) -> None:
        self._db = db
        self._seconds = self._left = seconds

    def __call__(self, step: Callable[[], T]) -> T:
        started, done = time.monotonic(), Future[T]()
        threading.Thread(target=_settle, args=(done, step), name=_THREAD, daemon=True).start()
        try:
            return done.result(self._left)
        except TimeoutError:
            raise CacheError(
                f"the query was stopped after {self._seconds:g} s: ask for less, or give it longer"
            ) from None
        except (duckdb.Error, OSError, pyarrow.ArrowException) as error:
            # among the rows, what DuckDB says comes through pyarrow
            raise CacheError(message(error)) from None
        finally:
            if not done.done():
                self._db.interrupt()
                wait([done], _GRACE_SECONDS)
            if self._left is not None:
                self._left = max(self._left - (time.monotonic() - started), 0.0)


def _settle(done: Future[T], step: Callable[[], T]) -> None:
    try:
        done.set_result(step())
    except BaseException as error:
        done.set_exception(error)


def _select(db: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    statements = db.extract_statements(query)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        found = ", ".join(statement.type.name for statement in statements) or "none"
        raise CacheError(
            "expected one SELECT (or FROM, WITH, DESCRIBE, SUMMARIZE, PIVOT ... ON ... IN), found "
            + found
        )
    return db.sql(query)
