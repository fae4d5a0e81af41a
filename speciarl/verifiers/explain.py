"""Judges pairs that somebody asks about, without a model or a cache, and says what decided them."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple, TextIO

import polars as pl

from speciarl.answers import clauses, normalize, strip_injection
from speciarl.errors import TaxonomyError
from speciarl.files import read_csv, write_rows
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import Pair
from speciarl.verifiers.cascade import Cascade
from speciarl.verifiers.rules import Rules
from speciarl.verifiers.taxonomy import Taxonomic

UNDECIDED = "undecided"
"""Stands for the verdict, and for what decided it, where rules and taxonomy leave a pair open."""

REQUIRED = ("dataset", "class", "prediction")
ADDED = ("verdict", "decided_by")


class Explained(NamedTuple):
    """A verdict, and what decided it."""

    verdict: str
    """One of the six labels, or `UNDECIDED`."""
    decided_by: str
    """rules, taxonomy, or `UNDECIDED`"""
    path: tuple[str, ...]
    """From the class to the term that decided; empty unless the taxonomy did."""


class Explanation(NamedTuple):
    """How a prediction became its verdict; see `Explained`."""

    verdict: str
    decided_by: str
    reason: str | None
    """Why the rules decided, where they did."""
    read_as: str
    """The normal form: without wrapping, in lower case."""
    clauses: tuple[str, ...]
    """What of it may name something: without instructions, contrasts, hedges and refusals."""
    entities: tuple[tuple[str, str], ...]
    """What it names, by the entries of the facts, and what each alone would be judged."""
    path: tuple[str, ...]


class PairJudge:
    """Rules and taxonomy, for pairs of any of the taxonomy's datasets."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self._rules = Rules(taxonomy)
        self._taxonomic = Taxonomic(taxonomy)

    @property
    def fingerprint(self) -> str:
        """That of the verifier without a model over all of the taxonomy."""
        return Cascade([self._rules, self._taxonomic]).fingerprint

    def judge(self, class_name: str, prediction: str, dataset: str | None = None) -> Explained:
        """The verdict on a prediction as a model gave it; see `Taxonomy` on `dataset`."""
        pair = Pair(class_name, normalize(prediction))
        relation = self._taxonomic.relation(pair, dataset)  # refuses an unknown class in any case
        by_form = self._rules.judge_one(pair)
        if by_form.verdict is not None:
            return Explained(by_form.verdict.value, "rules", ())
        if relation.verdict is not None:
            return Explained(relation.verdict.value, "taxonomy", relation.path)
        return Explained(UNDECIDED, UNDECIDED, ())

    def explain(self, class_name: str, prediction: str, dataset: str | None = None) -> Explanation:
        """The same verdict with all that led to it."""
        verdict, decided_by, path = self.judge(class_name, prediction, dataset)
        read_as = normalize(prediction)
        by_form = self._rules.explain(Pair(class_name, read_as))
        named = strip_injection(read_as)
        found = () if by_form else self.taxonomy.entities(class_name, named, dataset)
        alone = ((one.name, one.relation.verdict) for one in found)
        entities = tuple((name, each.value if each else UNDECIDED) for name, each in alone)
        reason, parts = by_form[1] if by_form else None, tuple(c.text for c in clauses(named))
        return Explanation(verdict, decided_by, reason, read_as, parts, entities, path)


def judge_csv(source: Path, into: TextIO, judge: PairJudge) -> str:
    """Write the judged rows of a CSV file (columns dataset, class, prediction, others) as CSV.

    Returns:
        One line that accounts for all rows, and for those that had a verdict given.

    Raises:
        DataError: no such file, or a column or field is missing.
        TaxonomyError: a class has no entry.
    """
    counts: Counter[str] = Counter()
    agreeing = given = 0
    columns, rows = read_csv(source, REQUIRED, may_be_empty=("dataset", "prediction"))
    judged: list[dict[str, str | None]] = []
    for place, row in rows:
        try:
            found = judge.judge(row["class"], row["prediction"], row["dataset"] or None)
        except TaxonomyError as error:
            raise TaxonomyError(f"{place}: {error}") from None
        given_row = {_passed_on(name): text or None for name, text in row.items()}
        judged.append(given_row | dict(zip(ADDED, found[:2], strict=True)))
        counts[found.decided_by] += 1
        if found.decided_by != UNDECIDED and "verdict" in row:
            given += 1
            agreeing += row["verdict"] == found.verdict
    names = [*map(_passed_on, columns), *ADDED]
    write_rows(pl.DataFrame(judged, dict.fromkeys(names, pl.String)), into)
    decided = counts.total() - counts[UNDECIDED]
    by = ", ".join(f"{counts[name]} {name}" for name in ("rules", "taxonomy", UNDECIDED))
    agreement = f"; {agreeing} of {given} decided as given" if "verdict" in columns else ""
    return f"{counts.total()} pairs, {decided} decided ({by}){agreement}"


def _passed_on(column: str) -> str:
    return f"given_{column}" if column in ADDED else column
