"""The DuckDB file of verdicts: its tables, and short transactions on it.

Many processes share the file. It is opened only for a transaction, under our own lock, and closed
again. The tables have no key or index: uniqueness is kept by looking before inserting, under the
lock. Starting DuckDB takes longer than a transaction, so that each process starts it once and
attaches the file to it.
"""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb
import polars as pl

from speciarl.cache.lock import locked
from speciarl.errors import CacheError
from speciarl.verdicts import LABELS

LAYOUT = 2  # raise it when SCHEMA changes
SCHEMA = f"""
CREATE TYPE verdict AS ENUM ({", ".join(f"'{label}'" for label in LABELS)});
CREATE TABLE store AS SELECT uuid()::VARCHAR AS id, {LAYOUT} AS layout;
CREATE SEQUENCE stored;
CREATE TABLE verifiers (verifier VARCHAR, identity JSON);
CREATE TABLE verdicts (
    verifier VARCHAR, class VARCHAR, prediction VARCHAR, verdict verdict, decided_by VARCHAR,
    raw_answer VARCHAR, milliseconds FLOAT, run VARCHAR, created_at TIMESTAMP,
    key_high UBIGINT, key_low UBIGINT, number BIGINT DEFAULT nextval('stored'));
CREATE TABLE lookups (
    run VARCHAR, step BIGINT, hits BIGINT, misses BIGINT, failures BIGINT, asked BIGINT,
    judge_seconds DOUBLE, created_at TIMESTAMP);
"""
_checked: set[str] = set()  # ids of stores that were found to be ours


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """One transaction on the store, with its tables in reach; makes it where it is absent.

    Raises:
        CacheError: it is held for too long, is no store of this layout and ladder, or DuckDB fails,
            be it that the disk is full.
    """
    if read_only and not path.is_file():
        raise CacheError(f"{path} does not exist: it is filled by `precompute_verdicts`")
    with locked(path):
        db = _duckdb()
        _attach(db, path, read_only)
        try:
            with _transaction(db):
                _check(db, path, read_only)
                yield db
        except duckdb.Error as error:
            raise CacheError(f"{path}: {' '.join(str(error).split())}") from error


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


def query_store(path: Path, query: str) -> pl.DataFrame:
    """Rows of a query on the store, which is opened read-only for its duration.

    Raises:
        CacheError: there is no store, or DuckDB refuses the query.
    """
    with opened(path, read_only=True) as db:
        try:
            rows = db.sql(query)
            if rows is None:
                raise CacheError("the query gives no rows: only questions can be asked here")
            return pl.DataFrame(rows.to_arrow_table())
        except duckdb.Error as error:
            raise CacheError(" ".join(str(error).split())) from None
        except pl.exceptions.DuplicateError:
            raise CacheError("two columns have one name: tell them apart with AS") from None
        except pl.exceptions.ComputeError:
            raise CacheError("a column is of a type without a table: cast it to VARCHAR") from None


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    atexit.register(_duckdb.cache_clear)  # left to the end of Python, DuckDB reports a leak
    return duckdb.connect(":memory:", config={"threads": 1})


def _attach(db: duckdb.DuckDBPyConnection, path: Path, read_only: bool) -> None:
    name = str(path).replace("'", "''")
    try:
        db.execute(f"ATTACH '{name}' AS store {'(READ_ONLY)' if read_only else ''}")
    except duckdb.Error as error:
        raise CacheError(
            f"{path} cannot be opened as a verdict store ({str(error).splitlines()[0]}): "
            "close the other program, or move the file away, a new one begins with the precomputed "
            "verdicts only"
        ) from None


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
        db.execute(SCHEMA)
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
