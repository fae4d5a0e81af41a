"""Asks verifiers in order; each gets only the pairs that those before it left undecided."""

from collections.abc import Mapping, Sequence

from speciarl.verdicts import Verdict
from speciarl.verifiers.base import UNDECIDED, Judgement, Pair, Verifier, fingerprint


class Cascade:
    """Verifiers in order of cost. What the last leaves undecided counts as wrong, and says so."""

    def __init__(self, verifiers: Sequence[Verifier]) -> None:
        self.verifiers = tuple(verifiers)

    @property
    def identity(self) -> Mapping[str, object]:
        return {"verifier": "cascade", "order": [dict(v.identity) for v in self.verifiers]}

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.identity)

    def judge(self, pairs: Sequence[Pair]) -> list[Judgement]:
        judgements = [UNDECIDED] * len(pairs)
        open_places = list(range(len(pairs)))
        for verifier in self.verifiers:
            found = verifier.judge([pairs[i] for i in open_places])
            for place, judgement in zip(open_places, found, strict=True):
                judgements[place] = judgement
            open_places = [i for i in open_places if judgements[i].undecided]
        for place in open_places:
            judgements[place] = Judgement(Verdict.WRONG, "undecided")
        return judgements
