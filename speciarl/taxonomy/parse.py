"""What a prediction says in terms of the taxonomy, before it is held against any class.

A prediction is taken clause by clause, and each is laid out in known names ("toy dog | breed",
"male | Red-winged Blackbird"), so that as few words as possible stay unknown. What no name covers
either adds nothing (colors, "species of"), makes what it stands beside narrower ("male"), or is
unknown, and then little can be said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from speciarl.answers import Clause, clauses, normalize, strip_contrast
from speciarl.taxonomy.forms import ARTICLES, Tokens, Years, key, take_years
from speciarl.taxonomy.lexicon import LONGEST, Lexicon, Name, Role

_MANY = 24  # tokens beyond which a clause is a text
_SHORT = 4  # tokens of a clause that may be a name that we do not know
_SHORTEST_FOREIGN = 4  # letters of a name of another dataset that a word may be taken for
_GARNISHING = frozenset({"topped", "garnished", "served", "drizzled", "dusted", "covered"})
_LOOKS = frozenset({"coat", "fur", "livery"})
_FEATURES = re.compile(
    r"(?:it|they|this|these|the \w+) (?:has|have|contains?|features?|includes?)\b"
)
_QUOTES = "'\"\u2018\u2019\u201c\u201d"
_CULTIVAR = re.compile(rf"^(.{{3,}}?)\s+[{_QUOTES}]([^{_QUOTES}]+)[{_QUOTES}]?\s*$")


@dataclass
class Segmentation:
    """A run of tokens laid out in known names; the first is the rightmost, the head."""

    names: list[Name] = field(default_factory=list)
    roles: set[Role] = field(default_factory=set)
    """What the words beside the names do."""
    unknown: list[str] = field(default_factory=list)
    headless: bool = False
    """Whether the last word that matters is unknown, so that the head is not a name we know."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Where each of the names stands."""
    bounded: bool = False
    """Whether unknown words were left out, from which the names stand apart in their sentence."""

    @property
    def clean(self) -> bool:
        """Whether it consists of names and of words whose part is known."""
        return bool(self.names) and not self.unknown


@dataclass(frozen=True)
class Claim:
    """A clause of a prediction as what it may name."""

    segmentation: Segmentation
    parts: Tokens
    plain: bool = False
    """Whether it is short and without an article, as a name is, rather than a description."""
    continues: bool = False
    """Whether it may go on with a list of what the clause before describes ("with a, b and c")."""
    cut: Tokens = ()
    """The describing words that were left out, from the first of them on."""
    kinds: tuple[Name, ...] = ()
    """What the thing named and one of its ingredients name together (pepperoni pizza)."""


@dataclass(frozen=True)
class ParsedAnswer:
    """A prediction as claims in their order, without those that only describe."""

    claims: tuple[Claim, ...]
    years: tuple[Years, ...]
    foreign: tuple[int, ...]
    """Nodes of other datasets that the prediction names, or its head if this dataset knows none."""


def parse(prediction: str, lexicon: Lexicon) -> ParsedAnswer:
    """A prediction as one dataset reads it; pure, and never raises on any text."""
    whole = normalize(prediction)
    text, years = _dated(whole, lexicon)
    if (only := _only_name(text, lexicon)) is not None:
        return ParsedAnswer((only,), years, ())
    text, years = _dated(strip_contrast(whole), lexicon)
    parted = clauses(text)
    if len(parted) == 2 and lexicon.own(swapped := _swapped(parted, lexicon)):
        return ParsedAnswer((Claim(segment(swapped, lexicon), swapped),), years, ())
    claims = _claims(parted, lexicon)
    if lexicon.years:
        claims = _as_one(claims, lexicon)
    return ParsedAnswer(tuple(claims), years, _elsewhere(parted, claims, lexicon))


def _elsewhere(
    parted: Sequence[Clause], claims: Sequence[Claim], lexicon: Lexicon
) -> tuple[int, ...]:
    """Nodes of other datasets that a prediction names where it names nothing of this one."""
    if not parted or any(_is_tautonym(claim.parts, lexicon) for claim in claims):
        return ()
    views = lexicon.cleaner.tokens(parted[0].text)
    if not any(c.segmentation.names and not c.segmentation.headless for c in claims):
        return _foreign(views, lexicon, heads=True)
    if len(parted) == 1 and not claims[0].cut and not lexicon.own(claims[0].parts):
        return _foreign(views, lexicon, heads=False)
    return ()


