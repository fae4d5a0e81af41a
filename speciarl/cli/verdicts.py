"""`speciarl verdicts …`: the store of verdicts, from the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciarl.cli.sql import Store, verdicts_sql
from speciarl.errors import CacheError
from speciarl.paths import FACTS, STORE, TAXONOMY, TRAINING

if TYPE_CHECKING:
    import polars as pl

    from speciarl.cache.transfer import TakenIn

verdicts = typer.Typer(help="The verdict store.", no_args_is_help=True)
verdicts.command("sql")(verdicts_sql)

PARAMS = Path("params.yaml")


@verdicts.command()
def stats(store: Store = STORE) -> None:
    """What the store holds by verifier, label and run; lookups, hit rate and judge seconds."""
    from speciarl.cache.queries import statistics

    for title, table in statistics(store).items():
        _show(title, table)


@verdicts.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="The parquet file to write.")],
    store: Store = STORE,
) -> None:
    """Write every verdict, with its verifier's identity, into a sorted parquet file."""
    from speciarl.cache.transfer import export_store

    print(f"{file}: {export_store(store, file)} verdicts")


@verdicts.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A parquet file that `export` wrote.")],
    store: Store = STORE,
) -> None:
    """Take in an exported file. Where the store has another verdict it keeps its own: exit 1."""
    from speciarl.cache import transfer

    _report(transfer.import_file(store, file))


@verdicts.command()
def merge(
    other: Annotated[Path, typer.Argument(help="Another store.")],
    store: Store = STORE,
) -> None:
    """Take in another store's verdicts. Where this one has another it keeps its own: exit 1."""
    from speciarl.cache.transfer import merge_store

    _report(merge_store(store, other))


