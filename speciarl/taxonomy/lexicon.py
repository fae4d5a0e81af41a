"""Which nodes a run of tokens names in one dataset, and what a word does that names none."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from speciarl.answers import normalize
from speciarl.taxonomy.facts import Facts, Words
from speciarl.taxonomy.forms import (
    ARTICLES,
    Cleaner,
    Tokens,
    key,
    may_spell_designation,
    stems,
    tokens,
)
from speciarl.taxonomy.nodes import COMMON, Node

Derived = Mapping[int, Sequence[str]]
"""Node number to surface forms that follow by rule."""

_PARTING = re.compile(r"[,;|()\[\]:\n]|\s/\s|[^\W\d]{3}\s?/\s?[^\W\d]{3}|\bor\b")
LONGEST = 9  # tokens of the longest name
_SIZES = {"small", "tiny", "large", "big", "medium", "sized", "medium-sized"}  # in few names
_SUFFIXED = re.compile(r"(.*\d)[a-z]{1,3}")  # a designation and letters after its number
_EPITHET = re.compile(r"[a-z]{3,}(?:a|us|um|is|ii|i|ens|or|er|es)")  # a stemmed species name
_SHORTEST_MISSPELT = 8  # letters; in shorter names one letter makes another word


def parts_names(text: str) -> bool:
    """Whether a text has what may part two names."""
    return _PARTING.search(text) is not None


class Role(Enum):
    """What a word beside a name does."""

    FILLER = "adds nothing"
    CLAUSE = "opens a clause that describes"
    NARROWING = "makes a class narrower"
    TRIM = "is a trim level"
    GROUP = "makes the group of it"
    LIKENESS = "only likens"
    MARK = "describes beside a broad term, names beside a near one"
    CULTIVAR = "is a cultivar's name"
    COLOR = "describes what is named, but beside a near name may make another (Olive Warbler)"
    SIZE = "only describes (small, large)"


class Name(NamedTuple):
    """A run of tokens that names nodes, or something narrower than them."""

    node_ids: tuple[int, ...]
    is_subtype: bool = False
    """Whether it fell under a designation pattern and is thus a subtype."""


@dataclass(frozen=True)
class Index:
    """Keys of surface forms to node numbers."""

    node_ids: dict[str, tuple[int, ...]]
    spaced: frozenset[str]
    """The forms with their spaces, to tell "black bird" from "blackbird"."""
    punctuated: frozenset[str]
    """Normal forms that have what else parts two names ("f-16a/b")."""
    latin: dict[str, int]
    """Keys of scientific names of classes, to find subspecies and species below them."""
    patterns: tuple[tuple[re.Pattern[str], int], ...]
    classes: frozenset[int]


def index(nodes: Sequence[Node], derived: Derived, words: Words) -> Index:
    """The index of some nodes; a derived form yields to the same form stated elsewhere."""
    stated: dict[str, dict[int, None]] = {}
    loose: dict[str, dict[int, None]] = {}
    spaced: set[str] = set()
    punctuated: set[str] = set()
    latin: dict[str, int] = {}
    patterns = []
    for node in nodes:
        names = node.forms
        if node.kind == "class":  # as a prediction says it that is freed of wrapping ("1. FC")
            names = (*names, normalize(node.name))
        for forms, target in ((names, stated), (derived.get(node.node_id, ()), loose)):
            for form in forms:
                if parts_names(form):
                    punctuated.add(normalize(form))
                parts = tokens(form, words)
                spaced.add(" ".join(parts))
                target.setdefault(key(parts), {})[node.node_id] = None
        patterns += [(re.compile(p), node.node_id) for p in node.entry.patterns]
        if node.kind == "class":
            latin |= {key(tokens(name, words)): node.node_id for name in node.entry.latin}
    node_ids = {k: tuple(v) for k, v in {**loose, **stated}.items() if k}
    classes = frozenset(node.node_id for node in nodes if node.kind == "class")
    return Index(
        node_ids, frozenset(spaced), frozenset(punctuated), latin, tuple(patterns), classes
    )


class NearMisses:
    """Finds keys within one edit (a letter missing, added, changed, or two swapped).

    Only long names of letters are compared, and only when one node alone is that near: two
    designations that differ by a digit are two things.
    """

    def __init__(self, node_ids: Mapping[str, tuple[int, ...]]) -> None:
        self._node_ids = node_ids
        self._shorter: dict[str, list[str]] | None = None

    def find(self, key: str) -> tuple[int, ...]:
        """The nodes of the only name one edit away from the key, or none."""
        if len(key) < _SHORTEST_MISSPELT or not key.isalpha():
            return ()
        if self._shorter is None:  # most datasets are never asked
            self._shorter = _by_deletion(
                k for k in self._node_ids if len(k) >= _SHORTEST_MISSPELT - 1
            )
        near = {
            known
            for shorter in (key, *_deletions(key))
            for known in self._shorter.get(shorter, ())
            if _one_edit(key, known)
        }
        nodes = {self._node_ids[known] for known in near}
        return nodes.pop() if len(nodes) == 1 else ()


def _deletions(key: str) -> Iterable[str]:
    return {key[:i] + key[i + 1 :] for i in range(len(key))}


def _by_deletion(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        if name.isalpha():
            for shorter in (name, *_deletions(name)):
                found.setdefault(shorter, []).append(name)
    return found


def _one_edit(a: str, b: str) -> bool:
    """Whether one insertion, deletion, change or swap of neighbors turns a into b."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return a == b
    same = zip(a, b, strict=False)
    start = next((i for i, (x, y) in enumerate(same) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest_a[:2] == rest_b[1::-1]
        return rest_a[1:] == rest_b[1:] or (swapped and rest_a[2:] == rest_b[2:])
    return rest_a[1:] == rest_b or rest_a == rest_b[1:]


class Lexicon:
    """The words and names that a prediction is read with, for the classes of one dataset."""

    def __init__(self, facts: Facts, words: Words, own: Index, common: Index, all_: Index) -> None:
        self.cleaner = Cleaner(words)
        self.years = any(c.year is not None for c in facts.classes.values())
        self.open_modifiers, self.cultivars = facts.open_modifiers, facts.cultivars
        self._suffixes = facts.suffixes
        # Of a dataset of which only names are known, nothing else is known to be wrong.
        nothing = index((), {}, words)
        self._own, self._common, self._all = (
            (own, nothing, nothing) if facts.names_only else (own, common, all_)
        )
        self._near_misses = NearMisses(own.node_ids)
        self._colors = stems(words.colors, words)
        self._adjectives = self._colors | stems(words.sizes, words)
        clauses = stems(words.cuts, words)
        fillers = stems(words.fillers, words) | stems(facts.fillers, words) | self._adjectives
        roles = (
            (Role.FILLER, fillers), (Role.CLAUSE, clauses), (Role.MARK, stems(facts.marks, words)),
            (Role.NARROWING, stems(facts.narrowing, words) | stems(words.sexes, words)),
            (Role.GROUP, stems(words.groups, words)), (Role.TRIM, stems(facts.trims, words)),
            (Role.LIKENESS, stems(words.likenesses, words)),
        )  # fmt: skip
        self._roles = {token: role for role, group in roles for token in group}
        if facts.marks:
            self._roles |= {
                token: Role.SIZE if token in _SIZES else Role.COLOR
                for token in self._adjectives
                if self._roles[token] is Role.FILLER
            }

    def role(self, token: str) -> Role | None:
        """What a word does that is no name; None for a word not known."""
        return self._roles.get(token)

    def name(self, parts: Tokens, start: int, end: int) -> Name | None:
        """What the tokens from start to end name as part of the whole, or None."""
        if end - start == 1 and len(parts) > 1:
            if end < len(parts) and parts[start] in self._colors:
                return None  # "violet flower" names no violet
            if self._roles.get(parts[start]) is Role.NARROWING:
                return None  # "pug puppy" is a pug; "puppy" alone is a dog
        span = parts[start:end]
        node_ids = self._find(self._own, span)
        if not node_ids and not (end < len(parts) and key(span) in self._roles):
            node_ids = self._find(self._common, span)  # but "star-shaped" names no star
        if node_ids:
            return Name(node_ids)
        below = self._subtype(span)
        return None if below is None else Name((below,), is_subtype=True)

    def own(self, parts: Sequence[str]) -> tuple[int, ...]:
        """Nodes of the dataset, or else common ones, that the tokens name."""
        return self._find(self._own, parts) or self._find(self._common, parts)

    def whole(self, text: str, parts: Sequence[str]) -> bool:
        """Whether a normal text, with its tokens, is a name from end to end ("gull, tern" is two,
        though "gulls and terns" is one)."""
        known = self._own.punctuated
        return (not parts_names(text) or any(map(text.endswith, known))) and bool(self.own(parts))

    def mentions(self, text: str) -> bool:
        """Whether anything of the dataset itself is named in a text, wherever."""
        parts = self.cleaner.tokens(text)[0]
        return any(
            self._find(self._own, parts[i:j]) and not self.cleaner.only_subjects(parts[i:j])
            for i in range(len(parts))
            for j in range(i + 1, min(len(parts), i + LONGEST) + 1)
        )

    def one_entity(self, texts: Iterable[str]) -> bool:
        """Whether each of the texts is a name of one and the same thing of the dataset."""
        named = []
        for text in texts:
            parts = self.cleaner.tokens(text)[-1]
            named.append(set(self._find(self._own, parts)) if self.whole(text, parts) else set())
        return bool(named) and bool(set.intersection(*named))

    def is_group(self, parts: Sequence[str]) -> bool:
        """Whether the tokens name something of the dataset that is no class."""
        named = self._find(self._own, parts)
        return bool(named) and self._own.classes.isdisjoint(named)

    def misspelt(self, parts: Sequence[str]) -> tuple[int, ...]:
        """Nodes of the dataset whose name the tokens miss by one letter."""
        return self._near_misses.find(key(parts))

    def anywhere(self, parts: Sequence[str]) -> tuple[int, ...]:
        """Nodes of any dataset that the tokens name."""
        return self._find(self._all, parts)

    def _find(self, where: Index, parts: Sequence[str]) -> tuple[int, ...]:
        found = where.node_ids.get(key(parts), ())
        if not found or len(parts) < 2:
            return found
        article = parts[0] in ARTICLES and not may_spell_designation(parts)
        if article or parts[0] in self._adjectives:  # a C-130 is no AC-130
            return found if " ".join(parts) in where.spaced else ()
        return found

    def _subtype(self, parts: Tokens) -> int | None:
        """The class that the tokens are a sub-designation, subspecies or species of."""
        if parts[-1] in self._roles or self.own(parts[-1:]):
            return None
        joined = key(parts)
        if any(c.isdigit() for c in joined):
            return self._designation(joined)
        if 2 <= len(parts) <= 3 and _EPITHET.fullmatch(parts[-1]):
            return self._own.latin.get(key(parts[:-1]))
        return None

    def _designation(self, joined: str) -> int | None:
        for pattern, node_id in self._own.patterns:
            if pattern.fullmatch(joined):
                return node_id
        base = _SUFFIXED.fullmatch(joined) if self._suffixes else None
        found = self._own.node_ids.get(base[1], ()) if base else ()
        return found[0] if len(found) == 1 and found[0] in self._own.classes else None


def lexicons(
    files: Sequence[Facts], nodes: Sequence[Node], derived: Derived, words: Words
) -> dict[str, Lexicon]:
    """One lexicon for each dataset of the files."""

    def of(dataset: str) -> Index:
        return index([n for n in nodes if n.dataset == dataset], derived, words)

    common, everything = of(COMMON), index(nodes, derived, words)
    return {
        facts.dataset: Lexicon(facts, words, of(facts.dataset), common, everything)
        for facts in files
        if facts.dataset != COMMON
    }
