"""The graph's nodes: the entries of several files with their parents looked up, and checked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from speciarl.errors import TaxonomyError
from speciarl.taxonomy.drafts import Draft, drafts
from speciarl.taxonomy.facts import ClassEntry, Entry, Facts, Words
from speciarl.taxonomy.forms import key, tokens

COMMON = "common"


@dataclass(frozen=True)
class Node:
    """One term or class; parents are node numbers, forms are surface forms as written."""

    number: int
    dataset: str
    name: str
    kind: str
    """class, term, maker, body, or narrower"""
    near: tuple[int, ...]
    far: tuple[int, ...]
    forms: tuple[str, ...]
    entry: Entry | None
    unsure: frozenset[int]
    """Nodes of which it is disputed whether they name this class."""

    @property
    def facts(self) -> ClassEntry | None:
        """What a class states of itself (year, bodies)."""
        return self.entry if isinstance(self.entry, ClassEntry) else None


def build(files: Sequence[Facts], words: Words) -> tuple[Node, ...]:
    """All nodes of all files; a TaxonomyError names the entry at fault and its file."""
    all_drafts = [(facts, draft) for facts in files for draft in drafts(facts).values()]
    numbers = {(facts.dataset, d.name): n for n, (facts, d) in enumerate(all_drafts)}

    def resolve(facts: Facts, draft: Draft, names: Iterable[str]) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for name in names:
            number = numbers.get((facts.dataset, name), numbers.get((COMMON, name)))
            if number is None:
                raise TaxonomyError(
                    f"{facts.dataset}: {draft.name!r} has the unknown parent {name!r}; "
                    f"describe it under `terms` of {facts.dataset}.yaml or common.yaml"
                )
            found[number] = None
        return tuple(found)

    def node(number: int, facts: Facts, draft: Draft) -> Node:
        orphan = not (draft.near or draft.far or draft.name in facts.root)
        roots = facts.root if orphan or draft.kind == "class" else ()
        return Node(
            number,
            facts.dataset,
            draft.name,
            draft.kind,
            near=resolve(facts, draft, draft.near),
            far=resolve(facts, draft, [*draft.far, *roots]),
            forms=tuple(dict.fromkeys([draft.name, *draft.forms])),
            entry=draft.entry,
            unsure=frozenset(resolve(facts, draft, draft.unsure)),
        )

    nodes = tuple(node(n, facts, draft) for n, (facts, draft) in enumerate(all_drafts))
    _refuse_cycles(nodes)
    _refuse_shared_forms(nodes, files, words)
    return nodes


def _refuse_cycles(nodes: Sequence[Node]) -> None:
    try:
        tuple(TopologicalSorter({n.number: {*n.near, *n.far} for n in nodes}).static_order())
    except CycleError as error:
        names = " -> ".join(nodes[number].name for number in error.args[1])
        where = nodes[error.args[1][0]].dataset
        raise TaxonomyError(
            f"{where}: cycle of parents {names}; remove one of them in {where}.yaml"
        ) from None


def _refuse_shared_forms(nodes: Sequence[Node], files: Sequence[Facts], words: Words) -> None:
    """No stated form may name two entries of a file, unless the file lists it as ambiguous."""
    allowed = {(f.dataset, key(tokens(a, words))) for f in files for a in f.ambiguous}
    owners: dict[tuple[str, str], Node] = {}
    for node in nodes:
        for form in node.forms:
            place = (node.dataset, key(tokens(form, words)))
            other = owners.setdefault(place, node)
            if other is not node and place not in allowed:
                raise TaxonomyError(
                    f"{node.dataset}: {form!r} names {other.name!r} and {node.name!r}; drop one, "
                    f"or list it under `ambiguous` in {node.dataset}.yaml"
                )
