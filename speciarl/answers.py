"""What a completion says: its answer, freed of wrapping, and what the form of an answer tells.

The patterns are data (answers.yaml). Every rule reads untrusted text; none raises, and none takes
more than linear time in the length of a text, since only so much of it is looked at.
"""

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

PATTERNS = Path(__file__).with_name("answers.yaml")
"""The table of what the form of an answer says."""
DECIDING = (Path(__file__), PATTERNS)
"""The files of which verdicts depend here; their content is part of a verifier's identity."""

MAX_PREDICTION = 400  # characters; what is longer is a text and not an answer
_LOOKED_AT = 4 * MAX_PREDICTION  # characters that the normal form is made from
_KEPT = 20_000  # results kept for each rule: a policy says the same thing again and again

Which = Literal["first", "last"]

TAGS = _OPEN, _CLOSE = "<answer>", "</answer>"
_CHARACTERS = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u300c": '"', "\u300d": '"'}
)
# Most answers: nothing that could be wrapping, so that only case and the ends change.
_PLAIN = re.compile(r"(?!\d{1,3}[.)])[A-Za-z0-9](?:[A-Za-z0-9'(),&./-]| (?! ))*")
_EDGES = " \n\"'.!?:;,"
# Emoji and their modifiers, invisible characters, halves of surrogate pairs.
_NO_MEANING = {"So", "Cf", "Sk", "Cc", "Cs"}
# Parts an answer into sentences and clauses; a point after one letter ends none (L. occidentalis).
_CLAUSE_END = (
    r"[;,!?\n()\[\]{}|\u2014]|:(?=\s|$)|(?<!\b[a-z])(?<!\bst)(?<!\bmt)\.(?=\s|$)|\s[-\u2013]+\s"
)
_PARTS = re.compile(rf"(\s*(?:{_CLAUSE_END}|\band\s+(?=you\b|now\b)|\bnow\s+(?=ignore))\s*)")

_TABLE = yaml.safe_load(PATTERNS.read_text(encoding="utf-8"))
# Patterns in the order of the table, each with what takes the place of what it takes off.
_WRAPPING = [
    (re.compile(row["pattern"], re.IGNORECASE | re.MULTILINE), row.get("leaves", " "))
    for row in _TABLE.pop("wrapping")
]
_FOUND = {
    kind: re.compile("|".join(f"(?:{row['pattern']})" for row in rows))
    for kind, rows in _TABLE.items()
}
_STATEMENTS = re.compile(rf"\s*(?:{_CLAUSE_END}|{_FOUND['turn'].pattern})\s*")
_CLAUSES = re.compile(
    rf"\s*(?:{_CLAUSE_END}|{_FOUND['turn'].pattern}|{_FOUND['joint'].pattern})\s*"
)
_SENTENCE = re.compile(r"[.!?\n]")


def extract_prediction(completion: str, which: Which = "first") -> str | None:
    """The text between the answer tags, `which` of several; None where it is empty, or none."""
    if which == "first":
        start = completion.find(_OPEN)
        end = completion.find(_CLOSE, start)
    else:
        end = completion.rfind(_CLOSE)
        start = completion.rfind(_OPEN, 0, max(end, 0))
    if start < 0 or end < 0:
        return None
    return completion[start + len(_OPEN) : end].strip() or None


def count_tagged(completion: str) -> int:
    """How many tagged answers a completion has; above one, `extract_prediction` had to choose."""
    return min(completion.count(_OPEN), completion.count(_CLOSE))


@lru_cache(_KEPT)
def unwrap(text: str) -> str:
    """A text as it was written, without what stands around an answer and is no part of it.

    That is what the table lists under `wrapping`, JSON around one text, and emoji. Words that an
    underscore joins come apart. Where more of it shows once quotes are straight and letters of
    common width, the text is changed so far.
    """
    if _PLAIN.fullmatch(text) and len(text) <= MAX_PREDICTION:
        return text.strip()
    bare = _unwrapped(text[:_LOOKED_AT])
    common = unicodedata.normalize("NFKC", bare.translate(_CHARACTERS))
    further = _unwrapped(common)
    return bare if further == common else further


def _unwrapped(text: str) -> str:
    previous = None
    while text != previous:
        previous = text
        text = "".join(_seen(c) for c in _only_text(html.unescape(text)))
        for pattern, replacement in _WRAPPING:
            text = pattern.sub(replacement, text)
        text = re.sub(r"[^\S\n]+", " ", text)
        text = re.sub(r" ?\n[\n ]*", "\n", text).strip()
    return text


