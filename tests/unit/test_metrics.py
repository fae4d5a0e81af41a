import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.evaluation.metrics import (
    best_per_sample,
    correctness,
    harmonic_mean,
    specificity,
    tally,
)
from speciarl.verdicts import COUNTS, SPECIFICITY_WEIGHTS, Verdict

SCHEMA = {
    "run": pl.String, "dataset": pl.String, "sample_id": pl.String, "rollout": pl.Int32,
    "verdict": pl.String, "decided_by": pl.String, "several_tagged": pl.Boolean,
}  # fmt: skip


def judged(verdicts, run="r", dataset="d"):
    """Rows of samples "0", "1", ...; each entry one verdict or a list of rollouts."""
    rows = []
    for number, entry in enumerate(verdicts):
        for rollout, verdict in enumerate(entry if isinstance(entry, list) else [entry]):
            known = verdict not in (None, "failed")
            reason = "taxonomy" if known else verdict or "unparsable"
            said = verdict if known else None
            rows.append((run, dataset, str(number), rollout, said, reason, False))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def counted(rows):
    return tally(best_per_sample(rows)).row(0, named=True)


def test_a_worked_example():
    rows = judged(["specific", "more specific", "less specific", "generic", "abstain", "wrong",
                   None, "failed"])  # fmt: skip
    counts = counted(rows)
    assert counts == {
        "samples": 8, "wrong": 1, "abstain": 1, "generic": 1, "less_specific": 1, "specific": 1,
        "more_specific": 1, "unparsable": 1, "failed": 1, "undecided": 0,
        "several_tagged": 0,
    }  # fmt: skip
    assert correctness(counts) == 4 / 7  # the unparsable one is wrong, the failed one unknown
    assert specificity(counts, SPECIFICITY_WEIGHTS) == pytest.approx((1 + 1 + 0.6 + 0.2) / 4)


def test_the_best_rollout_counts():
    rows = judged([["wrong", "generic", "specific"], [None, "abstain"], [None, None]])
    best = best_per_sample(rows).sort("sample_id")
    assert best["verdict"].to_list() == ["specific", "abstain", None]
    assert counted(rows)["unparsable"] == 1


def test_the_best_is_found_among_many_rollouts_and_is_the_first_of_its_like():
    rows = judged([["generic", *["wrong"] * 200, "less specific", "less specific"]])
    best = best_per_sample(rows)
    assert best.select("verdict", "rollout").row(0) == ("less specific", 201)
    assert best.schema["verdict"] == pl.Enum([v.value for v in Verdict])


def test_undecided_is_a_part_of_wrong():
    rows = judged(["wrong", "wrong"]).with_columns(decided_by=pl.Series(["taxonomy", "undecided"]))
    counts = counted(rows)
    assert (counts["wrong"], counts["undecided"]) == (2, 1)


def test_nothing_correct_has_no_specificity():
    counts = counted(judged(["wrong", None]))
    assert correctness(counts) == 0
    assert specificity(counts, SPECIFICITY_WEIGHTS) is None
    assert harmonic_mean(None, 0.0) is None
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_the_best_rollout_is_the_first_of_the_best_and_failed_comes_before_unparsable():
    rows = [
        ("r", "d", "z", 1, "generic", "server", False),
        ("r", "d", "z", 0, "wrong", "taxonomy", False),
        ("r", "d", "b", 2, "specific", "late", True),
        ("r", "d", "b", 1, "specific", "early", False),
        ("r", "d", "b", 0, None, "failed", True),
        ("r", "d", "a", 1, None, "failed", True),
        ("r", "d", "a", 0, None, "unparsable", False),
        *(("r", "d", f"m{i}", 0, "abstain", "rules", False) for i in range(10)),
    ]
    best = best_per_sample(pl.DataFrame(rows, schema=SCHEMA, orient="row")).sort("sample_id")
    assert best.columns == ["sample_id", "verdict", "decided_by", "rollout", "several_tagged"]
    assert best.rows() == [
        ("a", None, "failed", 1, 1),
        ("b", "specific", "early", 1, 2),
        *((f"m{i}", "abstain", "rules", 0, 0) for i in range(10)),
        ("z", "generic", "server", 1, 0),
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (0.5, 0.5, 0.5),
        (1.0, 1.0, 1.0),
        (0.25, 0.75, 0.375),
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0),
        (None, 0.5, None),
        (0.5, None, None),
    ],
)
def test_the_harmonic_mean(first, second, expected):
    assert harmonic_mean(first, second) == expected


def test_published_figures_have_their_published_harmonic_mean():
    """arXiv 2603.03197, fine-grained group: Specificity and Correctness."""
    published = {(0.742, 0.846): 0.790, (0.935, 0.807): 0.866, (0.875, 0.785): 0.825}
    for (one, other), mean in published.items():
        assert harmonic_mean(one, other) == pytest.approx(mean, abs=0.003)


def test_figures_of_counts_by_hand():
    counts = dict.fromkeys((*COUNTS, "unparsable", "failed", "undecided"), 0)
    counts |= {"wrong": 1, "generic": 1, "more_specific": 2, "unparsable": 1, "failed": 3}
    counts["samples"] = 8
    assert correctness(counts) == 3 / 5
    assert specificity(counts, SPECIFICITY_WEIGHTS) == pytest.approx(2.2 / 3)
    weights = {v: 0.5 for v in Verdict if v.correct}
    assert specificity(counts, weights) == 0.5
    assert correctness({**counts, "samples": 3}) is None  # all failed


@given(st.lists(st.sampled_from([*(v.value for v in Verdict), None, "failed"]), min_size=1))
def test_counts_add_up_and_metrics_stay_within_bounds(verdicts):
    counts = counted(judged(verdicts))
    assert sum(counts[c] for c in (*COUNTS, "unparsable", "failed")) == len(verdicts)
    for metric in (correctness(counts), specificity(counts, SPECIFICITY_WEIGHTS)):
        assert metric is None or 0 <= metric <= 1
