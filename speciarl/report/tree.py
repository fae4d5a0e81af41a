"""The report's tree of a dataset: at which kinds, down to the classes, predictions stop."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
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
    """By dataset; kinds at which and below which none of the runs stops are left out.

    A kind with several wider ones (a samoyed is a spitz and a large dog) stands below the one that
    most predictions lead over.

    Args:
        stops: as the score stage writes them (`evaluation.stops`).
    """
    rows = stops.filter(pl.col("run").is_in(list(runs)))
    total = pl.col("images").sum().over("run", "dataset")
    shared = rows.with_columns(share=pl.col("images") / total)
    parts = shared.partition_by("dataset", as_dict=True, maintain_order=True)
    return {name: _tree(part, runs) for (name,), part in parts.items()}


def _tree(rows: pl.DataFrame, runs: Sequence[str]) -> Tree:
    wider: dict[str, Counter[str]] = defaultdict(Counter)
    for path, images in rows.drop_nulls("path").select("path", "images").iter_rows():
        names = path.split(" > ")
        for above, name in pairwise(names):
            wider[name][above] += images
    below = defaultdict(list)
    for name, above in wider.items():
        below[max(sorted(above), key=above.__getitem__)].append(name)
    placed, other = rows.drop_nulls("path"), rows.filter(pl.col("path").is_null())
    shares = _shares(placed, "named", runs)
    roots = sorted({*below, *shares} - {*wider})
    grown = (_grown(name, shares, below, len(runs)) for name in roots)
    elsewhere = _shares(other, "outcome", runs)
    return Tree(_ranked(grown), _ranked(Node(name, found) for name, found in elsewhere.items()))


def _grown(
    name: str,
    shares: Mapping[str, tuple[float, ...]],
    below: Mapping[str, Sequence[str]],
    runs: int,
) -> Node:
    kinds = _ranked(_grown(kind, shares, below, runs) for kind in below.get(name, ()))
    return Node(name, shares.get(name, (0.0,) * runs), kinds)


def _ranked(nodes: Iterable[Node]) -> list[Node]:
    """Those that have a share, or have such below them: what most stops at or below first."""
    return sorted((n for n in nodes if n.total), key=lambda n: (-n.total, n.name))


def _shares(rows: pl.DataFrame, column: str, runs: Sequence[str]) -> dict[str, tuple[float, ...]]:
    sums = rows.group_by(column, "run").agg(pl.col("share").sum())
    found = {(name, run): share for name, run, share in sums.iter_rows()}
    return {name: tuple(found.get((name, run), 0.0) for run in runs) for name, _ in sorted(found)}
