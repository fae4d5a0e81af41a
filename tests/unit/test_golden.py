"""The golden verdicts: they change with the fingerprint, in one commit, or not at all."""

from collections import Counter

from speciarl.verdicts import LABELS
from tests import golden

AGAIN = "run `python -m tests.golden`, review what it prints, and commit the file"


def test_verdicts_and_fingerprint_are_those_of_the_golden_file(judge):
    fingerprint, rows = golden.read()
    now = golden.judged([row[:3] for row in rows], judge)
    changed = [(before, after) for before, after in zip(rows, now, strict=True) if before != after]
    assert not changed, f"{len(changed)} other verdicts, such as {changed[0]}: {AGAIN}"
    assert fingerprint == judge.fingerprint, f"what decides has changed: {AGAIN}"


def test_the_golden_file_has_pairs_of_every_kind_and_stays_small():
    _, rows = golden.read()
    datasets = Counter(row.dataset for row in rows)
    verdicts = Counter(row.verdict for row in rows)
    assert len(datasets) == 7 and min(datasets.values()) > 500
    assert all(verdicts[label] > 100 for label in LABELS)
    assert golden.PATH.stat().st_size < 1_000_000