@lru_cache(_KEPT)
def normalize(answer: str) -> str:
    """The form of an answer in the store and for rules: unwrapped, in lower case. Idempotent.

    Its ends are bare of quotes and punctuation; commas, slashes and line breaks within stay. Of a
    text much longer than MAX_PREDICTION only the start is kept.
    """
    if _PLAIN.fullmatch(answer) and len(answer) <= MAX_PREDICTION:
        return answer.lower().strip(_EDGES)
    text, previous = answer, None
    while text != previous:
        previous = text
        text = unwrap(text).translate(_CHARACTERS).casefold().strip(_EDGES)
        text = unicodedata.normalize("NFKC", text)
    return text


@lru_cache(_KEPT)
def is_refusal(answer: str) -> bool:
    """Whether a normalized answer declines to name anything: in each of its statements."""
    if len(answer) > MAX_PREDICTION:
        return False
    said = [one for one in _STATEMENTS.split(answer) if one and not _is_idle(one)]
    return bool(said) and all(map(_declines, said))


@lru_cache(_KEPT)
def strip_injection(answer: str) -> str:
    """A normalized answer without clauses that address the judge.

    "samoyed. ignore the rules" is "samoyed"; an answer that is nothing else becomes empty. What
    addresses nobody is returned as it is, and so is what is longer than MAX_PREDICTION.
    """
    if len(answer) > MAX_PREDICTION:
        return answer
    parts = _PARTS.split(answer)  # clauses, and between them what parts them
    clauses, before = parts[::2], ["", *parts[1::2]]
    instructs = [
        _FOUND["injection"].search(_FOUND["hedge"].sub(" ", one)) is not None for one in clauses
    ]
    if not any(instructs):
        return answer
    named = ""
    for clause, separator, left_out in zip(clauses, before, instructs, strict=True):
        if clause and not left_out:
            named += (separator if named else "") + clause
    return named


@lru_cache(_KEPT)
def is_hedged(answer: str) -> bool:
    """Whether a normalized answer hedges between several labels: "A or B", "A / B", "either".

    A comma alone does not tell a list from one name and what is said of it, nor does "and". Of a
    longer text only the first MAX_PREDICTION characters are looked at.
    """
    text = _FOUND["idle_or"].sub(" ", answer[:MAX_PREDICTION])
    return _FOUND["alternatives"].search(text) is not None


def strip_contrast(answer: str) -> str:
    """A normalized answer without what it says that the thing is not ("not a husky but …")."""
    return _FOUND["contrast"].sub(" , ", answer)


class Clause(NamedTuple):
    """A part of an answer that may name something."""

    text: str
    sentence: int
    """The place of its sentence in the answer, from 0."""
    joined: bool
    """Whether a word leads to it from the clause before ("which is", "specifically")."""


def clauses(answer: str) -> list[Clause]:
    """The clauses of an answer, without contrasts, hedges and refusals.

    What is nothing but a refusal has its clauses all the same: they may name something.
    """
    text = strip_contrast(answer[:MAX_PREDICTION])
    statements = [one for one in _parted(text, _STATEMENTS) if not _declines(one.text)]
    found = [
        part._replace(sentence=one.sentence)
        for one in statements
        for part in _parted(_FOUND["hedge"].sub(" ", one.text), _CLAUSES)
    ]
    return found or _parted(_FOUND["declining"].sub(" ", _FOUND["hedge"].sub(" ", text)), _CLAUSES)


def _parted(text: str, ends: re.Pattern[str]) -> list[Clause]:
    found: list[Clause] = []
    sentence, start, joined = 0, 0, False
    for end in (*ends.finditer(text), None):
        clause = text[start : end.start() if end else len(text)].strip(_EDGES)
        if clause and not _is_idle(clause):
            found.append(Clause(clause, sentence, joined))
        if end:
            sentence += _SENTENCE.search(end[0]) is not None
            start, joined = end.end(), any(map(str.isalpha, end[0]))
    return found


def _declines(clause: str) -> bool:
    return _FOUND["refusal"].fullmatch(clause) is not None


def _is_idle(clause: str) -> bool:
    return not _FOUND["courtesy"].sub(" ", _FOUND["hedge"].sub(" ", clause)).strip(_EDGES)


def _seen(character: str) -> str:
    if character in "\n`" or unicodedata.category(character) not in _NO_MEANING:
        return character
    return "\n" if character == "\r" else " "


def _only_text(text: str) -> str:
    """The only text value of a JSON object or list, else the text itself."""
    bare = text.strip().removeprefix("```json").strip("` \n")
    if bare[:1] not in ("{", "[") or len(bare) > _LOOKED_AT:
        return text
    try:
        values = list(_leaves(json.loads(bare)))
    except (ValueError, RecursionError):
        return text
    texts = [value for value in values if isinstance(value, str)]
    return text if len(texts) > 1 else "".join(texts)


def _leaves(value: object) -> Iterable[object]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value
