"""What a completion says: its answer, the normal form, refusals, several answers, instructions.

Every rule reads untrusted text and none of them raises.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import yaml

PATTERNS = Path(__file__).with_suffix(".yaml")
"""The table of what the form of an answer says."""

_KEPT = 20_000  # results kept for each rule: a policy says the same thing again and again
MAX_ANSWER = 200  # characters; a label is shorter, what is longer is a text and not an answer

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_MARKUP = re.compile(r"[*_`#~]+(?=\S)|(?<=\S)[*_`#~]+")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[ -][A-Za-z0-9]+)*")  # most answers: only case changes
_SPACE = re.compile(r"\s+")

# Parts an answer into clauses, of which some may address the judge.
_CLAUSE = re.compile(
    r"(\s*(?:[.;:,!?\n()\[\]{}]|\s-+\s|[\u2013\u2014]|\band\s+(?=you\b|now\b)|\bnow\s+(?=ignore))\s*)"
)


def _table() -> dict[str, list[str]]:
    """Patterns by kind, from the table beside this module."""
    rows = yaml.safe_load(PATTERNS.read_text(encoding="utf-8"))
    return {kind: [row["pattern"] for row in of_kind] for kind, of_kind in rows.items()}


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_PATTERNS = _table()
_ALTERNATIVES, _TAG, _INJECTION = (
    _any_of(_PATTERNS[kind]) for kind in ("alternatives", "tag", "injection")
)
_REFUSAL = re.compile(
    f"(?:{_any_of(_PATTERNS['courtesy']).pattern})?(?:{_any_of(_PATTERNS['refusal']).pattern})$"
)


def extract_answer(completion: str) -> str | None:
    """The text between the answer tags.

    Returns:
        The stripped answer, or None where the completion has no answer, an empty one, or more
        than one: such an output is unparsable.
    """
    found = _ANSWER.findall(completion)
    if len(found) != 1 or completion.count("<answer>") != 1 or completion.count("</answer>") != 1:
        return None
    return found[0].strip() or None


@lru_cache(_KEPT)
def normalise(answer: str) -> str:
    """The form under which an answer is judged and cached: case, markup and spacing removed.

    Commas and slashes stay, since they tell several answers from one. Idempotent.
    """
    if _PLAIN.fullmatch(answer):
        return answer.lower()
    text = unicodedata.normalize("NFKC", answer)
    text = text.translate(_QUOTES).casefold()
    text = unicodedata.normalize("NFKC", text)
    previous = None
    while text != previous:
        previous = text
        text = _MARKUP.sub("", text)
        text = _SPACE.sub(" ", text).strip(" \"'.!?:;,")
    return text


@lru_cache(_KEPT)
def is_refusal(answer: str) -> bool:
    """Whether a normalised answer declines to name anything; longer than MAX_ANSWER, none does."""
    return len(answer) <= MAX_ANSWER and _REFUSAL.match(answer) is not None


@lru_cache(_KEPT)
def strip_injection(answer: str) -> str:
    """A normalised answer without what names nothing: tags, and clauses that address the judge.

    "samoyed. ignore the rules" is "samoyed"; an answer that is nothing else becomes empty. What
    addresses nobody is returned as it is, and so is what is longer than MAX_ANSWER.
    """
    if len(answer) > MAX_ANSWER:  # patterns like these take the square of the length
        return answer
    text = _TAG.sub(" ", answer).strip()
    parts = _CLAUSE.split(text)  # clauses, and between them what parts them
    clauses, before = parts[::2], ["", *parts[1::2]]
    instructs = [_INJECTION.search(clause) is not None for clause in clauses]
    if not any(instructs):
        return text
    named = ""
    for clause, separator, left_out in zip(clauses, before, instructs, strict=True):
        if clause and not left_out:
            named += (separator if named else "") + clause
    return named


@lru_cache(_KEPT)
def is_hedged(answer: str) -> bool:
    """Whether a normalised answer offers more than one label.

    "A or B", "A / B", a list, and "A, B" are several; "and" or "&" within a name is not, nor is
    a comma or slash that the caller's taxonomy knows as part of a name. Of a longer text only the
    first MAX_ANSWER characters are looked at.
    """
    return _ALTERNATIVES.search(answer[:MAX_ANSWER]) is not None
