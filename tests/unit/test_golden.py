"""The golden verdicts: they change with the fingerprint, in one commit, or not at all."""

from collections import Counter, defaultdict
from functools import cache

import pytest

from speciarl.verdicts import LABELS
from tests import golden

AGAIN = "run `python -m tests.golden`, review what it prints, and commit the file"


@cache
def judge():
    return golden.judge()


@cache
def rows_by_dataset():
    rows = defaultdict(list)
    for row in golden.read()[1]:
        rows[row.dataset].append(row)
    return rows


@pytest.mark.parametrize("dataset", sorted(rows_by_dataset()))
def test_verdicts_are_those_of_the_golden_file(dataset):
    rows = rows_by_dataset()[dataset]
    now = golden.judged([row[:3] for row in rows], judge())
    changed = [(before, after) for before, after in zip(rows, now, strict=True) if before != after]
    assert not changed, f"{len(changed)} other verdicts, such as {changed[0]}: {AGAIN}"


def test_the_fingerprint_is_that_of_the_golden_file():
    assert golden.read()[0] == judge().fingerprint, f"what decides has changed: {AGAIN}"


def test_the_golden_file_has_pairs_of_every_kind_and_stays_small():
    _, rows = golden.read()
    datasets = Counter(row.dataset for row in rows)
    verdicts = Counter(row.verdict for row in rows)
    assert len(datasets) == 7 and min(datasets.values()) > 500
    assert all(verdicts[label] > 100 for label in LABELS)
    assert golden.PATH.stat().st_size < 1_000_000
