"""What the form of an answer alone decides: refusals, several answers, texts that name nothing."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from speciarl import answers
from speciarl.answers import (
    MAX_ANSWER,
    PATTERNS,
    is_hedged,
    is_refusal,
    strip_injection,
)
from speciarl.files import content_hash
from speciarl.verdicts import LABELS, Verdict
from speciarl.verifiers.base import UNDECIDED, Judgement, Pair

DECIDING = (Path(__file__), Path(answers.__file__), PATTERNS)
"""The files that decide; their content is part of the identity."""


class Rules:
    """Decides by form.

    Args:
        names: normalised names that may look like several answers but are one ("f-16a/b").
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self.names = frozenset(name for name in names if is_hedged(name))

    @property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "rules",
            "code": content_hash(DECIDING),
            "names": sorted(self.names),
            "labels": list(LABELS),
        }

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgement]]:
        return ((pair, self.judge_one(pair.answer)) for pair in pairs)

    def judge_one(self, answer: str) -> Judgement:
        """What the form of a normalised answer decides, whatever the class."""
        if is_refusal(answer):
            return Judgement(Verdict.ABSTAIN, "rules")
        named = strip_injection(answer)
        if not any(c.isalnum() for c in named) or len(answer) > MAX_ANSWER:
            return Judgement(Verdict.WRONG, "rules")
        if is_hedged(named) and named not in self.names:
            return Judgement(Verdict.WRONG, "rules")
        return UNDECIDED
