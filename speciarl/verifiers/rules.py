"""What the form of an answer alone decides: refusals, several answers, texts that name nothing."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from speciarl.text import (
    MAX_ANSWER,
    NORMALISER_VERSION,
    is_refusal,
    several_answers,
    without_instructions,
)
from speciarl.verdicts import LABELS, Verdict
from speciarl.verifiers.base import UNDECIDED, Judgement, Pair

RULES_VERSION = 2  # raise it when a rule here or in `text` changes


class Rules:
    """Decides by form.

    Args:
        names: normalised names that may look like several answers but are one ("f-16a/b").
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self.names = frozenset(name for name in names if several_answers(name))

    @property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "rules",
            "version": RULES_VERSION,
            "normaliser": NORMALISER_VERSION,
            "longest": MAX_ANSWER,
            "names": sorted(self.names),
            "labels": list(LABELS),
        }

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgement]]:
        return ((pair, self.judge_one(pair.answer)) for pair in pairs)

    def judge_one(self, answer: str) -> Judgement:
        """What the form of a normalised answer decides, whatever the class."""
        if is_refusal(answer):
            return Judgement(Verdict.ABSTAIN, "rules")
        named = without_instructions(answer)
        if not any(c.isalnum() for c in named) or len(answer) > MAX_ANSWER:
            return Judgement(Verdict.WRONG, "rules")
        if several_answers(named) and named not in self.names:
            return Judgement(Verdict.WRONG, "rules")
        return UNDECIDED
