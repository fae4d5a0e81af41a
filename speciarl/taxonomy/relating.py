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
    """How an answer relates to a class."""

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


UNDECIDED = Relation(None, (), None)


class Kin(NamedTuple):
    """One ancestor: whether near edges alone lead to it, and the node numbers on the way."""

    near: bool
    path: tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """The nodes, and what follows from their edges."""

    nodes: Sequence[Node]
    ancestors: Sequence[dict[int, Kin]]
    """Of each node, itself included."""
    classes_below: Sequence[tuple[int, ...]]
    """The classes that each node is an ancestor of."""


def grow(nodes: Sequence[Node]) -> Tree:
    """Ancestors of all nodes; of several ways up the near one counts, then the shortest."""
    ancestors: list[dict[int, Kin]] = [{} for _ in nodes]
    order = TopologicalSorter({n.number: {*n.near, *n.far} for n in nodes}).static_order()
    for number in order:
        mine = ancestors[number]
        mine[number] = Kin(True, (number,))
        for parent in (*nodes[number].near, *nodes[number].far):
            is_near = parent in nodes[number].near
            for up, kin in ancestors[parent].items():
                found = Kin(is_near and kin.near, (number, *kin.path))
                known = mine.get(up)
                if known is None or _rank(found) < _rank(known):
                    mine[up] = found
    below: list[list[int]] = [[] for _ in nodes]
    for node in nodes:
        if node.kind == "class":
            for up in ancestors[node.number]:
                below[up].append(node.number)
    return Tree(nodes, ancestors, tuple(tuple(b) for b in below))


def _rank(kin: Kin) -> tuple[bool, int]:
    return (not kin.near, len(kin.path))


def relate(number: int, other: int, tree: Tree) -> Relation:
    """The relation of node `other`, as an answer, to the class `number`; undecided where the facts
    call it disputed or open."""
    if other in tree.nodes[number].unsure:
        return UNDECIDED
    matched = tree.nodes[other].name
    if other == number:
        return Relation(Verdict.SPECIFIC, (matched,), matched)
    kin = tree.ancestors[number].get(other)
    if kin is not None:
        verdict = Verdict.LESS_SPECIFIC if kin.near else Verdict.GENERIC
        return Relation(verdict, _names(kin.path, tree), matched)
    below = tree.ancestors[other].get(number)
    if below is not None:
        return Relation(Verdict.MORE_SPECIFIC, _names(below.path[::-1], tree), matched)
    entry = tree.nodes[other].entry
    if entry is not None and entry.open:
        return UNDECIDED
    return wrong(number, other, tree)


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


def describe(number: int, tree: Tree) -> Description:
    """What the facts say of the class of that number."""
    node = tree.nodes[number]
    kin = sorted(tree.ancestors[number].items(), key=lambda item: (len(item[1].path), item[0]))

    def above(near: bool) -> tuple[str, ...]:
        return tuple(tree.nodes[n].name for n, k in kin if n != number and k.near is near)

    below = (n for n, ancestors in zip(tree.nodes, tree.ancestors, strict=True)
             if number in ancestors and n.number != number)  # fmt: skip
    return Description(
        node.dataset,
        node.name,
        synonyms=node.forms[1:],
        near=above(True),
        far=above(False),
        narrower=tuple(sorted(n.name for n in below)),
        disputed=tuple(sorted(tree.nodes[n].name for n in node.unsure)),
    )


def wrong(number: int, other: int, tree: Tree) -> Relation:
    """A wrong answer, with the way from the class to it over their nearest common ancestor."""
    mine, its = tree.ancestors[number], tree.ancestors[other]
    shared = [n for n in mine if n in its]
    path: tuple[int, ...] = ()
    if shared:
        top = min(shared, key=lambda n: (len(mine[n].path) + len(its[n].path), n))
        path = (*mine[top].path, *its[top].path[-2::-1])
    return Relation(Verdict.WRONG, _names(path, tree), tree.nodes[other].name)


def _names(path: Sequence[int], tree: Tree) -> tuple[str, ...]:
    return tuple(tree.nodes[n].name for n in path)
