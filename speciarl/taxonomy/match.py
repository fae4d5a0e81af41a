"""The verdict on a parsed prediction: what its clauses name, held against one class.

The head of a prediction decides that it is wrong; the other names may contradict or sharpen it.
What is unknown leaves it undecided.
"""

import re
from itertools import pairwise, product
from operator import attrgetter
from typing import NamedTuple

from speciarl.taxonomy.lexicon import Name, Role
from speciarl.taxonomy.model_years import match_dated
from speciarl.taxonomy.nodes import COMMON
from speciarl.taxonomy.parse import Claim, ParsedAnswer, Segmentation
from speciarl.taxonomy.tree import UNDECIDED, Entity, Relation, Tree, relate, wrong
from speciarl.verdicts import Verdict

_BROADEST = {"entity", "living thing", "animal", "plant"}
_BINOMIAL = re.compile(r"[A-Z][a-z]+ [a-z]+( [a-z]+)?$")
_ANCESTRAL = (Verdict.GENERIC, Verdict.LESS_SPECIFIC, Verdict.SPECIFIC)
_step = attrgetter("step")


class Judged(NamedTuple):
    """One name of a prediction and its relation to the class."""

    node: int
    relation: Relation


def match(node_id: int, parsed: ParsedAnswer, tree: Tree, open_modifiers: bool) -> Relation:
    """The relation of a prediction to the class of that node: that of the one entity it names.

    Clauses that name the entity, what it is a kind of, and what is true of it are one prediction;
    one that names something else is a second prediction, and the whole is wrong.
    """
    if parsed.foreign:
        return wrong(node_id, parsed.foreign[0], tree)
    found = [(c, _match_claim(node_id, c, parsed, tree, open_modifiers)) for c in parsed.claims]
    lead = next((c for c, _ in found if c.segmentation.names), None)
    best, narrowed, doubts = UNDECIDED, False, []
    narrower: list[Claim] = []
    for claim, relation in found:
        if claim is not lead and lead and _only_describes(claim, relation, lead, tree):
            continue
        if relation.verdict is Verdict.WRONG:
            return relation
        if relation.verdict is None:
            narrowed |= _narrows(claim.segmentation)
            doubts.append(claim)
        elif relation.verdict is Verdict.MORE_SPECIFIC:
            narrower.append(claim)
        best = max(best, relation, key=_step)
    if any(_two_kinds(one, other, tree) for one, other in pairwise(narrower)):
        return wrong(node_id, narrower[1].segmentation.names[0].node_ids[0], tree)
    if any(_casts_doubt(claim, best, lead) for claim in doubts):
        return UNDECIDED
    if narrowed and best.verdict is Verdict.SPECIFIC:
        return best._replace(verdict=Verdict.MORE_SPECIFIC)
    return best


def entities(node_id: int, parsed: ParsedAnswer, tree: Tree) -> list[Entity]:
    """What the clauses of a prediction name, each with its relation to the class of that node."""
    if parsed.foreign:
        other = parsed.foreign[0]
        return [Entity("", tree.nodes[other].name, wrong(node_id, other, tree))]
    found = [
        (" ".join(c.parts), _best(node_id, name, tree))
        for c in parsed.claims
        for name in reversed(c.segmentation.names)
    ]
    return [Entity(text, tree.nodes[j.node].name, j.relation) for text, j in found]


def _only_describes(claim: Claim, relation: Relation, lead: Claim, tree: Tree) -> bool:
    """Whether a claim behind the one that names the entity says something of it, or of the scene,
    rather than to name another."""
    if claim.continues and not (claim.segmentation.clean and _kin(claim, lead, tree)):
        return True
    if relation.verdict is not Verdict.WRONG:
        return False
    named = claim.segmentation
    return not (named.clean or claim.plain) or named.bounded or _of_the_scene(claim, lead, tree)


def _named(claim: Claim) -> set[int]:
    return {n for name in claim.segmentation.names for n in name.node_ids}


def _of_the_scene(claim: Claim, lead: Claim, tree: Tree) -> bool:
    """Whether a claim names a thing of quite another sort (a nose, a meadow)."""
    if any(tree.nodes[n].dataset != COMMON for n in _named(claim)):
        return False
    its, other = ({up for n in _named(c) for up in tree.ancestors[n]} for c in (claim, lead))
    return {tree.nodes[up].name for up in its & other} <= _BROADEST


def _kin(one: Claim, other: Claim, tree: Tree) -> bool:
    """Whether a name of one is a name of the other, or an ancestor of one."""
    pairs = product(_named(one), _named(other))
    return any(b in tree.ancestors[a] or a in tree.ancestors[b] for a, b in pairs)


