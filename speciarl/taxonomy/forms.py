"""Surface forms: one key for every way of writing a name, and predictions cut to their names.

Nothing here knows a dataset: text goes in, tokens and keys come out. A key is the run of a
name's stemmed tokens without spaces, so that "Sea Gulls", "sea-gull" and "seagull" are one.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from speciarl.taxonomy.facts import Words

Tokens = tuple[str, ...]

_KEPT = 50_000  # texts and words whose reading is kept: building an index reads each several times
MAX_CHARACTERS = 400  # beyond it a prediction is a text, not a name
_POSSESSIVE = re.compile(r"'s\b|(?<=s)'(?=\s|$)")
_NOT_WORD = re.compile(r"[\W_]+")  # names may be in any script
_DIGIT = re.compile(r"\d")
_RANGE = re.compile(
    r"\b((?:19|20)\d\d)\s*(?:-|\u2013|\u2014|to|and)\s*((?:19|20)\d\d|\d\d\b|present|now)",
    re.IGNORECASE,
)
_DECADE = re.compile(r"\b((?:19|20)\d)0'?s\b")
_YEAR = re.compile(r"(?:\b(?:circa|ca|approximately|around|about)\.? )?\b((?:19|20)\d\d)\b")
_SPELLED_OUT = (("ß", "ss"), ("æ", "ae"), ("ø", "o"), ("&", " and "), ("w/", " with "))
ARTICLES = frozenset({"a", "an"})
_DROPPED = frozenset({"the", "and"})


def fold(text: str) -> str:
    """Lower case without diacritics, with plain apostrophes and `&` as a word."""
    text = text[:MAX_CHARACTERS].lower()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"[\u2018\u2019`\u00b4\u02bc]", "'", text)
    for letter, plain in _SPELLED_OUT:
        text = text.replace(letter, plain)
    return text


@lru_cache(_KEPT)
def stem(token: str) -> str:
    """The token without plural ending.

    Not a linguistic stem: only the same for singular and plural of a noun, as little changed as
    that allows. Designations are left alone (a Cessna 172S is not several).
    """
    if _DIGIT.search(token) or len(token) < 4:
        return token
    if token[-1] == "s" and not token.endswith(("ss", "us", "is")):
        token = token[:-1]
    if len(token) > 3 and token.endswith(("se", "xe", "ze", "he", "oe")):
        return token[:-1]  # irises, boxes, finches, potatoes
    if len(token) > 3 and token.endswith("ie"):
        return token[:-2] + "y"  # daisies, cookies
    return token


def tokens(text: str, words: Words) -> Tokens:
    """Stemmed tokens of a text; `the` and `and` are dropped, known spellings made one."""
    spelled = [words.spelling.get(t, t) for t in _split(text)]
    return tuple([stem(t) for t in spelled if t not in _DROPPED])


@lru_cache(_KEPT)
def _split(text: str) -> Tokens:
    text = _POSSESSIVE.sub("", fold(text)).replace("'", "")
    return tuple([t for t in _NOT_WORD.split(text) if t and t not in _DROPPED])


def key(parts: Sequence[str]) -> str:
    """The key of a run of tokens."""
    return "".join(parts)


def stems(names: Iterable[str], words: Words) -> frozenset[str]:
    """The stems of single words, as `tokens` would give them."""
    return frozenset(t for name in names for t in tokens(name, words))


class Years(NamedTuple):
    """A span of years that a prediction states, both ends included."""

    first: int
    last: int


def take_years(text: str) -> tuple[str, tuple[Years, ...]]:
    """The text without its years, and the years: ranges, decades and single ones."""
    found = list(map(_range, _RANGE.finditer(text)))
    text = _RANGE.sub(" ", text)
    for pattern, first, last in ((_DECADE, "0", "9"), (_YEAR, "", "")):
        found += [Years(int(m[1] + first), int(m[1] + last)) for m in pattern.finditer(text)]
        text = pattern.sub(" ", text)
    return text, tuple(found)


def _range(match: re.Match[str]) -> Years:
    first, end = int(match[1]), match[2].lower()
    if not end.isdigit():
        return Years(first, 9999)
    return Years(first, int(end) if len(end) == 4 else first // 100 * 100 + int(end))


class Cleaner:
    """Removes what carries a name: "The bird is a …", "a photo of a …", "a plate of …"."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._subjects = stems(words.subjects, words)
        self._verbs: dict[str, list[Tokens]] = {}
        for verb in filter(None, (tokens(verb, words) for verb in words.verbs)):
            self._verbs.setdefault(verb[0], []).append(verb)
        self._leads = stems(words.leads, words) | ARTICLES
        self._containers = stems(words.containers, words)
        self._cuts = stems(words.cuts, words)
        verbs = (word for verb in words.verbs for word in verb.split())
        self._bounds = (self._subjects | self._leads | self._cuts | stems(verbs, words)) - {"of"}

    def tokens(self, text: str) -> tuple[Tokens, ...]:
        """Views of a text, each with less of what carries the name; the last has least."""
        whole = tokens(text, self._words)
        inner = self._without_carrier(whole)
        bare = self._without_leads(inner)
        return tuple(dict.fromkeys(view for view in (whole, inner, bare) if view)) or ((),)

    def cut(self, parts: Tokens) -> Iterator[Tokens]:
        """The tokens before each clause that only describes ("… sitting on grass")."""
        for index, token in enumerate(parts):
            if index and token in self._cuts:
                yield parts[:index]

    def describes(self, parts: Tokens) -> bool:
        """Whether all tokens of a text are nothing but such a clause."""
        return parts[:1] != () and parts[0] in self._cuts and self._without_carrier(parts) is parts

    def bounds(self, token: str) -> bool:
        """Whether a name may end where this word stands beside it in a sentence."""
        return token in self._bounds

    def only_subjects(self, parts: Tokens) -> bool:
        """Whether tokens carry a name and are none ("common name", "the breed of this dog")."""
        return all(t in self._subjects or t in self._leads for t in parts)

    def _without_carrier(self, parts: Tokens) -> Tokens:
        for index in range(min(len(parts), 14)):
            for verb in self._verbs.get(parts[index], ()):
                end = index + len(verb)
                if parts[index:end] == verb and end < len(parts):
                    return parts[end:] if self.only_subjects(parts[:index]) else parts
        return parts

    def _without_leads(self, parts: Tokens) -> Tokens:
        while len(parts) > 1:
            if len(parts) > 2 and parts[0] in self._containers and parts[1] == "of":
                parts = parts[2:]
            elif parts[0] in self._leads and not may_spell_designation(parts):
                parts = parts[1:]
            else:
                break
        return parts


def may_spell_designation(parts: Sequence[str]) -> bool:
    """Whether a leading article may be the letters of a designation (A 320, An-12)."""
    return parts[0] in ARTICLES and len(parts) > 1 and parts[1][0].isdigit()
