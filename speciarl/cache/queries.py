"""What is asked of a store: statistics, verdicts by verifier, predictions beside its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from speciarl.cache.reading import LEVEL, ask, copied, copy_file, query_store
from speciarl.cache.store import message, quoted
from speciarl.errors import CacheError, DataError
from speciarl.verdicts import LABELS

_COUNTED = ", ".join(f"count(*) FILTER (verdict = '{label}') AS \"{label}\"" for label in LABELS)
QUERIES = {
    "verdicts by verifier": f"""
        SELECT verifier, identity->>'verifier' AS kind, count(verdict) AS verdicts, {_COUNTED}
        FROM verifiers LEFT JOIN verdicts USING (verifier) GROUP BY ALL ORDER BY verdicts DESC, 1
    """,
    "verdicts by what decided": """
        SELECT verifier, decided_by, count(*) AS verdicts, sum(milliseconds) / 1000 AS seconds,
               avg(milliseconds) AS "mean ms"
        FROM verdicts GROUP BY ALL ORDER BY ALL
    """,
    "verdicts by run": """
        SELECT run, count(*) AS verdicts, min(created_at) AS first, max(created_at) AS last
        FROM verdicts GROUP BY ALL ORDER BY first, run
    """,
    # Of a step repeated after an interruption the last lookups count, but all that was spent.
    "lookups by run": """
        SELECT run, step IS NOT NULL AS training, count(DISTINCT step) AS steps,
               sum(hits + misses) FILTER (last)::BIGINT AS lookups,
               sum(hits) FILTER (last)::BIGINT AS hits,
               sum(hits) FILTER (last) / sum(hits + misses) FILTER (last) AS "hit rate",
               sum(asked)::BIGINT AS asked, sum(failures)::BIGINT AS failures,
               sum(judge_seconds) AS "judge seconds"
        FROM (SELECT *, step IS NULL OR row_number() OVER newest = 1 AS last FROM lookups
              WINDOW newest AS (PARTITION BY run, step ORDER BY created_at DESC))
        GROUP BY ALL ORDER BY ALL
    """,
}
_IN_COMMON = """
SELECT one.verifier AS first, other.verifier AS second FROM store.verdicts AS one
JOIN store.verdicts AS other USING (class, prediction) WHERE one.verifier < other.verifier
GROUP BY ALL ORDER BY count(*) DESC, 1, 2 LIMIT 1
"""


def statistics(store: Path) -> dict[str, pl.DataFrame]:
    """Verdicts by verifier and label, by what decided and by run; lookups and their cost by run."""
    with copied(store) as db:
        return {title: ask(db, query) for title, query in QUERIES.items()}


def verifiers_in_common(store: Path) -> tuple[str, str] | None:
    """The two verifiers that have judged the most pairs in common; None where no two have."""
    found = query_store(store, _IN_COMMON)
    return found.row(0) if found.height else None


def verdicts_of(store: Path, *verifiers: str) -> pl.DataFrame:
    """verifier, class, prediction, verdict: all of these verifiers.

    Raises:
        CacheError: one of them has no verdict in the store.
    """
    query = "SELECT verifier, class, prediction, verdict::VARCHAR AS verdict FROM verdicts"
    rows = query_store(store, query).filter(pl.col("verifier").is_in(verifiers))
    for name in set(verifiers) - set(rows["verifier"].unique()):
        raise CacheError(f"{store} has no verdict of verifier {name!r}: see `verdicts stats`")
    return rows


# Of what cannot be parsed nothing is correct, of what the judge failed on nothing is known: as in
# the metrics. Grouping tells DuckDB that a join adds no rows; it leaves out those not asked for.
_PREDICTIONS = """
CREATE VIEW predictions AS
SELECT image, dataset, class_name COLLATE NOCASE AS class, run, seed, rollout,
       normalized AS prediction, verdict, level,
       CASE decided_by WHEN 'unparsable' THEN false ELSE correct END AS correct,
       decided_by, judge_reply, milliseconds, verifier, several_tagged
FROM (SELECT * REPLACE (verdict::verdict AS verdict), parse_path(file)[-3] AS run, {level}
      FROM read_parquet({judged}, filename = 'file', union_by_name = true,
                        hive_partitioning = false))
LEFT JOIN (SELECT dataset, sample_id, any_value(image) AS image
           FROM read_parquet({manifests}, union_by_name = true) GROUP BY ALL)
    USING (dataset, sample_id)
LEFT JOIN (SELECT verifier, class AS class_name, prediction AS normalized,
                  any_value(judge_reply) AS judge_reply, any_value(milliseconds) AS milliseconds
           FROM store.verdicts GROUP BY ALL)
    USING (verifier, class_name, normalized)
"""


@contextmanager
def predictions(
    store: Path, verdicts: Path, manifests: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """`copied` store, with the view `predictions` of all that was judged.

    Args:
        store: the verdict store.
        verdicts: folder of RUN/SEED/DATASET.parquet from the judge stage.
        manifests: folder of DATASET.parquet, which tell the image of each sample.

    Raises:
        DataError: nothing was judged yet, or the files are of another version.
    """

    def prepare(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
        judged = _copies(verdicts, "[!.]*/[!.]*/[!.]*.parquet", folder / "judged")
        listed = _copies(manifests, "[!.]*.parquet", folder / "manifests")
        view = _PREDICTIONS.format(level=LEVEL, judged=quoted(judged), manifests=quoted(listed))
        try:
            db.execute(view)
        except duckdb.Error as error:
            raise DataError(
                f"{verdicts} and {manifests} cannot be read ({message(error)}): run "
                "`snakemake --cores all all` to make them anew"
            ) from None

    with copied(store, prepare) as db:
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
