"""What the form of a prediction alone decides: refusals, several labels, texts that name nothing.

What looks like one of these but names something that the taxonomy knows is left to those behind.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from speciarl.answers import (
    DECIDING,
    MAX_PREDICTION,
    clauses,
    is_hedged,
    is_refusal,
    strip_injection,
)
from speciarl.files import content_hash
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import LABELS, UNDECIDED, Judgment, Pair, Verdict


class Rules:
    """Decides by form.

    Args:
        taxonomy: by which a name is told from what only looks like a refusal or like several
            labels (a class "Unknown", "F-16A/B", "N/A or unknown gull"); without, form decides.
    """

    def __init__(self, taxonomy: Taxonomy | None = None) -> None:
        self.taxonomy = taxonomy

    @property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "rules",
            "code": content_hash([Path(__file__), *DECIDING]),
            "names": self.taxonomy.fingerprint if self.taxonomy else None,
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
        return self.taxonomy is not None and self.taxonomy.mentions(class_name, named)

    def _one_entity(self, class_name: str, named: str) -> bool:
        if self.taxonomy is None:
            return False
        parts = [clause.text for clause in clauses(named)]
        return any(self.taxonomy.one_entity(class_name, texts) for texts in ([named], parts))
