"""Classes that a year and a body tell apart (cars): when the name of a model is all of the class.

The class is known where model, year and body are: a body that is left out counts as known if the
model year had only that one. A year or body that contradicts the class is wrong.
"""

from collections.abc import Sequence, Set

from speciarl.taxonomy.facts import ClassEntry
from speciarl.taxonomy.forms import Years
from speciarl.taxonomy.lexicon import Role
from speciarl.taxonomy.parse import Segmentation
from speciarl.taxonomy.tree import UNDECIDED, Relation, Tree, wrong
from speciarl.verdicts import Verdict


def match_dated(
    node_id: int,
    entry: ClassEntry,
    judged: Sequence[tuple[int, Relation]],
    segment: Segmentation,
    years: Sequence[Years],
    tree: Tree,
) -> Relation:
    """The relation of names and years to a class that states its year.

    Args:
        judged: each name's node number and its relation to the class by the graph alone.

    Raises:
        ValueError: the class states no year.
    """
    if entry.year is None:
        raise ValueError(f"{tree.nodes[node_id].name!r} states no year")
    exact = entry.year if any(y.first == y.last == entry.year for y in years) else None
    found: list[tuple[int, Relation]] = []
    for node, relation in judged:
        if relation.verdict is Verdict.WRONG:
            trim = _trim_of_model(node_id, node, exact, tree)
            if trim is None:
                return relation
            relation = trim
        found.append((node, relation))
    best_node, best = max(found, key=lambda pair: (pair[1].step, len(pair[1].path)))
    if any(entry.year not in range(y.first, y.last + 1) for y in years):
        return wrong(node_id, best_node, tree)
    if (other := _another_model(found, best_node, best, tree)) is not None:
        return wrong(node_id, other, tree)
    if segment.unknown or any(r.verdict is None for _, r in found):
        return UNDECIDED
    if best.step < Verdict.LESS_SPECIFIC.step:
        return best
    names = [n for n, _ in found]
    stated = _bodies(names, tree)
    if exact is None or not _settled(node_id, names, stated, entry, tree):
        sibling = _named_sibling(node_id, best_node, stated, exact, tree)
        if sibling is not None:
            return wrong(node_id, sibling, tree)
        return best._replace(verdict=Verdict.LESS_SPECIFIC)
    if best.verdict is Verdict.MORE_SPECIFIC or segment.roles & {Role.TRIM, Role.NARROWING}:
        return best._replace(verdict=Verdict.MORE_SPECIFIC)
    return best._replace(verdict=Verdict.SPECIFIC)


def _another_model(
    found: Sequence[tuple[int, Relation]], best_node: int, best: Relation, tree: Tree
) -> int | None:
    """A disputed model that is named beside the one of the class, and thus is another."""
    if best.step < Verdict.LESS_SPECIFIC.step or tree.nodes[best_node].kind in ("maker", "body"):
        return None
    for node, relation in found:
        apart = best_node not in tree.ancestors[node] and node not in tree.ancestors[best_node]
        if relation.verdict is None and apart and tree.nodes[node].kind in ("term", "class"):
            return node
    return None


def _bodies(names: Sequence[int], tree: Tree) -> set[str]:
    """The bodies that are named, and what each of them also is (a roadster is a convertible)."""
    named = (n for n in names if tree.nodes[n].kind == "body")
    kinds = (tree.nodes[up] for n in named for up in tree.ancestors[n])
    return {node.name for node in kinds if node.kind == "body"}


def _settled(
    node_id: int, names: Sequence[int], stated: Set[str], entry: ClassEntry, tree: Tree
) -> bool:
    """Whether names settle the class but for its year: itself, or its model and its body."""
    if any(node_id in tree.ancestors[n] for n in names):
        return True
    if not any(m in tree.ancestors[n] for n in names for m in tree.nodes[node_id].near):
        return False
    return entry.body is None or entry.body in stated or len(entry.bodies) < 2


def _named_sibling(
    node_id: int, model: int, stated: Set[str], year: int | None, tree: Tree
) -> int | None:
    """Another class of which model, body and year are all stated (a Sonata, not its Hybrid)."""
    for other in tree.classes_below[model]:
        facts = tree.nodes[other].facts
        if other == node_id or facts is None or model not in tree.nodes[other].near:
            continue
        if facts.year == year and facts.body in stated:
            return other
    return None


def _trim_of_model(node_id: int, node: int, year: int | None, tree: Tree) -> Relation | None:
    """The relation over the class's model to something narrower than that model, if it is.

    A version that is a model of its own (Charger SRT-8) is a trim of the class's car only in a
    year in which the benchmark has no class of it, and only if that year is stated.
    """
    if tree.nodes[node].kind != "narrower":
        years = [tree.nodes[n].year for n in tree.classes_below[node]]
        if year is None or not years or year in years:
            return None
    for model in tree.nodes[node_id].near:
        kin = tree.ancestors[node].get(model)
        if kin is not None and kin.near:
            names = tuple(tree.nodes[n].name for n in (node_id, *kin.path[::-1]))
            return Relation(Verdict.MORE_SPECIFIC, names, tree.nodes[node].name)
    return None
