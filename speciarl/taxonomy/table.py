"""What is true of each class of a dataset, as a table made by joins, and what follows for the rest.

The ancestors and descendants of a class are its correct terms; every other term of its dataset
is wrong. What a name alone says is tabled; years in a prediction are for `Taxonomy.relation`.
"""

from collections.abc import Iterable, Mapping

import polars as pl

from speciarl.taxonomy.tree import Tree
from speciarl.verdicts import LABELS, Verdict

_UNDECIDED = 1  # between twice the steps of wrong and generic: better senses of a form win
COLUMNS = ("dataset", "class_name", "term", "verdict", "path")


def relation_table(
    tree: Tree, classes: Mapping[int, str], forms: Iterable[tuple[str, str, int]]
) -> pl.DataFrame:
    """What holds of each surface form for any class of its dataset, and for which it does not.

    A row without a class says what a form is of every class that has no row with it: wrong, or
    undecided, which is null. A row with a class says what else it is of that one.

    Args:
        classes: node numbers of classes and the names to show for them.
        forms: dataset, surface form, number of a node that it names there.

    Returns:
        The columns COLUMNS, sorted, rows without a class first. A form that names several nodes has
        the best verdict of them. `path` joins names with " > "; empty where nothing leads there.
    """
    wanted = pl.DataFrame(
        sorted((tree.nodes[n].dataset, name, n, _year(tree, n)) for n, name in classes.items()),
        schema={"dataset": pl.String, "class_name": pl.String, "class": pl.Int32,
                "year": pl.String},
        orient="row",
    )  # fmt: skip
    terms = pl.DataFrame(
        sorted(set(forms)),
        schema={"dataset": pl.String, "term": pl.String, "node": pl.Int32},
        orient="row",
    )
    disputed = pl.DataFrame(
        [(n, other, True) for n in classes for other in sorted(tree.nodes[n].disputed)],
        schema={"class": pl.Int32, "node": pl.Int32, "disputed": pl.Boolean},
        orient="row",
    )
    open_terms = [n.node_id for n in tree.nodes if n.entry is not None and n.entry.open]
    yearless = (pl.col("node") == pl.col("class")) & ~pl.col("term").str.contains(
        pl.col("year"), literal=True
    )
    own = (
        _correct(tree, wanted)
        .join(disputed, on=["class", "node"], how="full", coalesce=True)
        .join(wanted, on="class")
        .join(terms, on=["dataset", "node"])
        .with_columns(
            step=pl.when("disputed").then(_UNDECIDED)
            .when(yearless).then(2 * Verdict.LESS_SPECIFIC.step)
            .otherwise(2 * pl.col("step")),
        )
    )  # fmt: skip
    implied = terms.select(
        "dataset",
        "term",
        step=pl.when(pl.col("node").is_in(open_terms)).then(_UNDECIDED).otherwise(0),
    )
    return _best_senses(pl.concat([own, implied], how="diagonal_relaxed"))


def _best_senses(rows: pl.DataFrame) -> pl.DataFrame:
    """Of what a form may say of a class, the best, with its label; the path decides a tie."""
    key = ["dataset", "class_name", "term"]
    labels = {2 * place: label for place, label in enumerate(LABELS)}
    undecided = pl.col("step") == _UNDECIDED
    return (
        rows.sort(*key, "step", "path")
        .unique(key, keep="last", maintain_order=True)
        .with_columns(
            verdict=pl.col("step").replace_strict(
                labels, default=None, return_dtype=pl.Enum(LABELS)
            ),
            path=pl.when(undecided).then(None).otherwise("path").fill_null(""),
        )
        .select(COLUMNS)
    )


def every_pair(relations: pl.DataFrame) -> pl.DataFrame:
    """dataset, class_name, term, verdict: of all pairs that a table decides, implied ones too."""
    key = ["dataset", "class_name", "term"]
    own = relations.drop_nulls("class_name").select(*key, "verdict")
    implied = (
        own.select("dataset", "class_name")
        .unique()
        .join(relations.filter(pl.col("class_name").is_null()).drop("class_name"), on="dataset")
        .join(own, on=key, how="anti")
    )
    return pl.concat([own, implied.select(*key, "verdict")]).drop_nulls("verdict").sort(key)


def _year(tree: Tree, node_id: int) -> str | None:
    facts = tree.nodes[node_id].facts
    return str(facts.year) if facts is not None and facts.year is not None else None


def _correct(tree: Tree, classes: pl.DataFrame) -> pl.DataFrame:
    """class, node, step, path: the nodes that name a class truly, by joins on its ancestors."""
    kin = pl.DataFrame(
        [
            (node, up, kin.near, " > ".join(tree.nodes[n].name for n in kin.path),
             " > ".join(tree.nodes[n].name for n in kin.path[::-1]))
            for node, ancestors in enumerate(tree.ancestors)
            for up, kin in ancestors.items()
        ],
        schema={"node": pl.Int32, "up": pl.Int32, "near": pl.Boolean, "rising": pl.String,
                "falling": pl.String},
        orient="row",
    )  # fmt: skip
    own = classes.select("class", dated=pl.col("year").is_not_null())
    less, more = Verdict.LESS_SPECIFIC.step, Verdict.MORE_SPECIFIC.step
    upwards = own.join(kin, left_on="class", right_on="node").select(
        "class",
        node=pl.col("up"),
        step=pl.when(pl.col("up") == pl.col("class")).then(Verdict.SPECIFIC.step)
        .when(pl.col("near")).then(less).otherwise(Verdict.GENERIC.step),
        path=pl.col("rising"),
    )  # fmt: skip
    downwards = (
        own.join(kin, left_on="class", right_on="up")
        .filter(pl.col("node") != pl.col("class"))
        .select(
            "class", "node",
            # without the year a trim does not settle the class
            step=pl.when(pl.col("dated")).then(less).otherwise(more),
            path=pl.col("falling"),
        )
    )  # fmt: skip
    return pl.concat([upwards, downwards, _trims(tree, own, kin)]).with_columns(
        pl.col("step").cast(pl.Int32)
    )


def _trims(tree: Tree, own: pl.DataFrame, kin: pl.DataFrame) -> pl.DataFrame:
    """Trims of a dated class's model: without the year they are less than the class."""
    edges = pl.DataFrame(
        [(n.node_id, parent) for n in tree.nodes if n.facts is not None for parent in n.near],
        schema={"class": pl.Int32, "model": pl.Int32},
        orient="row",
    )
    narrower = pl.DataFrame(
        [n.node_id for n in tree.nodes if n.kind == "narrower"], schema={"node": pl.Int32}
    )
    names = pl.DataFrame(
        [(n.node_id, n.name) for n in tree.nodes],
        schema={"class": pl.Int32, "name": pl.String},
        orient="row",
    )
    return (
        own.filter("dated")
        .join(edges, on="class")
        .join(kin.filter("near"), left_on="model", right_on="up")
        .join(narrower, on="node", how="semi")
        .join(kin.select("node", "up"), left_on=["class", "node"], right_on=["up", "node"],
              how="anti")
        .join(names, on="class")
        .select(
            "class", "node", step=pl.lit(Verdict.LESS_SPECIFIC.step, dtype=pl.Int32),
            path=pl.col("name") + " > " + pl.col("falling"),
        )
        .unique(subset=["class", "node"], keep="first", maintain_order=True)
    )  # fmt: skip
