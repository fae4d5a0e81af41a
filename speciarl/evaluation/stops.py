"""How far up the tree from its class each correct prediction stops, and where."""

import polars as pl

from speciarl.evaluation.metrics import CORRECT
from speciarl.taxonomy import Relation, Taxonomy
from speciarl.verdicts import Pair, Verdict
from speciarl.verifiers.taxonomy import Taxonomic

SAID = ("class_name", "prediction", "normalized")


def placed(best: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """Where in the tree the best prediction of each image stops, if it is correct.

    Args:
        best: as `scores.best_of_all` gives it, with SAID also.

    Returns:
        The columns of `best`; and where the taxonomy knows of such a relation what is `named`, and
        `steps` up to it from the class, -1 where that is narrower.
    """
    key = ("dataset", "class_name", "normalized")
    correct = best.filter(CORRECT).select(key).unique(maintain_order=True)
    taxonomic = Taxonomic(taxonomy)
    places = [
        _place(taxonomic.relation(Pair(class_name, said), dataset))
        for dataset, class_name, said in correct.iter_rows()
    ]
    found = pl.DataFrame(places, {"steps": pl.Int64, "named": pl.String}, orient="row")
    known = pl.concat([correct, found], how="horizontal")
    return best.join(known, on=key, how="left", maintain_order="left")


def _place(relation: Relation) -> tuple[int | None, str | None]:
    if relation.verdict is None or not relation.verdict.correct:
        return None, None
    narrower = relation.verdict is Verdict.MORE_SPECIFIC
    return -1 if narrower else len(relation.path) - 1, relation.matched


def stops(rows: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """How many images of each class stop where, summed over the seeds of a run.

    Args:
        rows: as `placed` gives them.

    Returns:
        run, dataset, class_name, `kinds` that are wider than the class, nearest first, `named`,
        `outcome` (the verdict, or "unparsable" or "failed"), images.
    """
    keys = ("run", "dataset", "class_name", "named", "outcome")
    outcome = pl.coalesce(pl.col("verdict").cast(pl.String), "decided_by")
    counts = rows.with_columns(outcome=outcome).group_by(keys).agg(images=pl.len().cast(pl.Int64))
    classes = counts.select("dataset", "class_name").unique()
    described = [taxonomy.describe(name, dataset)[0] for dataset, name in classes.iter_rows()]
    kinds = pl.Series([[*one.near, *one.far] for one in described], dtype=pl.List(pl.String))
    known = classes.with_columns(kinds=kinds)
    return counts.sort(keys).join(known, on=("dataset", "class_name"), maintain_order="left")
