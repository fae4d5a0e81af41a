"""What is precomputed is the verifier's word on every pair, though it is asked about few."""

import random

import polars as pl
import pytest

from speciarl.cache import VerdictCache, query_store
from speciarl.config import VerifierConfig
from speciarl.verdicts import Judgment, Pair, Verdict
from speciarl.verifiers.cascade import Cascade
from speciarl.verifiers.precompute import pairs_to_expect, precompute
from speciarl.verifiers.rules import Rules
from speciarl.verifiers.taxonomy import Taxonomic
from tests.facts import taxonomy

SAMPLE = 2000
# Caltech101 has a lotus, a pizza and a sunflower as well; cars and some aircraft have years.
CLASSES = {
    "cub200": ["Yellow breasted Chat", "Frigatebird", "Western Gull", "American Crow"],
    "fgvc_aircraft": ["Saab 2000", "737-800", "Eurofighter Typhoon", "MD-87"],
    "flowers102": ["lotus", "sunflower", "common dandelion", "pink primrose"],
    "food101": ["pizza", "tiramisu", "gyoza", "steak"],
    "stanford_cars": ["Audi S4 Sedan 2012", "Audi S4 Sedan 2007", "Jeep Grand Cherokee SUV 2012",
                      "Hyundai Sonata Hybrid Sedan 2012", "Hyundai Sonata Sedan 2012"],
}  # fmt: skip


class Counting:
    """A verifier that counts what it is asked."""

    identity = {"verifier": "counting"}  # noqa: RUF012

    def __init__(self, verifier=None):
        self.verifier = verifier
        self.asked = []

    def judge(self, pairs):
        self.asked += pairs
        if self.verifier:
            return self.verifier.judge(pairs)
        return ((pair, Judgment(Verdict.WRONG, "t")) for pair in pairs)


def of_facts():
    return Cascade([Rules(taxonomy()), Taxonomic(taxonomy())])


def precomputed(pairs, verifier, folder):
    cache = VerdictCache(folder / "cache.duckdb", verifier.identity, "precompute")
    return precompute(pairs, verifier, cache, VerifierConfig())


def judged(pairs):
    """What the verifier says, asked about each pair."""
    said = of_facts().judge([Pair(*pair) for pair in pairs])
    return {(*pair, judgment.verdict.value, judgment.decided_by) for pair, judgment in said}


@pytest.mark.parametrize("dataset", ["oxford_pets", *CLASSES])
def test_a_verdict_is_what_the_verifier_says_of_the_pair(dataset, tmp_path):
    """On every pair of the pets, and on some of the others."""
    relations = taxonomy().table({dataset: CLASSES.get(dataset, taxonomy().classes[dataset])})
    verifier = Counting(of_facts())
    pairs = pairs_to_expect(relations, taxonomy())
    found = precomputed(pairs, verifier, tmp_path).select(
        "class", "prediction", "verdict", "decided_by"
    )
    assert found.select("class", "prediction").equals(pairs.drop("implied"))
    rows = found.rows()
    if dataset in CLASSES:
        rows = random.Random(0).sample(rows, SAMPLE)
    assert not set(rows) - judged(row[:2] for row in rows)
    assert len(set(verifier.asked)) == len(verifier.asked)
    if dataset not in CLASSES:
        assert len(verifier.asked) < pairs.height / 10


def test_of_what_is_implied_one_is_asked_and_all_are_stored_and_counted(tmp_path):
    rows = [("crow", "bird", False), *((name, "bird", True) for name in ("gull", "owl", "tern"))]
    pairs = pl.DataFrame(rows, ["class", "prediction", "implied"], orient="row")
    verifier = Counting()
    first = precomputed(pairs, verifier, tmp_path)
    assert verifier.asked == [Pair("crow", "bird"), Pair("gull", "bird")]
    assert first["class"].to_list() == ["crow", "gull", "owl", "tern"]
    assert precomputed(pairs, verifier, tmp_path).equals(first)
    assert len(verifier.asked) == 2
    counts = "SELECT hits, misses, asked FROM lookups ORDER BY created_at"
    assert query_store(tmp_path / "cache.duckdb", counts).rows() == [(0, 4, 2), (4, 0, 0)]
    stored = query_store(tmp_path / "cache.duckdb", "SELECT class FROM verdicts ORDER BY class")
    assert stored["class"].to_list() == first["class"].to_list()


def test_of_several_spellings_all_have_to_be_implied():
    """ "Gull!" is read as "gull" is, but nobody looks into how it is read."""
    relations = pl.DataFrame(
        {
            "dataset": "d",
            "class_name": [None, None, None, None, "Owl", "Tern"],
            "term": ["gull", "Gull!", "wren", "Audi 2012", "wren", "owl"],
            "verdict": "wrong",
        }
    )
    pairs = pairs_to_expect(relations).filter("implied")
    assert pairs.rows() == [("Tern", "wren", True)]
    pairs = pairs_to_expect(relations.filter(pl.col("term") != "Gull!")).filter("implied")
    assert pairs.rows() == [("Owl", "gull", True), ("Tern", "gull", True), ("Tern", "wren", True)]


def test_of_a_class_that_two_datasets_have_nothing_is_implied():
    names = ["lotus", "pink primrose"]
    pairs = pairs_to_expect(taxonomy().table({"flowers102": names}), taxonomy())
    assert set(pairs.filter("implied")["class"]) == {"pink primrose"}
