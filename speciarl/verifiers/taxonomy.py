"""Judges by the taxonomy: synonyms, ancestors near and far, descendants, other known things."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from speciarl.answers import DECIDING, strip_injection
from speciarl.files import content_hash
from speciarl.taxonomy import Relation, Taxonomy
from speciarl.verdicts import UNDECIDED, Judgment, Pair


class Taxonomic:
    """Decides what the taxonomy knows; one with a term it does not know stays undecided."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy

    @property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "taxonomic",
            "code": content_hash([Path(__file__), *DECIDING]),
            "taxonomy": self.taxonomy.fingerprint,
        }

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        return ((pair, self._judge(pair)) for pair in pairs)

    def relation(self, pair: Pair, dataset: str | None = None) -> Relation:
        """How what the prediction names relates to the class (see `Taxonomy.relation`)."""
        named = strip_injection(pair.prediction)
        return self.taxonomy.relation(pair.class_name, named, dataset)

    def _judge(self, pair: Pair) -> Judgment:
        verdict = self.relation(pair).verdict
        return UNDECIDED if verdict is None else Judgment(verdict, "taxonomy")
