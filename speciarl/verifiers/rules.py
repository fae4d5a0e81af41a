"""What the form of a prediction alone decides: refusals, several labels, texts that name nothing.

What looks like one of these but names something that the taxonomy knows is left to those behind.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from speciarl.answers import (
    DECIDING,
    MAX_PREDICTION,
    clauses,
    is_hedged,
    is_refusal,
    strip_injection,
)
from speciarl.files import content_hash
from speciarl.verdicts import LABELS, UNDECIDED, Judgment, Pair, Verdict


class Names(Protocol):
    """What is known of names, for the dataset of a class."""

    @property
    def fingerprint(self) -> str: ...

    def mentions(self, class_name: str, text: str) -> bool:
        """Whether a text names anything at all, as a prediction of that dataset."""
        ...

    def one_entity(self, class_name: str, texts: Iterable[str]) -> bool:
        """Whether the texts are names of one and the same thing there."""
        ...


class Rules:
    """Decides by form.

    Args:
        names: by which a name is told from what only looks like a refusal or like several labels
            (a class "Unknown", "F-16A/B", "N/A or unknown gull"); without, form alone decides.
    """

    def __init__(self, names: Names | None = None) -> None:
        self.names = names

    @property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "rules",
            "code": content_hash([Path(__file__), *DECIDING]),
            "names": self.names.fingerprint if self.names else None,
            "labels": list(LABELS),
        }

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        return ((pair, self.judge_one(pair)) for pair in pairs)

    def judge_one(self, pair: Pair) -> Judgment:
        """What the form of a pair's prediction decides."""
        found = self.explain(pair)
        return UNDECIDED if found is None else Judgment(found[0], "rules")

    def explain(self, pair: Pair) -> tuple[Verdict, str] | None:
        """A verdict and its reason, or None where form does not decide."""
        prediction = pair.prediction
        if len(prediction) > MAX_PREDICTION:
            return Verdict.WRONG, f"is longer than {MAX_PREDICTION} characters"
        named = strip_injection(prediction)
        if not any(c.isalnum() for c in named):
            speaks = "only addresses the judge" if named != prediction else "names nothing"
            return Verdict.WRONG, speaks
        if is_refusal(named) and not self._mentions(pair.class_name, named):
            return Verdict.ABSTAIN, "declines to name anything"
        if is_hedged(named) and not self._one_entity(pair.class_name, named):
            return Verdict.WRONG, "offers several labels"
        return None

    def _mentions(self, class_name: str, named: str) -> bool:
        return self.names is not None and self.names.mentions(class_name, named)

    def _one_entity(self, class_name: str, named: str) -> bool:
        if self.names is None:
            return False
        parts = [clause.text for clause in clauses(named)]
        return any(self.names.one_entity(class_name, texts) for texts in ([named], parts))
