"""The command line: arguments in, one call, text out. Heavy imports wait for their command."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import speciarl
from speciarl.cli_verdicts import verdicts
from speciarl.errors import SpeciaRLError

app = typer.Typer(
    help="Specificity-aware reinforcement learning for open-world fine-grained classification.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(verdicts, name="verdicts")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print it and stop.")] = False):
    if version:
        print(speciarl.__version__)
        raise typer.Exit


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="params.yaml, then what overrides it.")],
) -> None:
    """Check parameter files; later ones override earlier ones."""
    from speciarl.config import load

    load(files)
    print(f"{', '.join(map(str, files))}: valid")


@app.command()
def table(
    report: Annotated[Path, typer.Argument(help="The main table as CSV.")] = Path(
        "results/tables/main.csv"
    ),
) -> None:
    """Print the main table of the last report."""
    import polars as pl

    from speciarl.errors import DataError
    from speciarl.report.terminal import main_table_text

    if not report.is_file():
        raise DataError(f"{report} does not exist: run `snakemake --cores all all` first")
    print(main_table_text(pl.read_csv(report)))


def main() -> None:
    """Entry point: an expected failure is one line and exit code 1."""
    try:
        app()
    except SpeciaRLError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
