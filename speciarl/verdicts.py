"""The six-step ladder of verdicts: their labels, order and weights, known here only."""

from collections.abc import Mapping
from enum import Enum
from functools import total_ordering
from types import MappingProxyType


@total_ordering
class Verdict(Enum):
    """How a prediction relates to the true class, ascending (arXiv 2603.03197, section 3)."""

    WRONG = "wrong"
    ABSTAIN = "abstain"
    GENERIC = "generic"
    LESS_SPECIFIC = "less specific"
    SPECIFIC = "specific"
    MORE_SPECIFIC = "more specific"

    def __init__(self, label: str) -> None:
        # Position on the ladder, 0 (wrong) to 5 (more specific); an attribute, since rewards
        # compare thousands of verdicts a step.
        self.step = len(type(self).__members__)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Verdict):
            return NotImplemented
        return self.step < other.step

    @property
    def correct(self) -> bool:
        """Whether the prediction is true of the class, however vague."""
        return self >= Verdict.GENERIC


LABELS: tuple[str, ...] = tuple(v.value for v in Verdict)

# Column names of counts by verdict, in ladder order.
COUNTS: tuple[str, ...] = tuple(v.name.lower() for v in Verdict)

# Weights of the authors' evaluator; the paper's own are not published.
SPECIFICITY_WEIGHTS: Mapping[Verdict, float] = MappingProxyType(
    {
        Verdict.GENERIC: 0.2,
        Verdict.LESS_SPECIFIC: 0.6,
        Verdict.SPECIFIC: 1.0,
        Verdict.MORE_SPECIFIC: 1.0,
    }
)
