import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.errors import DataError
from speciarl.evaluation.metrics import (
    best_per_sample,
    correctness,
    harmonic_mean,
    metrics_tree,
    score,
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


def test_a_worked_example():
    rows = judged(["specific", "more specific", "less specific", "generic", "abstain", "wrong",
                   None, "failed"])  # fmt: skip
    counts = tally(best_per_sample(rows))
    assert counts == {
        "samples": 8, "wrong": 1, "abstain": 1, "generic": 1, "less_specific": 1, "specific": 1,
        "more_specific": 1, "unparsable": 1, "failed": 1, "undecided": 0,
    }  # fmt: skip
    assert correctness(counts) == 4 / 7  # the unparsable one is wrong, the failed one unknown
    assert specificity(counts, SPECIFICITY_WEIGHTS) == pytest.approx((1 + 1 + 0.6 + 0.2) / 4)


def test_the_best_rollout_counts():
    rows = judged([["wrong", "generic", "specific"], [None, "abstain"], [None, None]])
    best = best_per_sample(rows)
    assert best["verdict"].to_list() == ["specific", "abstain", None]
    assert tally(best)["unparsable"] == 1


def test_undecided_is_a_part_of_wrong():
    rows = judged(["wrong", "wrong"]).with_columns(decided_by=pl.Series(["taxonomy", "undecided"]))
    counts = tally(best_per_sample(rows))
    assert (counts["wrong"], counts["undecided"]) == (2, 1)


def test_nothing_correct_has_no_specificity():
    counts = tally(best_per_sample(judged(["wrong", None])))
    assert correctness(counts) == 0
    assert specificity(counts, SPECIFICITY_WEIGHTS) is None
    assert harmonic_mean(None, 0.0) is None
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_a_group_is_the_mean_of_its_datasets_and_the_sum_of_their_counts():
    rows = pl.concat(
        [judged(["specific", "wrong"], dataset="a"), judged(["generic"] * 4, dataset="b")]
    )
    scores = score(rows, ["r"], {"a": "g", "b": "g"}, SPECIFICITY_WEIGHTS)
    group = scores.row(by_predicate=pl.col("level") == "group", named=True)
    assert group["samples"] == 6
    assert group["correctness"] == pytest.approx((0.5 + 1) / 2)
    assert group["specificity"] == pytest.approx((1 + 0.2) / 2)
    assert group["hm"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert metrics_tree(scores)["r"]["g"]["correctness"] == 0.75


def test_a_group_with_an_undefined_member_is_undefined():
    rows = pl.concat([judged(["specific"], dataset="a"), judged(["wrong"], dataset="b")])
    scores = score(rows, ["r"], {"a": "g", "b": "g"}, SPECIFICITY_WEIGHTS)
    group = scores.row(by_predicate=pl.col("level") == "group", named=True)
    assert group["specificity"] is None and group["hm"] is None
    assert group["correctness"] == 0.5


def test_a_dataset_that_was_not_judged_is_named_and_not_scored():
    rows = judged(["specific"], dataset="a")
    with pytest.raises(DataError, match="r has no judged rows of b"):
        score(rows, ["r"], {"a": "g", "b": "g"}, SPECIFICITY_WEIGHTS)


@given(st.lists(st.sampled_from([*(v.value for v in Verdict), None, "failed"]), min_size=1))
def test_counts_add_up_and_figures_stay_within_bounds(verdicts):
    counts = tally(best_per_sample(judged(verdicts)))
    assert sum(counts[c] for c in (*COUNTS, "unparsable", "failed")) == len(verdicts)
    for figure in (correctness(counts), specificity(counts, SPECIFICITY_WEIGHTS)):
        assert figure is None or 0 <= figure <= 1
