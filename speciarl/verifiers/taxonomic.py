"""Judges by the taxonomy: synonyms, ancestors near and far, descendants, other known things."""

from collections.abc import Iterator, Mapping, Sequence

from speciarl.taxonomy import Taxonomy
from speciarl.verifiers.base import UNDECIDED, Judgement, Pair


class Taxonomic:
    """Decides what the taxonomy knows; an answer with a term it does not know stays undecided."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy

    @property
    def identity(self) -> Mapping[str, object]:
        return {"verifier": "taxonomic", "taxonomy": self.taxonomy.fingerprint}

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgement]]:
        return ((pair, self._judge(pair)) for pair in pairs)

    def _judge(self, pair: Pair) -> Judgement:
        verdict = self.taxonomy.relation(pair.class_name, pair.answer).verdict
        return UNDECIDED if verdict is None else Judgement(verdict, "taxonomy")
