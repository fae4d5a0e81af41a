"""`speciarl predictions sql`, also `sql`, and `verdicts sql`: a question in, rows as CSV out."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciarl.errors import SpeciaRLError
from speciarl.paths import MANIFESTS, STORE, VERDICTS

if TYPE_CHECKING:
    import polars as pl

Store = Annotated[Path, typer.Option(help="The DuckDB file.")]
Seconds = Annotated[
    float, typer.Option("--timeout", min=0, max=1e6, help="Most seconds it may take.")
]


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over predictions and the store.")],
    store: Store = STORE,
    verdicts: Annotated[Path, typer.Option(help="What was judged, by run.")] = VERDICTS,
    manifests: Annotated[Path, typer.Option(help="Manifests.")] = MANIFESTS,
    timeout: Seconds = 60.0,
) -> None:
    """Ask about predictions and verdicts; rows are printed as CSV (docs/sql.md has examples)."""
    from speciarl.cache.queries import predictions as asked_of
    from speciarl.cache.reading import ask_for_text

    with _ended_in_time(), asked_of(store, verdicts, manifests) as db:
        _print(ask_for_text(db, query, timeout))


def verdicts_sql(
    query: Annotated[str, typer.Argument(help="One SELECT over verdicts, verifiers, lookups.")],
    store: Store = STORE,
    timeout: Seconds = 60.0,
) -> None:
    """Ask the store alone; rows are printed as CSV (docs/sql.md has examples)."""
    from speciarl.cache.queries import asked
    from speciarl.cache.reading import ask_for_text

    with _ended_in_time(), asked(store) as db:
        _print(ask_for_text(db, query, timeout))


predictions = typer.Typer(help="What was predicted and judged.", no_args_is_help=True)
predictions.command("sql")(sql)


@predictions.callback()
def _predictions() -> None:
    """What was predicted and judged."""  # with a callback a single command keeps its name


@contextmanager
def _ended_in_time() -> Iterator[None]:
    """End the process at once where a stopped query goes on: it would hold up the ordinary end."""
    from speciarl.cache.reading import is_stuck

    try:
        yield
    except (SpeciaRLError, KeyboardInterrupt) as stopped:
        interrupted = isinstance(stopped, KeyboardInterrupt)
        print("interrupted" if interrupted else f"error: {stopped}", file=sys.stderr, flush=True)
        code = 130 if interrupted else 1
        if is_stuck():
            os._exit(code)
        raise typer.Exit(code) from None


def _print(batches: "Iterable[pl.DataFrame]") -> None:
    """Write CSV, with the names once."""
    from speciarl.files import write_rows

    for number, batch in enumerate(batches):
        write_rows(batch, sys.stdout, header=not number)
