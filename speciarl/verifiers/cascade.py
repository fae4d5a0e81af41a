"""Asks verifiers in order; each gets only the pairs that those before it left undecided."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from speciarl.files import content_hash
from speciarl.verdicts import Judgment, Pair, Verdict, fingerprint
from speciarl.verifiers.base import Verifier


class Cascade:
    """Verifiers in order of cost. What the last leaves undecided counts as wrong, and says so."""

    def __init__(self, verifiers: Sequence[Verifier]) -> None:
        self.verifiers = tuple(verifiers)

    @property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "cascade",
            "code": content_hash([Path(__file__)]),
            "order": [dict(v.identity) for v in self.verifiers],
        }

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.identity)

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        for verifier in self.verifiers:
            left_open = []
            for pair, judgment in verifier.judge(pairs):
                if judgment.undecided:
                    left_open.append(pair)
                else:
                    yield pair, judgment
            pairs = left_open
        for pair in pairs:
            yield pair, Judgment(Verdict.WRONG, "undecided")