def _two_kinds(one: Claim, other: Claim, tree: Tree) -> bool:
    """Whether two claims name different kinds; a scientific name may be that of a common one."""
    names = [tree.nodes[c.segmentation.names[0].node_ids[0]].name for c in (one, other)]
    return not (any(map(_BINOMIAL.match, names)) or _kin(one, other, tree))


def _narrows(named: Segmentation) -> bool:
    """Whether a clause names nothing, but has words that make narrower what it stands beside."""
    return not named.names and not named.unknown and Role.NARROWING in named.roles


def _casts_doubt(claim: Claim, best: Relation, lead: Claim | None) -> bool:
    """Whether something undecided may name another thing than the rest does."""
    named = claim.segmentation
    if best.step >= Verdict.SPECIFIC.step:
        return claim.plain and claim is not lead and bool(named.names and named.unknown)
    return bool(named.names) or (bool(named.unknown) and claim.plain)


def _match_claim(
    node_id: int, claim: Claim, parsed: ParsedAnswer, tree: Tree, open_modifiers: bool
) -> Relation:
    named = claim.segmentation
    judged = [_best(node_id, name, tree) for name in named.names]
    if not judged or named.headless:
        return UNDECIDED
    if Role.LIKENESS in named.roles:
        return _likened(judged)
    entry = tree.nodes[node_id].facts
    if entry is not None and entry.year is not None:
        return match_dated(node_id, entry, judged, named, parsed.years, tree)
    relation = _match_names(judged, named, tree, open_modifiers, bool(claim.cut))
    if relation.verdict is Verdict.LESS_SPECIFIC and _may_be_another(claim):
        return UNDECIDED
    if named.bounded and relation.verdict is Verdict.GENERIC:
        return UNDECIDED  # what is unknown may name the thing
    if relation.verdict is Verdict.SPECIFIC and claim.kinds:
        kinds = [_best(node_id, kind, tree).relation for kind in claim.kinds]
        narrower = (k for k in kinds if k.verdict is Verdict.MORE_SPECIFIC)
        return max((relation, *narrower), key=_step)
    return relation


def _match_names(
    judged: list[Judged], named: Segmentation, tree: Tree, open_modifiers: bool, cut: bool
) -> Relation:
    head = judged[0].relation
    if head.verdict is Verdict.WRONG:
        return UNDECIDED if open_modifiers and cut else head
    doubtful = bool(named.unknown) or any(r.verdict is None for _, r in judged)
    doubtful |= Role.MARK in named.roles and head.verdict is not Verdict.GENERIC
    for node, relation in judged[1:]:
        if relation.verdict is Verdict.WRONG:
            if not open_modifiers and tree.nodes[node].dataset != COMMON:
                return relation
            doubtful = True
    if doubtful:
        if open_modifiers and not cut and head.step >= Verdict.SPECIFIC.step:
            return head._replace(verdict=Verdict.MORE_SPECIFIC)
        return UNDECIDED
    return _shade(max((r for _, r in judged), key=_step), named)


def _may_be_another(claim: Claim) -> bool:
    """Whether colors may make another name of a near one ("Olive Warbler"), rather than describe
    it ("a small olive warbler", "a white and gray gull on a rock")."""
    roles = claim.segmentation.roles
    name_like = not claim.cut and (claim.plain or len(claim.parts) <= 2)
    return Role.COLOR in roles and Role.SIZE not in roles and name_like


def _shade(best: Relation, named: Segmentation) -> Relation:
    """The best relation, in the light of the words beside the names."""
    if Role.CULTIVAR in named.roles and best.step < Verdict.SPECIFIC.step:
        return UNDECIDED
    if best.verdict is not Verdict.SPECIFIC:
        return best
    if Role.GROUP in named.roles:
        return best._replace(verdict=Verdict.LESS_SPECIFIC)
    if named.roles & {Role.NARROWING, Role.CULTIVAR}:
        return best._replace(verdict=Verdict.MORE_SPECIFIC)
    return best


def _likened(judged: list[Judged]) -> Relation:
    """ "A daisy-like flower": true of what is a daisy, but broad; of the rest nobody knows."""
    true = [r for _, r in judged if r.step >= Verdict.GENERIC.step]
    if len(true) < len(judged):
        return UNDECIDED
    return min(true, key=_step)._replace(verdict=Verdict.GENERIC)


def _best(node_id: int, name: Name, tree: Tree) -> Judged:
    """The best sense of a name; under a designation pattern it is a subtype of what it names.

    A name with a sense that is undecided is undecided where its other senses are wrong.
    """
    found = [Judged(n, _sense(node_id, n, name.is_subtype, tree)) for n in name.node_ids]
    models = tree.nodes[node_id].near
    of_model = {j.node for j in found if not tree.ancestors[j.node].keys().isdisjoint(models)}
    best = max(found, key=lambda j: (j.relation.step, j.node in of_model))
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
