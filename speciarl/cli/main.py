"""The command line: arguments in, one call, text out. Heavy imports wait for their command."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import speciarl
from speciarl.cli.classify import classify
from speciarl.cli.compare import compare
from speciarl.cli.record import record
from speciarl.cli.serve import serve
from speciarl.cli.sql import predictions, sql
from speciarl.cli.train import train
from speciarl.cli.verdicts import verdicts
from speciarl.disk import disk_error
from speciarl.errors import SpeciaRLError
from speciarl.paths import FACTS, MAIN_TABLE, PROJECT
from speciarl.report.visible import json_line

app = typer.Typer(
    help="Specificity-aware reinforcement learning for open-world fine-grained classification.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("sql")(sql)
app.command("train")(train)
app.command("serve")(serve)
app.command("compare")(compare)
app.command("classify")(classify)
app.add_typer(predictions, name="predictions")
app.add_typer(verdicts, name="verdicts")
app.add_typer(record, name="record")

taxonomies = typer.Typer(help="The facts about the classes.", no_args_is_help=True)
app.add_typer(taxonomies, name="taxonomy")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print it and stop.")] = False):
    if version:
        print(speciarl.__version__)
        raise typer.Exit


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="params.yaml, then what overrides it.")],
    paths: Annotated[bool, typer.Option("--paths", help="Also that the folders exist.")] = False,
) -> None:
    """Check parameter files; later ones override earlier ones."""
    from speciarl.config import check_paths, load

    params = load(files)
    if paths:
        check_paths(params, PROJECT)
    print(f"{', '.join(map(str, files))}: valid")


@app.command()
def table(
    report: Annotated[Path, typer.Argument(help="A table of results as CSV.")] = MAIN_TABLE,
) -> None:
    """Print the main table of the last report, or another table of the results."""
    import polars as pl

    from speciarl.errors import DataError, one_line
    from speciarl.report.terminal import print_main_table, print_table

    if not report.is_file():
        raise DataError(f"{report} does not exist: run `snakemake --cores all all` first")
    try:
        rows = pl.read_csv(report)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{report} cannot be read as CSV: {one_line(error)}") from None
    is_main = any(name.endswith(" hm") for name in rows.columns)  # a column for each group
    (print_main_table if is_main else print_table)(rows)


Facts = Annotated[Path, typer.Option("--facts", help="Folder of further facts, NAME.yaml.")]
Dataset = Annotated[str | None, typer.Option(help="Whose class it is, if several have it.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def judge(
    class_name: Annotated[str | None, typer.Argument(metavar="CLASS", help="True class.")] = None,
    prediction: Annotated[
        str | None, typer.Argument(metavar="PREDICTION", help="What was said.")
    ] = None,
    batch: Annotated[
        Path | None, typer.Option(help="CSV with the columns dataset, class, prediction.")
    ] = None,
    dataset: Dataset = None,
    as_json: AsJson = False,
    facts: Facts = FACTS,
) -> None:
    """Judge a prediction by rules and taxonomy, or every row of a CSV file."""
    from speciarl.taxonomy import Taxonomy
    from speciarl.verifiers.explain import PairJudge, judge_csv

    if batch is not None and (class_name or prediction or dataset or as_json):
        raise typer.BadParameter("--batch goes without CLASS, PREDICTION, --dataset and --json")
    if batch is None and (class_name is None or prediction is None):
        raise typer.BadParameter("expected CLASS and PREDICTION, or --batch FILE")
    pairs = PairJudge(Taxonomy.load_all(facts))
    if batch is not None:
        print(judge_csv(batch, sys.stdout, pairs), file=sys.stderr)
        return
    assert class_name is not None and prediction is not None  # as checked above
    found = pairs.explain(class_name, prediction, dataset)
    if as_json:
        row = {"class": class_name, "prediction": prediction, **found._asdict()}
        print(json_line(row))
        return
    print(found.verdict, f"decided by: {found.decided_by}", sep="\n")
    lines = {
        "because": f"it {found.reason}" if found.reason else "",
        "read as": found.read_as,
        "clauses": " | ".join(found.clauses),
        "names": ", ".join(f"{name} ({verdict})" for name, verdict in found.entities),
        "path": " > ".join(found.path),
    }
    for key, value in lines.items():
        if value and not (key == "clauses" and value == found.read_as):
            print(f"{key}: {value}")


@taxonomies.command("show")
def taxonomy_show(
    class_name: Annotated[str, typer.Argument(metavar="CLASS")],
    dataset: Dataset = None,
    as_json: AsJson = False,
    facts: Facts = FACTS,
) -> None:
    """Print what the facts say of a class: its names, its ancestors, what is narrower."""
    from speciarl.taxonomy import Taxonomy

    for found in Taxonomy.load_all(facts).describe(class_name, dataset):
        if as_json:
            print(json_line(asdict(found)))
            continue
        print(f"{found.name} ({found.dataset})")
        for key, names in asdict(found).items():
            if key not in ("name", "dataset") and names:
                print(f"  {key + ':':<10} {', '.join(names)}")


def main() -> None:
    """Entry point: an expected failure is one line and exit code 1."""
    try:
        app()
    except Exception as raised:
        error = disk_error(raised, PROJECT) or raised
        if not isinstance(error, SpeciaRLError):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":  # `accelerate launch -m speciarl.cli.main`
    main()
