"""What an answer says in terms of the taxonomy, before it is held against any class.

An answer is laid out in known names ("toy dog | breed", "male | Red-winged Blackbird"), so that as
few words as possible stay unknown. What no name covers either adds nothing (colours, "species
of"), makes what it stands beside narrower ("male"), or is unknown, and then little can be said.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from speciarl.taxonomy.forms import Tokens, Years, key, split_parentheticals, take_years
from speciarl.taxonomy.lexicon import Lexicon, Name, Role

_LONGEST = 9  # tokens of the longest name
_MANY = 24  # tokens beyond which an answer is a text
_SHORTEST_FOREIGN = 4  # letters of a name of another dataset that a word may be taken for
_QUOTES = "'\"\u2018\u2019\u201c\u201d"
_CULTIVAR = re.compile(rf"^(.{{3,}}?)\s+[{_QUOTES}]([^{_QUOTES}]+)[{_QUOTES}]\s*$")


@dataclass
class Segmentation:
    """A run of tokens laid out in known names; the first is the rightmost, the head."""

    names: list[Name] = field(default_factory=list)
    roles: set[Role] = field(default_factory=set)
    """What the words beside the names do."""
    unknown: list[str] = field(default_factory=list)
    headless: bool = False
    """Whether the last word that matters is unknown, so that the head is not a name we know."""


@dataclass(frozen=True)
class ParsedAnswer:
    """An answer as covers of its text and of what stands in parentheses."""

    main: Segmentation
    parentheticals: tuple[Segmentation, ...]
    years: tuple[Years, ...]
    foreign: tuple[int, ...]
    """Nodes of other datasets that the answer names, or its head if this dataset knows none."""
    cut: bool
    """Whether a describing clause was left out."""


def parse(answer: str, lexicon: Lexicon) -> ParsedAnswer:
    """The reading of an answer for one dataset; pure, and never raises on any text."""
    years: tuple[Years, ...] = ()
    if lexicon.years:
        answer, years = take_years(answer)
    text, inner = split_parentheticals(answer)
    parentheticals = tuple(segment(lexicon.cleaner.tokens(part)[-1], lexicon) for part in inner)
    views = lexicon.cleaner.tokens(text)
    for parts in views:
        if lexicon.own(parts):
            return ParsedAnswer(segment(parts, lexicon), parentheticals, years, (), cut=False)
    if lexicon.cultivars and (named := _CULTIVAR.match(text)):
        main = segment(lexicon.cleaner.tokens(named[1])[-1], lexicon)
        main.roles.add(Role.CULTIVAR)
        return ParsedAnswer(main, parentheticals, years, (), cut=False)
    parts = views[-1]
    main = segment(parts, lexicon)
    if main.unknown or Role.CLAUSE in main.roles:
        for shorter in lexicon.cleaner.cut(parts):
            found = segment(shorter, lexicon)
            if found.names and not found.unknown:
                return ParsedAnswer(found, parentheticals, years, (), cut=True)
    if main.unknown and (node_ids := lexicon.misspelt(parts)):
        main = Segmentation(names=[Name(node_ids, is_subtype=False)])
    foreign = _foreign(views, lexicon, heads=main.headless or not main.names)
    return ParsedAnswer(main, parentheticals, years, foreign, cut=False)


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
    if len(parts) > _MANY:
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
    for start in range(max(0, end - _LONGEST), end):
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
        for start in range(max(1, len(parts) - _LONGEST), len(parts)):
            node_ids = lexicon.anywhere(parts[start:])
            if node_ids and len(key(parts[start:])) >= _SHORTEST_FOREIGN:
                return node_ids
    return ()
