"""The tables of the evaluation in full: which rows, which columns, which run's figures."""

import polars as pl
import pytest

from speciarl.evaluation.metrics import (
    best_per_sample,
    correctness,
    harmonic_mean,
    metrics_tree,
    score,
    specificity,
)
from speciarl.verdicts import COUNTS, SPECIFICITY_WEIGHTS, Verdict

SCHEMA = {
    "run": pl.String, "dataset": pl.String, "sample_id": pl.String, "rollout": pl.Int32,
    "verdict": pl.String, "decided_by": pl.String, "several_tagged": pl.Boolean,
}  # fmt: skip
GROUPS = {"birds": "in-domain", "planes": "far", "cars": "far"}


def table(*rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def judged(run, dataset, *verdicts):
    return [
        (run, dataset, str(i), 0, verdict, "taxonomy", False) for i, verdict in enumerate(verdicts)
    ]


def test_the_best_rollout_is_the_first_of_the_best_in_the_order_of_samples():
    rows = table(
        ("r", "d", "z", 1, "generic", "server", False),
        ("r", "d", "z", 0, "wrong", "taxonomy", False),
        ("r", "d", "b", 2, "specific", "late", False),
        ("r", "d", "b", 1, "specific", "early", False),
        ("r", "d", "b", 0, None, "failed", False),
        ("r", "d", "a", 1, None, "failed", False),
        ("r", "d", "a", 0, None, "unparsable", False),
        *(("r", "d", f"m{i}", 0, "abstain", "rules", False) for i in range(10)),
    )
    best = best_per_sample(rows)
    assert best.columns == ["sample_id", "verdict", "decided_by"]
    assert best.rows() == [
        ("a", None, "unparsable"),
        ("b", "specific", "early"),
        *((f"m{i}", "abstain", "rules") for i in range(10)),
        ("z", "generic", "server"),
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


def test_every_run_has_its_own_figures_in_order():
    rows = table(
        *judged("good", "birds", "specific", "specific"),
        *judged("bad", "birds", "wrong", "generic"),
        *judged("good", "planes", "generic", "wrong"),
        *judged("bad", "planes", "wrong"),
        *judged("good", "cars", "specific"),
        *judged("bad", "cars", "wrong", "wrong"),
    )
    scores = score(rows, ["good", "bad"], GROUPS, SPECIFICITY_WEIGHTS)
    assert scores.columns == [
        "run", "level", "name", "samples", *COUNTS, "unparsable", "failed", "undecided",
        "several_tagged", "correctness", "specificity", "hm",
    ]  # fmt: skip
    assert scores.select("run", "level", "name", "samples", "wrong", "correctness").rows() == [
        ("good", "dataset", "birds", 2, 0, 1.0),
        ("good", "dataset", "planes", 2, 1, 0.5),
        ("good", "dataset", "cars", 1, 0, 1.0),
        ("bad", "dataset", "birds", 2, 1, 0.5),
        ("bad", "dataset", "planes", 1, 1, 0.0),
        ("bad", "dataset", "cars", 2, 2, 0.0),
        ("good", "group", "in-domain", 2, 0, 1.0),
        ("good", "group", "far", 3, 1, 0.75),
        ("bad", "group", "in-domain", 2, 1, 0.5),
        ("bad", "group", "far", 3, 3, 0.0),
    ]
    tree = metrics_tree(scores)
    assert list(tree) == ["good", "bad"]
    assert list(tree["bad"]) == ["birds", "planes", "cars", "in-domain", "far"]
    assert tree["bad"]["planes"] == {"correctness": 0.0, "specificity": None, "hm": None}
    assert tree["good"]["birds"] == {"correctness": 1.0, "specificity": 1.0, "hm": 1.0}


def test_several_tagged_counts_completions_and_not_samples():
    said = [("a", 0, True), ("a", 1, True), ("b", 0, False), ("b", 1, True)]
    rows = table(
        *[("r", "d", sample, rollout, "wrong", "t", several) for sample, rollout, several in said],
        ("r", "e", "c", 0, None, "unparsable", True),
    )
    scores = score(rows, ["r"], {"d": "g", "e": "g"}, SPECIFICITY_WEIGHTS)
    counted = scores.select("name", "samples", "unparsable", "several_tagged").rows()
    assert counted == [("d", 2, 0, 3), ("e", 1, 1, 1), ("g", 3, 1, 4)]


def test_figures_that_none_has_keep_their_type():
    scores = score(table(*judged("r", "d", "wrong")), ["r"], {"d": "g"}, SPECIFICITY_WEIGHTS)
    assert scores.schema["specificity"] == scores.schema["hm"] == pl.Float64
    assert scores["specificity"].to_list() == [None, None]


def test_written_figures_are_rounded_to_six_places():
    rows = table(*judged("r", "d", "specific", "wrong", "wrong"))
    tree = metrics_tree(score(rows, ["r"], {"d": "g"}, SPECIFICITY_WEIGHTS))
    assert tree["r"]["d"]["correctness"] == 0.333333
