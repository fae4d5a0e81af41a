"""Classes that a year and a body tell apart (cars): when the name of a model is all of the class.

The class is known where model, year and body are: a body that is left out counts as known if the
model year had only that one. A year or body that contradicts the class is wrong.
"""

from collections.abc import Sequence

from speciarl.taxonomy.facts import ClassEntry
from speciarl.taxonomy.forms import Years
from speciarl.taxonomy.lexicon import Role
from speciarl.taxonomy.reading import Cover
from speciarl.taxonomy.relating import UNDECIDED, Relation, Tree, wrong
from speciarl.verdicts import Verdict


def judge_dated(
    number: int,
    entry: ClassEntry,
    judged: Sequence[tuple[int, Relation]],
    cover: Cover,
    years: Sequence[Years],
    tree: Tree,
) -> Relation:
    """The relation of names and years to a class that states its year.

    Args:
        judged: each name's node number and its relation to the class by the graph alone.

    Raises:
        ValueError: the class states no year.
    """
    year = entry.year
    if year is None:
        raise ValueError(f"{tree.nodes[number].name!r} states no year")
    exact = any(y.first == y.last == year for y in years)
    found: list[tuple[int, Relation]] = []
    for node, relation in judged:
        if relation.verdict is Verdict.WRONG:
            trim = _trim_of_model(number, node, entry, exact, tree)
            if trim is None:
                return relation
            relation = trim
        found.append((node, relation))
    if any(not y.first <= year <= y.last for y in years):
        model = next((n for n, r in judged if r.verdict is not Verdict.GENERIC), number)
        return wrong(number, model, tree)
    if cover.unknown or not found:
        return UNDECIDED
    _, best = max(found, key=lambda pair: (pair[1].step, len(pair[1].path)))
    if best.step < Verdict.LESS_SPECIFIC.step:
        return best
    names = [n for n, _ in found]
    if not (exact and _settled(number, names, entry, tree)):
        return best._replace(verdict=Verdict.LESS_SPECIFIC)
    if best.verdict is Verdict.MORE_SPECIFIC or cover.roles & {Role.TRIM, Role.NARROWING}:
        return best._replace(verdict=Verdict.MORE_SPECIFIC)
    return best._replace(verdict=Verdict.SPECIFIC)


def _settled(number: int, names: Sequence[int], entry: ClassEntry, tree: Tree) -> bool:
    """Whether names settle the class but for its year: itself, or its model and its body."""
    if any(number in tree.ancestors[n] for n in names):
        return True
    models = tree.nodes[number].near
    if not any(m in tree.ancestors[n] for n in names for m in models):
        return False
    stated = {tree.nodes[n].name for n in names if tree.nodes[n].kind == "body"}
    return entry.body is None or entry.body in stated or len(entry.bodies) < 2


def _trim_of_model(
    number: int, node: int, entry: ClassEntry, exact: bool, tree: Tree
) -> Relation | None:
    """The relation over the class's model to something narrower than that model, if it is.

    A version that is a model of its own (Charger SRT-8) is a trim of the class's car only in a
    year in which the benchmark has no class of it, and only if that year is stated.
    """
    if tree.nodes[node].kind != "narrower":
        years = tree.years_below[node]
        if not (exact and years) or entry.year in years:
            return None
    for model in tree.nodes[number].near:
        kin = tree.ancestors[node].get(model)
        if kin is not None and kin.near:
            names = tuple(tree.nodes[n].name for n in (number, *kin.path[::-1]))
            return Relation(Verdict.MORE_SPECIFIC, names, tree.nodes[node].name)
    return None
