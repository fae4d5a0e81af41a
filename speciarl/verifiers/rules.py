"""What the form of an answer alone decides: refusals, several answers, texts instead of labels."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from speciarl.text import MAX_ANSWER, NORMALISER_VERSION, is_refusal, several_answers
from speciarl.verdicts import LABELS, Verdict
from speciarl.verifiers.base import UNDECIDED, Judgement, Pair

RULES_VERSION = 1  # raise it when a rule here or in `text` changes


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
        return ((pair, self._judge(pair.answer)) for pair in pairs)

    def _judge(self, answer: str) -> Judgement:
        if not any(c.isalnum() for c in answer) or len(answer) > MAX_ANSWER:
            return Judgement(Verdict.WRONG, "rules")
        if is_refusal(answer):
            return Judgement(Verdict.ABSTAIN, "rules")
        if several_answers(answer) and answer not in self.names:
            return Judgement(Verdict.WRONG, "rules")
        return UNDECIDED
