"""What is asked of a store: statistics, verdicts by verifier, predictions beside its tables."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl

from speciarl.cache.reading import LEVEL, Prepare, ask, copied, copy_file
from speciarl.cache.store import message, quoted, sql
from speciarl.cache.transfer import begin
from speciarl.errors import CacheError, DataError
from speciarl.verdicts import LABELS

STATISTICS = (
    "verdicts by verifier", "verdicts by what decided", "verdicts by run", "lookups by run",
)  # fmt: skip


@contextmanager
def asked(store: Path, prepare: Prepare | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """`copied` store; before there is one, as in a clone, what it would begin with."""
    with ExitStack() as open_until_then:
        if not store.is_file():
            folder = open_until_then.enter_context(TemporaryDirectory(prefix="speciarl-"))
            begun = Path(folder) / store.name
            begin(begun, store)
            store = begun if begun.is_file() else store
        yield open_until_then.enter_context(copied(store, prepare))


def statistics(store: Path) -> dict[str, pl.DataFrame]:
    """Verdicts by verifier and label, by what decided and by run; lookups and their cost by run."""
    counted = ", ".join(f"count(*) FILTER (verdict = '{label}') AS \"{label}\"" for label in LABELS)
    queries = {title: sql(title.replace(" ", "_"), counted=counted) for title in STATISTICS}
    with asked(store) as db:
        return {title: ask(db, query) for title, query in queries.items()}


def verifiers_in_common(store: Path) -> tuple[str, str] | None:
    """The two verifiers that have judged the most pairs in common; None where no two have."""
    with asked(store) as db:
        found = ask(db, sql("verifiers_in_common"))
    return found.row(0) if found.height else None


def verdicts_of(store: Path, *verifiers: str) -> pl.DataFrame:
    """verifier, class, prediction, verdict: all of these verifiers.

    Raises:
        CacheError: one of them has no verdict in the store.
    """
    query = "SELECT verifier, class, prediction, verdict::VARCHAR AS verdict FROM verdicts"
    with asked(store) as db:
        rows = ask(db, query).filter(pl.col("verifier").is_in(verifiers))
    for name in set(verifiers) - set(rows["verifier"].unique()):
        raise CacheError(f"{store} has no verdict of verifier {name!r}: see `verdicts stats`")
    return rows


@contextmanager
def predictions(
    store: Path, verdicts: Path, manifests: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """`asked` store, with the view `predictions` of all that was judged.

    Args:
        verdicts: folder of RUN/SEED/DATASET.parquet from the judge stage.
        manifests: folder of DATASET.parquet, which tell the image of each sample.

    Raises:
        DataError: nothing was judged yet, or the files are of another version.
    """

    def prepare(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
        judged = _copies(verdicts, "[!.]*/[!.]*/[!.]*.parquet", folder / "judged")
        listed = _copies(manifests, "[!.]*.parquet", folder / "manifests")
        view = sql("predictions", level=LEVEL, judged=quoted(judged), manifests=quoted(listed))
        try:
            db.execute(view)
        except duckdb.Error as error:
            raise DataError(
                f"{verdicts} and {manifests} cannot be read ({message(error)}): run "
                "`snakemake --cores all all` to make them anew"
            ) from None

    with asked(store, prepare) as db:
        yield db


def _copies(source: Path, pattern: str, into: Path) -> Path:
    """Copy the files of a pattern; gives the same pattern below the copies."""
    files = list(source.glob(pattern))
    if not files:
        raise DataError(
            f"{source} has no {pattern.replace('[!.]*', '*')} yet: run `snakemake --cores all all` "
            "first; `speciarl verdicts sql` asks the store alone"
        )
    for file in files:
        copy_file(file, into / file.relative_to(source))
    return into / pattern.replace("[!.]*", "*")