@verdicts.command()
def forget(
    verifier: Annotated[str | None, typer.Option(help="Its fingerprint.")] = None,
    run: Annotated[str | None, typer.Option(help="The run that added them.")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="The true class.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="With --yes: all verdicts.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirms --all.")] = False,
    store: Store = STORE,
) -> None:
    """Remove the verdicts that meet every condition given."""
    from speciarl.cache.transfer import forget as forget_verdicts

    named = {"verifier": verifier, "run": run, "class": class_name}
    chosen = {column: value for column, value in named.items() if value is not None}
    if everything == bool(chosen):
        raise CacheError("forget what? Give --verifier, --run or --class, or else --all --yes")
    if everything and not yes:
        raise CacheError("--all forgets every verdict, paid ones too: add --yes if that is meant")
    print(f"{forget_verdicts(store, chosen)} verdicts forgotten")


@verdicts.command()
def precompute(
    predictions: Annotated[Path, typer.Argument(help="Folder of predictions by run.")],
    params: Annotated[
        list[Path] | None, typer.Option(help="params.yaml, then again for what overrides it.")
    ] = None,
    judge: Annotated[bool, typer.Option("--judge", help="The judge of evaluation.")] = False,
    taxonomy: Annotated[Path, typer.Option(help="The relations built.")] = TAXONOMY,
    facts: Annotated[Path, typer.Option(help="The folder of taxonomies.")] = FACTS,
    store: Store = STORE,
) -> None:
    """Judge what models have answered before, ahead of a run; what the store has is not asked.

    Predictions for classes that are no longer among the relations are left out and counted.
    """
    import polars as pl

    from speciarl.cache import VerdictCache
    from speciarl.config import load
    from speciarl.files import read_foreign_parquet
    from speciarl.verifiers.factory import build_model, build_verifier, classes_of
    from speciarl.verifiers.precompute import pairs_seen, precompute

    files = sorted(predictions.glob("*/*/*.parquet"))
    if not files or not taxonomy.exists():
        raise CacheError(
            f"expected {predictions}/RUN/SEED/*.parquet and {taxonomy}: run snakemake first"
        )
    chosen = load(params or [PARAMS])
    settings = chosen.judge if judge else chosen.verifier
    relations = read_foreign_parquet(taxonomy, {"dataset": pl.String, "class_name": pl.String})
    model = build_model(settings.model, settings.server) if settings.model else None
    judged = added = left_out = 0
    for datasets in chosen.datasets.judged_together:
        mine = [path for path in files if path.stem in datasets]
        if not mine:
            continue
        seen = pairs_seen(mine)
        known = relations.filter(pl.col("dataset").is_in(chosen.datasets.known_to(datasets)))
        verifier = build_verifier(settings, facts, classes_of(known), model)
        cache = VerdictCache(store, verifier.identity, "precompute", settings.store_timeout)
        before = len(cache)
        pairs = seen.filter(pl.col("class").is_in(known["class_name"].unique().implode()))
        precompute(pairs, verifier, cache, settings, ask_model=True)
        judged, added = judged + pairs.height, added + len(cache) - before
        left_out += seen.height - pairs.height
    others = [path for path in files if path.stem not in chosen.datasets.names]
    print(f"{judged} pairs in {len(files) - len(others)} files, {added} verdicts added")
    if others:
        print(f"{len(others)} files left out: the parameters do not name their datasets")
    if left_out:
        print(f"{left_out} pairs left out: their class is not in {taxonomy}")


@verdicts.command()
def audit(
    first: Annotated[str | None, typer.Option(help="Fingerprint of a verifier.")] = None,
    second: Annotated[str | None, typer.Option(help="That of another.")] = None,
    training: Annotated[Path, typer.Option(help="What training runs left.")] = TRAINING,
    rows: Annotated[int, typer.Option(help="Most rows of a list.")] = 20,
    store: Store = STORE,
) -> None:
    """Signs of reward hacking in training runs, and how far two verifiers agree.

    Where no two verifiers are named, the two with the most pairs in common are compared.
    """
    from speciarl.cache.queries import verdicts_of, verifiers_in_common
    from speciarl.verifiers.audit import agreement, predictions_for_many_classes, reward_hacking

    if (first is None) != (second is None):
        raise typer.BadParameter("expected --first and --second, or neither")
    predictions = _predictions(training)
    for run, given in predictions.items():
        _show(f"signs of reward hacking: {run}", reward_hacking(given))
        vague = predictions_for_many_classes(given).head(rows)
        _show(f"predictions for several classes: {run}", vague)
    pair = verifiers_in_common(store) if first is None or second is None else (first, second)
    if pair is None:
        print("agreement: no two verifiers have judged a pair in common")
        return
    verdicts = verdicts_of(store, *pair)
    one, other = (verdicts.filter(verifier=name) for name in pair)
    found = agreement(one, other, *predictions.values())
    kappa = "undefined" if found.kappa is None else f"{found.kappa:.3f}"
    print(f"{' and '.join(pair)}: {found.pairs} pairs, {found.same} alike, Cohen's kappa {kappa}\n")
    _show("verdicts of the first (rows) against the second (columns)", found.confusion)
    _show("classes where they differ most often", found.by_class.head(rows))
    _show("pairs where they differ, most used first", found.differing.head(rows))


def _predictions(training: Path) -> "dict[str, pl.DataFrame]":
    """What each run answered, for the runs that were trained by a reward."""
    from speciarl.files import read_foreign_parquet
    from speciarl.schemas import PREDICTIONS

    files = sorted(training.glob("*/predictions.parquet"))
    found = {file.parent.name: read_foreign_parquet(file, PREDICTIONS) for file in files}
    return {run: given for run, given in found.items() if given.height}


def _report(taken: "TakenIn") -> None:
    print(taken)
    if taken.conflicts.height:
        _show("kept and refused", taken.conflicts)
        raise typer.Exit(1)


def _show(title: str, table: "pl.DataFrame") -> None:
    from speciarl.report.terminal import print_table

    print(title if table.height else f"{title}: none\n")
    if table.height:
        print_table(table)
