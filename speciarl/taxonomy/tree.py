"""How one node relates to a class: ancestors near and far, descendants, everything else.

An ancestor reached over near edges only is `less specific`, any other `generic`; a descendant is
`more specific`; everything else that is known is `wrong`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import NamedTuple

from speciarl.taxonomy.nodes import Node
from speciarl.verdicts import Verdict


class Relation(NamedTuple):
    """How a prediction relates to a class."""

    verdict: Verdict | None
    """None: the taxonomy does not decide."""
    path: tuple[str, ...]
    """From the class to the matched term; over their nearest common ancestor if it is wrong."""
    matched: str | None
    """The term that decided."""

    @property
    def step(self) -> int:
        """Position of the verdict on the ladder; below it where there is none."""
        return -1 if self.verdict is None else self.verdict.step


class Entity(NamedTuple):
    """Something that a prediction names."""

    text: str
    """The words of the clause that names it, as they are read."""
    name: str
    """The entry in the facts."""
    relation: Relation
    """How it alone relates to the class."""


UNDECIDED = Relation(None, (), None)


class AncestorPath(NamedTuple):
    """One ancestor: whether near edges alone lead to it, and the node numbers on the way."""

    near: bool
    path: tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """The nodes, and what follows from their edges."""

    nodes: Sequence[Node]
    ancestors: Sequence[dict[int, AncestorPath]]
    """Of each node, itself included."""
    classes_below: Sequence[tuple[int, ...]]
    """The classes that each node is an ancestor of."""


def grow(nodes: Sequence[Node]) -> Tree:
    """Ancestors of all nodes; of several ways up the near one counts, then the shortest."""
    ancestors: list[dict[int, AncestorPath]] = [{} for _ in nodes]
    order = TopologicalSorter({n.node_id: {*n.near, *n.far} for n in nodes}).static_order()
    for node_id in order:
        mine = ancestors[node_id]
        mine[node_id] = AncestorPath(True, (node_id,))
        for parent in (*nodes[node_id].near, *nodes[node_id].far):
            is_near = parent in nodes[node_id].near
            for up, kin in ancestors[parent].items():
                found = AncestorPath(is_near and kin.near, (node_id, *kin.path))
                mine[up] = min(mine.get(up, found), found, key=_rank)
    below: list[list[int]] = [[] for _ in nodes]
    for node in nodes:
        if node.kind == "class":
            for up in ancestors[node.node_id]:
                below[up].append(node.node_id)
    return Tree(nodes, ancestors, tuple(tuple(b) for b in below))


def _rank(kin: AncestorPath) -> tuple[bool, int]:
    return (not kin.near, len(kin.path))


def relate(node_id: int, other: int, tree: Tree) -> Relation:
    """The relation of node `other`, as a prediction, to the class of that id; undecided where the
    facts call it disputed or open."""
    if other in tree.nodes[node_id].disputed:
        return UNDECIDED
    matched = tree.nodes[other].name
    if other == node_id:
        return Relation(Verdict.SPECIFIC, (matched,), matched)
    kin = tree.ancestors[node_id].get(other)
    if kin is not None:
        verdict = Verdict.LESS_SPECIFIC if kin.near else Verdict.GENERIC
        return Relation(verdict, _names(kin.path, tree), matched)
    below = tree.ancestors[other].get(node_id)
    if below is not None:
        return Relation(Verdict.MORE_SPECIFIC, _names(below.path[::-1], tree), matched)
    if tree.nodes[other].entry.open:
        return UNDECIDED
    return wrong(node_id, other, tree)


@dataclass(frozen=True)
class Description:
    """A class as the facts have it, all by name; ancestors nearest first."""

    dataset: str
    name: str
    synonyms: tuple[str, ...]
    near: tuple[str, ...]
    far: tuple[str, ...]
    narrower: tuple[str, ...]
    disputed: tuple[str, ...]


def describe(node_id: int, tree: Tree) -> Description:
    """What the facts say of the class of that number."""
    node = tree.nodes[node_id]
    kin = sorted(tree.ancestors[node_id].items(), key=lambda item: (len(item[1].path), item[0]))

    def above(near: bool) -> tuple[str, ...]:
        return tuple(tree.nodes[n].name for n, k in kin if n != node_id and k.near is near)

    below = (n for n, ancestors in zip(tree.nodes, tree.ancestors, strict=True)
             if node_id in ancestors and n.node_id != node_id)  # fmt: skip
    return Description(
        node.dataset,
        node.name,
        synonyms=node.forms[1:],
        near=above(True),
        far=above(False),
        narrower=tuple(sorted(n.name for n in below)),
        disputed=tuple(sorted(tree.nodes[n].name for n in node.disputed)),
    )


def wrong(node_id: int, other: int, tree: Tree) -> Relation:
    """A wrong prediction, with the way from the class to it over their nearest common ancestor."""
    mine, its = tree.ancestors[node_id], tree.ancestors[other]
    shared = [n for n in mine if n in its]
    path: tuple[int, ...] = ()
    if shared:
        top = min(shared, key=lambda n: (len(mine[n].path) + len(its[n].path), n))
        path = (*mine[top].path, *its[top].path[-2::-1])
    return Relation(Verdict.WRONG, _names(path, tree), tree.nodes[other].name)


def _names(path: Sequence[int], tree: Tree) -> tuple[str, ...]:
    return tuple(tree.nodes[n].name for n in path)
