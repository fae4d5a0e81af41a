"""The verdict on a reading: all names of an answer held against one class.

The head of an answer decides that it is wrong; the other names may contradict or sharpen it.
What is unknown leaves it undecided.
"""

from typing import NamedTuple

from speciarl.taxonomy.lexicon import Name, Role
from speciarl.taxonomy.model_years import match_dated
from speciarl.taxonomy.nodes import COMMON
from speciarl.taxonomy.parse import ParsedAnswer, Segmentation
from speciarl.taxonomy.tree import UNDECIDED, Relation, Tree, relate, wrong
from speciarl.verdicts import Verdict

_ANCESTRAL = (Verdict.GENERIC, Verdict.LESS_SPECIFIC, Verdict.SPECIFIC)


class Judged(NamedTuple):
    """One name of an answer and its relation to the class."""

    node: int
    relation: Relation


def match(node_id: int, parsed: ParsedAnswer, tree: Tree, open_modifiers: bool) -> Relation:
    """The relation of a reading to the class of that number."""
    if parsed.foreign:
        return wrong(node_id, parsed.foreign[0], tree)
    result = _match_segmentation(node_id, parsed.main, parsed, tree, open_modifiers)
    for parenthetical in parsed.parentheticals:
        other = _match_segmentation(node_id, parenthetical, parsed, tree, open_modifiers)
        result = _merge(result, other, parenthetical)
    return result


def _merge(main: Relation, parenthetical: Relation, segment: Segmentation) -> Relation:
    """What stands in parentheses may contradict or sharpen, and if unknown casts doubt on less."""
    if main.verdict is Verdict.WRONG:
        return main
    if parenthetical.verdict is Verdict.WRONG:
        return parenthetical
    if parenthetical.verdict is None:
        sure = main.step >= Verdict.SPECIFIC.step
        return main if sure or not (segment.unknown or segment.names) else UNDECIDED
    if main.verdict is None:
        return parenthetical if parenthetical.step >= Verdict.SPECIFIC.step else UNDECIDED
    return max(main, parenthetical, key=lambda r: r.step)


def _match_segmentation(
    node_id: int, segment: Segmentation, parsed: ParsedAnswer, tree: Tree, open_modifiers: bool
) -> Relation:
    judged = [_best(node_id, name, tree) for name in segment.names]
    if not judged or segment.headless:
        return UNDECIDED
    if Role.LIKENESS in segment.roles:
        return _likened(judged)
    entry = tree.nodes[node_id].facts
    if entry is not None and entry.year is not None:
        return match_dated(node_id, entry, judged, segment, parsed.years, tree)
    return _match_names(judged, segment, tree, open_modifiers, parsed.cut)


def _match_names(
    judged: list[Judged], segment: Segmentation, tree: Tree, open_modifiers: bool, cut: bool
) -> Relation:
    head = judged[0].relation
    if head.verdict is Verdict.WRONG:
        return UNDECIDED if open_modifiers and cut else head
    doubtful = bool(segment.unknown) or any(r.verdict is None for _, r in judged)
    doubtful |= Role.MARK in segment.roles and head.verdict is not Verdict.GENERIC
    for node, relation in judged[1:]:
        if relation.verdict is Verdict.WRONG:
            if not open_modifiers and tree.nodes[node].dataset != COMMON:
                return relation
            doubtful = True
    if doubtful:
        if open_modifiers and not cut and head.step >= Verdict.SPECIFIC.step:
            return head._replace(verdict=Verdict.MORE_SPECIFIC)
        return UNDECIDED
    best = max((r for _, r in judged), key=lambda r: r.step)
    return _shade(best, segment, uncertain=open_modifiers and cut)


def _shade(best: Relation, segment: Segmentation, uncertain: bool) -> Relation:
    """The best relation, in the light of the words beside the names."""
    if Role.CULTIVAR in segment.roles and best.step < Verdict.SPECIFIC.step:
        return UNDECIDED
    if best.verdict is not Verdict.SPECIFIC:
        return best
    if Role.GROUP in segment.roles:
        return best._replace(verdict=Verdict.LESS_SPECIFIC)
    if segment.roles & {Role.NARROWING, Role.CULTIVAR}:
        return best._replace(verdict=Verdict.MORE_SPECIFIC)
    return UNDECIDED if uncertain else best


def _likened(judged: list[Judged]) -> Relation:
    """ "A daisy-like flower": true of what is a daisy, but broad; of the rest nobody knows."""
    true = [r for _, r in judged if r.step >= Verdict.GENERIC.step]
    if len(true) < len(judged):
        return UNDECIDED
    return min(true, key=lambda r: r.step)._replace(verdict=Verdict.GENERIC)


def _best(node_id: int, name: Name, tree: Tree) -> Judged:
    """The best sense of a name; under a designation pattern it is a subtype of what it names.

    A name with a sense that is undecided is undecided where its other senses are wrong.
    """
    found = [Judged(n, _sense(node_id, n, name.is_subtype, tree)) for n in name.node_ids]
    models = tree.nodes[node_id].near
    best = max(
        found,
        key=lambda j: (j.relation.step, any(m in tree.ancestors[j.node] for m in models)),
    )
    if best.relation.verdict is Verdict.WRONG and any(j.relation.verdict is None for j in found):
        return Judged(best.node, UNDECIDED)
    return best


def _sense(node_id: int, node: int, is_subtype: bool, tree: Tree) -> Relation:
    relation = relate(node_id, node, tree)
    if not is_subtype or relation.verdict not in _ANCESTRAL:
        return relation
    if relation.verdict is Verdict.SPECIFIC:
        return relation._replace(verdict=Verdict.MORE_SPECIFIC)
    return wrong(node_id, node, tree)
