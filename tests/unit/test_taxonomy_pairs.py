"""How often the taxonomy decides hand-labelled pairs, and how often it is right.

`pytest tests/unit/test_taxonomy_pairs.py -s` prints the figures.
"""

import csv
from collections import Counter
from pathlib import Path

import pytest

from speciarl.answers import normalize

ROOT = Path(__file__).resolve().parents[2]
PAIRS = ROOT.parent / "shared" / "data" / "verdict_pairs_dev.csv"
# refusals, several predictions, injections and malformed text are for the rules before the taxonomy
NOT_TAXONOMIC = {"refusal", "multi", "injection", "malformed"}


def pairs() -> list[dict[str, str]]:
    if not PAIRS.exists():
        pytest.skip(f"the labelled pairs {PAIRS} are not here")
    with PAIRS.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_labelled_pairs_are_decided_and_right(taxonomy) -> None:
    rows = pairs()
    counts: Counter[tuple[bool, str]] = Counter()
    mistakes = []
    for row in rows:
        found = taxonomy.relation(row["class"], normalize(row["prediction"]), row["dataset"])
        taxonomic = row["kind"] not in NOT_TAXONOMIC
        if found.verdict is None:
            outcome = "undecided"
        else:
            outcome = "right" if found.verdict.value == row["verdict"] else "mistaken"
        counts[taxonomic, outcome] += 1
        if outcome == "mistaken":
            mistakes.append((row["class"], row["prediction"], row["verdict"], found))
    taxonomic = {outcome: counts[True, outcome] for outcome in ("right", "mistaken", "undecided")}
    decided = taxonomic["right"] + taxonomic["mistaken"]
    print(
        f"\n{sum(taxonomic.values())} taxonomic pairs: {decided} decided, {taxonomic['right']} "
        f"right; of the other {len(rows) - sum(taxonomic.values())}, "
        f"{counts[False, 'right']} right, {counts[False, 'mistaken']} mistaken"
    )
    assert decided >= 0.85 * sum(taxonomic.values())
    right = counts[True, "right"] + counts[False, "right"]
    mistaken = counts[True, "mistaken"] + counts[False, "mistaken"]
    assert right >= 0.97 * (right + mistaken), mistakes