def _dated(text: str, lexicon: Lexicon) -> tuple[str, tuple[Years, ...]]:
    return take_years(text) if lexicon.years else (text, ())


def _only_name(text: str, lexicon: Lexicon) -> Claim | None:
    """A text that is a name from end to end, but for what carries it."""
    for parts in lexicon.cleaner.tokens(text):
        if lexicon.whole(text, parts):
            return Claim(segment(parts, lexicon), parts, plain=True)
    return None


def _claims(parted: Sequence[Clause], lexicon: Lexicon) -> list[Claim]:
    claims: list[Claim] = []
    listing = -1  # the sentence in which a describing clause is under way
    for clause in parted:
        claim = _claim(clause.text, lexicon)
        parts = claim.parts
        if lexicon.cleaner.only_subjects(parts) and not claim.segmentation.names:
            continue
        if clause.joined:
            listing = -1
        continues = listing == clause.sentence
        if claims and continues and lexicon.open_modifiers:
            last = claims[-1]
            claims[-1] = replace(last, kinds=last.kinds + _kinds(last, ("with", *parts), lexicon))
        describes = lexicon.cleaner.describes(lexicon.cleaner.tokens(clause.text)[0])
        describes |= bool(claims) and _FEATURES.match(clause.text) is not None
        tells = clause.sentence > 0 and not claim.segmentation.clean  # a sentence about it
        if describes or tells or claim.cut or Role.CLAUSE in claim.segmentation.roles:
            listing = clause.sentence
        if not describes or not claims:
            claims.append(replace(claim, continues=continues))
    return claims


def _claim(text: str, lexicon: Lexicon) -> Claim:
    if (only := _only_name(text, lexicon)) is not None:
        return only
    views = lexicon.cleaner.tokens(text)
    if lexicon.cultivars and (named := _CULTIVAR.match(text)):
        parts = lexicon.cleaner.tokens(named[1])[-1]
        main = segment(parts, lexicon)
        main.roles.add(Role.CULTIVAR)
        return Claim(main, parts)
    parts = views[-1]
    main = segment(parts, lexicon)
    if not main.names and not main.unknown:  # "the dog is white" names a dog
        parts = views[0]
        main = segment(parts, lexicon)
    if main.unknown or Role.CLAUSE in main.roles:
        for shorter in lexicon.cleaner.cut(parts):
            found = segment(shorter, lexicon)
            if found.clean:
                claim = Claim(found, shorter, cut=parts[len(shorter) :])
                if not _LOOKS.isdisjoint(claim.cut):  # "with a tricolor coat"
                    found.roles |= {Role.NARROWING} & set(map(lexicon.role, claim.cut))
                return replace(claim, kinds=_kinds(claim, claim.cut, lexicon))
        for shorter in lexicon.cleaner.cut(parts):  # what stands behind is no name of the thing
            if (found := segment(shorter, lexicon)).names:
                parts, main = shorter, found
                main.roles.add(Role.CLAUSE)
                break
    if main.unknown and (node_ids := lexicon.misspelt(parts)):
        main = Segmentation(names=[Name(node_ids)])
    articles = any(t in ARTICLES for t in views[0]) or text.startswith(("the ", "this ", "it "))
    plain = len(parts) <= _SHORT and not articles and Role.CLAUSE not in main.roles
    return Claim(_bounded(main, parts, lexicon), parts, plain)


def _bounded(found: Segmentation, parts: Tokens, lexicon: Lexicon) -> Segmentation:
    """A sentence around names that stand apart from its unknown words, as what it names."""
    if not found.unknown or not found.names or len(parts) <= _SHORT:
        return found
    bounds = lexicon.cleaner.bounds
    for start, end in found.spans:
        beside = (*parts[:start][-1:], *parts[end:][:1])
        if not all(map(bounds, beside)):
            return found
    return Segmentation(found.names, found.roles, spans=found.spans, bounded=True)


