"""The verdict on a reading: all names of an answer held against one class.

The head of an answer decides that it is wrong; the other names may contradict or sharpen it.
What is unknown leaves it undecided.
"""

from typing import NamedTuple

from speciarl.taxonomy.dated import judge_dated
from speciarl.taxonomy.lexicon import Name, Role
from speciarl.taxonomy.nodes import COMMON
from speciarl.taxonomy.reading import Cover, Reading
from speciarl.taxonomy.relating import UNDECIDED, Relation, Tree, relate, wrong
from speciarl.verdicts import Verdict

_ANCESTRAL = (Verdict.GENERIC, Verdict.LESS_SPECIFIC, Verdict.SPECIFIC)


class Judged(NamedTuple):
    """One name of an answer and its relation to the class."""

    node: int
    relation: Relation


def judge(number: int, reading: Reading, tree: Tree, open_modifiers: bool) -> Relation:
    """The relation of a reading to the class of that number."""
    if reading.foreign:
        return wrong(number, reading.foreign[0], tree)
    result = _judge_cover(number, reading.main, reading, tree, open_modifiers)
    for aside in reading.asides:
        other = _judge_cover(number, aside, reading, tree, open_modifiers)
        result = _merge(result, other, aside)
    return result


def _merge(main: Relation, aside: Relation, cover: Cover) -> Relation:
    """What stands in parentheses may contradict or sharpen, and if unknown casts doubt on less."""
    if main.verdict is Verdict.WRONG:
        return main
    if aside.verdict is Verdict.WRONG:
        return aside
    if aside.verdict is None:
        sure = main.step >= Verdict.SPECIFIC.step
        return main if sure or not (cover.unknown or cover.names) else UNDECIDED
    if main.verdict is None:
        return aside if aside.step >= Verdict.SPECIFIC.step else UNDECIDED
    return max(main, aside, key=lambda r: r.step)


def _judge_cover(
    number: int, cover: Cover, reading: Reading, tree: Tree, open_modifiers: bool
) -> Relation:
    judged = [_best(number, name, tree) for name in cover.names]
    if not judged or cover.headless:
        return UNDECIDED
    if Role.LIKENESS in cover.roles:
        return _likened(judged)
    entry = tree.nodes[number].facts
    if entry is not None and entry.year is not None:
        return judge_dated(number, entry, judged, cover, reading.years, tree)
    return _judge_names(judged, cover, tree, open_modifiers, reading.cut)


def _judge_names(
    judged: list[Judged], cover: Cover, tree: Tree, open_modifiers: bool, cut: bool
) -> Relation:
    head = judged[0].relation
    if head.verdict is Verdict.WRONG:
        return UNDECIDED if open_modifiers and cut else head
    doubtful = bool(cover.unknown) or any(r.verdict is None for _, r in judged)
    doubtful |= Role.MARK in cover.roles and head.verdict is not Verdict.GENERIC
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
    return _shade(best, cover, unsure=open_modifiers and cut)


def _shade(best: Relation, cover: Cover, unsure: bool) -> Relation:
    """The best relation, in the light of the words beside the names."""
    if Role.CULTIVAR in cover.roles and best.step < Verdict.SPECIFIC.step:
        return UNDECIDED
    if best.verdict is not Verdict.SPECIFIC:
        return best
    if Role.GROUP in cover.roles:
        return best._replace(verdict=Verdict.LESS_SPECIFIC)
    if cover.roles & {Role.NARROWING, Role.CULTIVAR}:
        return best._replace(verdict=Verdict.MORE_SPECIFIC)
    return UNDECIDED if unsure else best


def _likened(judged: list[Judged]) -> Relation:
    """ "A daisy-like flower": true of what is a daisy, but broad; of the rest nobody knows."""
    true = [r for _, r in judged if r.step >= Verdict.GENERIC.step]
    if len(true) < len(judged):
        return UNDECIDED
    return min(true, key=lambda r: r.step)._replace(verdict=Verdict.GENERIC)


def _best(number: int, name: Name, tree: Tree) -> Judged:
    """The best sense of a name; under a designation pattern it is a subtype of what it names.

    A name with a sense that is undecided is undecided where its other senses are wrong.
    """
    found = [Judged(n, _sense(number, n, name.narrower, tree)) for n in name.numbers]
    models = tree.nodes[number].near
    best = max(
        found,
        key=lambda j: (j.relation.step, any(m in tree.ancestors[j.node] for m in models)),
    )
    if best.relation.verdict is Verdict.WRONG and any(j.relation.verdict is None for j in found):
        return Judged(best.node, UNDECIDED)
    return best


def _sense(number: int, node: int, narrower: bool, tree: Tree) -> Relation:
    relation = relate(number, node, tree)
    if not narrower or relation.verdict not in _ANCESTRAL:
        return relation
    if relation.verdict is Verdict.SPECIFIC:
        return relation._replace(verdict=Verdict.MORE_SPECIFIC)
    return wrong(number, node, tree)
