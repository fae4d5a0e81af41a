"""The one protocol of all verifiers: pairs in, for each a verdict, a failure or "undecided" out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from speciarl.verdicts import Verdict


class Pair(NamedTuple):
    """What is judged: the true class's name and an answer in normal form (`text.normalise`)."""

    class_name: str
    answer: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one pair.

    A `verdict` with what decided it; or a `failure`, one line that says why there is none; or
    neither, where the verifier leaves the pair to the next one.
    """

    verdict: Verdict | None
    decided_by: str | None = None
    failure: str | None = None

    @property
    def undecided(self) -> bool:
        return self.verdict is None and self.failure is None


UNDECIDED = Judgement(None)


class Verifier(Protocol):
    """Judges pairs; the same identity gives the same verdicts."""

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything that can change a verdict, as plain JSON values."""
        ...

    def judge(self, pairs: Sequence[Pair]) -> list[Judgement]:
        """One judgement per pair, in order; never raises for a single bad pair."""
        ...


def fingerprint(identity: Mapping[str, object]) -> str:
    """Short stable name of an identity: 16 hex digits."""
    content = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