def _kinds(claim: Claim, rest: Tokens, lexicon: Lexicon) -> tuple[Name, ...]:
    """Names that ingredients make with what has them; a garnish makes none."""
    garnished = not _GARNISHING.isdisjoint((*claim.cut, *rest))
    if garnished or not (lexicon.open_modifiers and claim.segmentation.names):
        return ()
    parts = claim.parts
    found = (lexicon.own((*rest[i:j], *parts)) for i in range(1, len(rest)) for j in (i + 1, i + 2))
    return tuple(Name(node_ids) for node_ids in found if node_ids)


def _as_one(claims: Sequence[Claim], lexicon: Lexicon) -> list[Claim]:
    """Make, model, body and trim of a car, wherever they stand, are parts of one name."""
    known = [c for c in claims if not c.segmentation.unknown]
    first = next((c for c in claims if c.segmentation.clean), None)
    first = first or next((c for c in claims if c.segmentation.names), None)
    if len(claims) < 2 or first is None:
        return list(claims)
    parts = tuple(t for c in claims if c in known or c is first for t in c.parts)
    one = segment(parts, lexicon)
    if one.unknown and first in known:
        one = Segmentation(
            [name for c in known for name in c.segmentation.names],
            {role for c in known for role in c.segmentation.roles},
        )
    words = (c for c in claims if c not in known and c is not first)  # codes are of a generation
    return [Claim(one, parts), *(c for c in words if "".join(c.segmentation.unknown).isalpha())]


def _swapped(parted: Sequence[Clause], lexicon: Lexicon) -> Tokens:
    """ "Sparrow, House" the right way round."""
    before, after = (lexicon.cleaner.tokens(clause.text)[-1] for clause in parted)
    return after + before


def _is_tautonym(parts: Tokens, lexicon: Lexicon) -> bool:
    """Whether tokens are a species that has its genus' name ("Icterus icterus"), and unknown."""
    twice = len(parts) == 2 and parts[0] == parts[1]
    return twice and lexicon.is_group(parts[1:]) and not lexicon.own(parts)


class _Best(NamedTuple):
    """The best layout of the tokens before some point; less is better."""

    unknown: int
    pieces: int
    spread: int
    """Minus the sum of squared lengths of the pieces: of two cuts the uneven one is better, so
    that "Malibu Hybrid | Sedan" wins over "Malibu | hybrid sedan"."""
    start: int
    """Where its last piece starts."""
    name: Name | None
    role: Role | None


def segment(parts: Tokens, lexicon: Lexicon) -> Segmentation:
    """Lay out tokens in names and words: fewest unknown, then fewest pieces."""
    found = Segmentation()
    if len(parts) > _MANY or _is_tautonym(parts, lexicon):
        found.unknown, found.headless = list(parts), True
        return found
    best = [_Best(0, 0, 0, 0, None, None)]
    for end in range(1, len(parts) + 1):
        best.append(_layout(parts, end, best, lexicon))
    end = len(parts)
    while end > 0:
        piece = best[end]
        if piece.name is not None:
            found.names.append(piece.name)
            found.spans.append((piece.start, end))
        elif piece.role is not None:
            found.roles.add(piece.role)
        else:
            found.headless |= not (found.names or found.unknown)
            found.unknown.append(parts[end - 1])
        end = piece.start
    return found


def _layout(parts: Tokens, end: int, best: list[_Best], lexicon: Lexicon) -> _Best:
    before, role = best[end - 1], lexicon.role(parts[end - 1])
    chosen = _Best(
        before.unknown + (role is None), before.pieces + 1, before.spread - 1, end - 1, None, role
    )
    for start in range(max(0, end - LONGEST), end):
        before = best[start]
        cost = (before.unknown, before.pieces + 1, before.spread - (end - start) ** 2)
        if cost <= chosen[:3] and (name := lexicon.name(parts, start, end)) is not None:
            chosen = _Best(*cost, start, name, None)
    return chosen


def _foreign(views: tuple[Tokens, ...], lexicon: Lexicon, heads: bool) -> tuple[int, ...]:
    """Nodes of other datasets that a whole view names, or, if allowed, the end of the last."""
    for parts in views:
        if (len(parts) > 1 or heads) and (node_ids := lexicon.anywhere(parts)):
            return node_ids
    parts = views[-1]
    if heads:
        for start in range(max(1, len(parts) - LONGEST), len(parts)):
            node_ids = lexicon.anywhere(parts[start:])
            if node_ids and len(key(parts[start:])) >= _SHORTEST_FOREIGN:
                return node_ids
    return ()
