"""The six-step ladder of verdicts, known here only, and what is judged and said in its words."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import total_ordering
from types import MappingProxyType
from typing import NamedTuple, Self

from speciarl.errors import VerifierError


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
# What a completion ends as, one of these each.
OUTCOMES = (*COUNTS, "unparsable", "failed")

# Weights of the authors' evaluator; the paper's own are not published.
SPECIFICITY_WEIGHTS: Mapping[Verdict, float] = MappingProxyType(
    {
        Verdict.GENERIC: 0.2,
        Verdict.LESS_SPECIFIC: 0.6,
        Verdict.SPECIFIC: 1.0,
        Verdict.MORE_SPECIFIC: 1.0,
    }
)


class Pair(NamedTuple("_Key", [("class_name", str), ("prediction", str)])):
    """What is judged: the class's name and a prediction in normal form (`answers.normalize`).

    A tuple of these two: spellings of one normal form are one pair, and one row of the store. Of
    several in a batch the first is the one that is judged.
    """

    _written: str

    def __new__(cls, class_name: str, prediction: str, written: str | None = None) -> Self:
        pair = super().__new__(cls, class_name, prediction)
        if written is not None:  # else nothing is kept: a snapshot has millions of pairs
            pair._written = written
        return pair

    @property
    def written(self) -> str:
        """The prediction as it was written (`answers.unwrap`), where that is known."""
        return getattr(self, "_written", self.prediction)


class FailureKind(Enum):
    """Where a verdict got lost."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    OVERLOADED = "overloaded"
    """Asked to come back later, or a fault on the judge's side."""
    REFUSED = "refused"
    """The judge will not take this request, now or later."""
    INVALID = "invalid"
    """A prediction that is none of the six labels."""
    NOT_ASKED = "not asked"
    """The judge has failed so often in a row that it is left alone for a while."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a pair has no verdict."""

    kind: FailureKind
    message: str
    """One line."""


@dataclass(frozen=True, slots=True)
class Judgment:
    """What became of one pair.

    A `verdict` with what decided it; or a `failure`; or neither, where the verifier leaves the
    pair to the next one.
    """

    verdict: Verdict | None
    decided_by: str | None = None
    failure: Failure | None = None
    judge_reply: str | None = None
    """What a judge that speaks said, as it said it."""
    milliseconds: float | None = None
    """How long the pair took to judge, where that is worth noting."""

    @property
    def undecided(self) -> bool:
        return self.verdict is None and self.failure is None


UNDECIDED = Judgment(None)


def reason(judgments: Iterable[Judgment]) -> str:
    """What the first failure among them says; those that were not asked say the least."""
    failures = [judgment.failure for judgment in judgments if judgment.failure]
    failures.sort(key=lambda failure: failure.kind is FailureKind.NOT_ASKED)
    return failures[0].message if failures else "no failure"


def require_few_failures(failed: int, total: int, what: str, max_failures: float, why: str) -> None:
    """Raise a VerifierError where a larger share than `max_failures` has no verdict.

    Args:
        failed: how many have none, of `total`.
        what: has been judged, in the plural.
        why: the `reason` of one of them.
    """
    if failed > max_failures * total:
        raise VerifierError(
            f"{failed} of {total} {what} have no verdict, more than max_failures {max_failures} "
            f"({why}): see that the verifier can be reached, then start again, what was done so "
            "far is kept"
        )


def fingerprint(identity: Mapping[str, object]) -> str:
    """Short stable name of an identity: 16 hex digits."""
    content = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
