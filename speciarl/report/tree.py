"""The report's tree of a dataset: at which kinds, down to the classes, predictions stop."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import polars as pl


class Node(NamedTuple):
    """A kind, and the shares of the images at which a prediction stops just there, by run."""

    name: str
    shares: tuple[float, ...]
    below: Sequence["Node"] = ()

    @property
    def total(self) -> float:
        """Of all runs together, here and below."""
        return sum(self.shares) + sum(node.total for node in self.below)


class Tree(NamedTuple):
    roots: Sequence[Node]
    elsewhere: Sequence[Node]
    """By outcome, what has no place in the tree; with it the shares of a run add up to 1."""


def trees(stops: pl.DataFrame, runs: Sequence[str]) -> dict[str, Tree]:
    """By dataset; kinds at which none of the runs stops are left out.

    Args:
        stops: as the score stage writes them (`evaluation.stops`).
    """
    total = pl.col("images").sum().over("run", "dataset")
    rows = stops.filter(pl.col("run").is_in(list(runs)))
    shared = rows.with_columns(share=pl.col("images") / total)
    parts = shared.partition_by("dataset", as_dict=True, maintain_order=True)
    return {name: _tree(part, runs) for (name,), part in parts.items()}


def _tree(rows: pl.DataFrame, runs: Sequence[str]) -> Tree:
    shares = _shares(rows.drop_nulls("named"), "named", runs)
    below = _nested(dict(rows.select("class_name", "kinds").unique("class_name").rows()))
    placed = {name for names in below.values() for name in names}
    for class_name, named in rows.drop_nulls("named").select("class_name", "named").iter_rows():
        if named not in placed and named not in below:  # a kind of the class
            below[class_name].append(named)
            placed.add(named)
    elsewhere = _shares(rows.filter(pl.col("named").is_null()), "outcome", runs)
    return Tree(_grown(below.keys() - placed, shares, below), _grown(elsewhere, elsewhere, {}))


def _nested(kinds: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What stands below each kind: a class, or a kind, below the one of the fewest classes that has
    all of its own; of those of equal classes the nearer below the farther.

    Args:
        kinds: of each class, nearest first.
    """
    classes: dict[str, set[str]] = defaultdict(set)
    for class_name, wider in kinds.items():
        for kind in (class_name, *wider):
            classes[kind].add(class_name)
    below: dict[str, list[str]] = {name: [] for name in classes}
    for name, own in classes.items():
        one = min(own)
        ranks = {k: (len(classes[k]), place) for place, k in enumerate((one, *kinds[one]))}
        wider = [k for k, rank in ranks.items() if own <= classes[k] and rank > ranks[name]]
        if wider:
            below[min(wider, key=ranks.__getitem__)].append(name)
    return below


def _grown(
    names: Iterable[str],
    shares: Mapping[str, tuple[float, ...]],
    below: Mapping[str, Sequence[str]],
) -> list[Node]:
    """What most stops at or below first; a kind that nothing stops at gives way to those below."""
    nodes: list[Node] = []
    for name in names:
        kinds = _grown(below.get(name, ()), shares, below)
        nodes += [Node(name, shares[name], kinds)] if name in shares else kinds
    return sorted(nodes, key=lambda node: (-node.total, node.name))


def _shares(rows: pl.DataFrame, column: str, runs: Sequence[str]) -> dict[str, tuple[float, ...]]:
    sums = rows.group_by(column, "run").agg(pl.col("share").sum())
    found = {(name, run): share for name, run, share in sums.iter_rows()}
    return {name: tuple(found.get((name, run), 0.0) for run in runs) for name, _ in sorted(found)}
