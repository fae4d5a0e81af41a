"""What a store holds and what it saved, as tables."""

from pathlib import Path

import polars as pl

from speciarl.cache.reading import ask, copied, query_store
from speciarl.errors import CacheError
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
