"""What `speciarl sql` asks: predictions with images and verdicts, beside the store's tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from speciarl.cache.reading import LEVEL, copied, copy_file
from speciarl.cache.store import one_line, quoted
from speciarl.errors import DataError

# Of what cannot be parsed nothing is correct, of what the judge failed on nothing is known: as in
# the metrics. Grouping tells DuckDB that a join adds no rows; it leaves out those not asked for.
_PREDICTIONS = """
CREATE VIEW predictions AS
SELECT image, dataset, class_name COLLATE NOCASE AS class, run, rollout, normalized AS prediction,
       verdict, level, CASE decided_by WHEN 'unparsable' THEN false ELSE correct END AS correct,
       decided_by, judge_reply, milliseconds, verifier, several_tagged
FROM (SELECT * REPLACE (verdict::verdict AS verdict), parse_path(file)[-2] AS run, {level}
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
        verdicts: folder of RUN/DATASET.parquet from the judge stage.
        manifests: folder of DATASET.parquet, which tell the image of each sample.

    Raises:
        DataError: nothing was judged yet, or the files are of another version.
    """

    def prepare(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
        judged = _copies(verdicts, "[!.]*/[!.]*.parquet", folder / "judged")
        listed = _copies(manifests, "[!.]*.parquet", folder / "manifests")
        view = _PREDICTIONS.format(level=LEVEL, judged=quoted(judged), manifests=quoted(listed))
        try:
            db.execute(view)
        except duckdb.Error as error:
            raise DataError(
                f"{verdicts} and {manifests} cannot be read ({one_line(error)}): run "
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
