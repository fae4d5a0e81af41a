"""The one protocol of all verifiers: pairs in, for each a verdict, a failure or "undecided" out."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from speciarl.verdicts import Verdict


class Pair(NamedTuple):
    """What is judged: the class's name and a prediction in normal form (`answers.normalize`)."""

    class_name: str
    prediction: str


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


class Verifier(Protocol):
    """Judges pairs; the same identity gives the same verdicts."""

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything that can change a verdict, as plain JSON values."""
        ...

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        """Each of some distinct pairs with its judgment, in any order, as soon as it is known.

        Never raises for a single bad pair. Whoever asks can thus keep what was paid for, whatever
        happens to the rest.
        """
        ...


def fingerprint(identity: Mapping[str, object]) -> str:
    """Short stable name of an identity: 16 hex digits."""
    content = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
