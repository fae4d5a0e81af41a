"""The DuckDB file of verdicts: its tables, and short transactions on it.

Many processes share the file. It is opened only for a transaction, under our own lock, and closed
again. The tables have no key or index: uniqueness is kept by looking before inserting, under the
lock. Starting DuckDB takes longer than a transaction, so that each process starts it once and
attaches the file to it.
"""

import atexit
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb

from speciarl.cache.lock import LOCK_SECONDS, locked, process
from speciarl.disk import full_disk
from speciarl.errors import CacheError, one_line
from speciarl.verdicts import LABELS

log = logging.getLogger(__name__)

SQL = Path(__file__).with_name("sql")
LAYOUT = 3  # raise it when schema.sql changes
LADDER = ", ".join(f"'{label}'" for label in LABELS)
RETRY_SECONDS = 0.1
_checked: set[str] = set()  # ids of stores that were found to be ours


@contextmanager
def opened(
    path: Path, *, read_only: bool = False, seconds: float = LOCK_SECONDS
) -> Iterator[duckdb.DuckDBPyConnection]:
    """One transaction on the store, with its tables in reach; makes it where it is absent.

    Args:
        path: the DuckDB file.
        read_only: whether other programs may read it meanwhile.
        seconds: for how long to wait for whoever else has it open.

    Raises:
        CacheError: it is held for too long, is no store of this layout and ladder, or DuckDB fails.
        DiskError: its disk is full; what was stored before is kept.
    """
    if read_only and not path.is_file():
        raise CacheError(f"{path} does not exist: it is filled by `precompute_verdicts`")
    with _attached(path, read_only, seconds) as db:
        try:
            with _transaction(db):
                _check(db, path, read_only)
                yield db
        except duckdb.Error as error:
            raise full_disk(error, path) or CacheError(f"{path}: {message(error)}") from error


@contextmanager
def _attached(path: Path, read_only: bool, seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file attached, under our lock, once no other program has it open.

    Our lock is given back between two tries, so that each of our processes waits for the other
    program itself, and can name it.
    """
    deadline, said = time.monotonic() + seconds, False
    while True:
        with locked(path, max(deadline - time.monotonic(), 0.0)):
            db = _duckdb()
            holder = _attach(db, path, read_only)
            if holder is None:
                yield db
                return
        if time.monotonic() > deadline:
            raise CacheError(
                f"{path} is open for more than {seconds:g} s in {holder}: close it there, then "
                "start again; what was stored is kept"
            )
        if not said:
            log.warning("%s is open in %s: waiting for up to %g s", path, holder, seconds)
        said = True
        time.sleep(RETRY_SECONDS)


@contextmanager
def _transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction on the attached store, which is detached at the end."""
    try:
        db.execute("USE store; BEGIN")
        yield
    except BaseException:
        db.rollback()
        raise
    else:
        db.commit()
    finally:
        db.execute("USE memory; DETACH store")


def store_id(db: duckdb.DuckDBPyConnection) -> str:
    """A name that no other store has, nor the same file once it was deleted and made again."""
    ((found,),) = db.execute("SELECT id FROM store").fetchall()
    return found


def message(error: Exception) -> str:
    """What DuckDB says, without the query that it repeats over several lines."""
    return one_line(str(error).partition("\n\nLINE ")[0])


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    atexit.register(_duckdb.cache_clear)  # left to the end of Python, DuckDB reports a leak
    return duckdb.connect(":memory:", config={"threads": 1})


def _attach(db: duckdb.DuckDBPyConnection, path: Path, read_only: bool) -> str | None:
    """Attach the file; gives who has it open instead, where somebody has."""
    try:
        db.execute(f"ATTACH {quoted(path)} AS store {'(READ_ONLY)' if read_only else ''}")
    except duckdb.Error as error:
        if "Could not set lock" in str(error):
            found = re.search(r"PID (\d+)", str(error))
            return process(found[1]) if found else "a process that the system does not name"
        if "Unique file handle conflict" in str(error):
            return "another connection of this process"
        raise full_disk(error, path) or CacheError(
            f"{path} cannot be opened as a verdict store ({str(error).splitlines()[0]}): if it "
            "is damaged, move the file away; a new one begins with the precomputed verdicts only"
        ) from None
    return None


def sql(name: str, **values: object) -> str:
    """A text of the folder `sql`, with values in its places."""
    return (SQL / f"{name}.sql").read_text().format(**values)


def quoted(path: Path) -> str:
    """A path as a string of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def _check(db: duckdb.DuckDBPyConnection, path: Path, read_only: bool) -> None:
    """Make the tables in an empty file; refuse what is not ours. Looks once at each store."""
    try:
        if store_id(db) in _checked:
            return
    except duckdb.CatalogException:
        db.rollback()
        db.begin()
    tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'store'"
    found = {name for (name,) in db.execute(tables).fetchall()}
    if not found and not read_only:
        db.execute(sql("schema", labels=LADDER, layout=LAYOUT))
        return
    types = "SELECT labels FROM duckdb_types() WHERE type_name = 'verdict' AND labels IS NOT NULL"
    ladder = db.execute(types).fetchall()
    if ladder and tuple(ladder[0][0]) != LABELS:
        raise CacheError(f"{path} holds another ladder of verdicts: {', '.join(ladder[0][0])}")
    layout = db.execute("SELECT layout FROM store").fetchall() if "store" in found else None
    if layout != [(LAYOUT,)] or not ladder:
        raise CacheError(
            f"{path} is no verdict store of this version: move it away, a new one begins with the "
            "precomputed verdicts only"
        )
    _checked.add(store_id(db))
