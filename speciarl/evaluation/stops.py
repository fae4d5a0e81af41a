"""How far up the tree from its class each correct prediction stops, and where."""

import polars as pl

from speciarl.evaluation.metrics import CORRECT
from speciarl.taxonomy import Relation, Taxonomy
from speciarl.verdicts import Pair, Verdict
from speciarl.verifiers.taxonomy import Taxonomic

_IMAGE = ("run", "seed", "dataset", "sample_id")


def placed(judged: pl.LazyFrame, best: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """What was said of each image at its best, and where in the tree it stops if it is correct.

    Args:
        judged: as `scores.read_judged` gives it.
        best: as `scores.best_of_all` does.

    Returns:
        The columns of `best`, class_name, prediction, normalized; and where the taxonomy knows of
        such a relation `steps` up from the class to what is `named`, -1 for what is narrower, and
        `path`, the names from the wider of the two down to the other.
    """
    said = judged.select(*_IMAGE, "rollout", "class_name", "prediction", "normalized")
    told = best.lazy().join(said, on=(*_IMAGE, "rollout"), how="left", maintain_order="left")
    rows = told.collect()
    key = ("dataset", "class_name", "normalized")
    schema = {"steps": pl.Int64, "named": pl.String, "path": pl.String}
    correct = rows.filter(CORRECT).select(key).unique(maintain_order=True)
    taxonomic = Taxonomic(taxonomy)
    places = [
        _place(taxonomic.relation(Pair(class_name, said), dataset))
        for dataset, class_name, said in correct.iter_rows()
    ]
    found = pl.concat([correct, pl.DataFrame(places, schema, orient="row")], how="horizontal")
    return rows.join(found, on=key, how="left", maintain_order="left")


def _place(relation: Relation) -> tuple[int | None, str | None, str | None]:
    if relation.verdict is None or not relation.verdict.correct:
        return None, None, None
    narrower = relation.verdict is Verdict.MORE_SPECIFIC
    path = relation.path if narrower else relation.path[::-1]
    return -1 if narrower else len(path) - 1, relation.matched, " > ".join(path)


def stops(rows: pl.DataFrame) -> pl.DataFrame:
    """How many images of a run's seeds stop where: run, dataset, path, named, outcome, images.

    Args:
        rows: as `placed` gives them; `outcome` is their verdict, or "unparsable" or "failed".
    """
    outcome = pl.coalesce(pl.col("verdict").cast(pl.String), "decided_by")
    keys = ("run", "dataset", "path", "named", "outcome")
    counts = rows.with_columns(outcome=outcome).group_by(keys).agg(images=pl.len())
    return counts.sort(keys).cast({"images": pl.Int64})
