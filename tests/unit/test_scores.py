"""Scores over seeds and datasets in full: which rows, which columns, which run's metrics."""

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from speciarl.errors import DataError
from speciarl.evaluation.intervals import Replicates, interval
from speciarl.evaluation.scores import (
    UNSEEN,
    Area,
    areas_of,
    best_of_all,
    differences,
    metrics_tree,
    read_judged,
    score,
)
from speciarl.verdicts import COUNTS, SPECIFICITY_WEIGHTS, Verdict

SCHEMA = {
    "run": pl.String, "seed": pl.Int64, "dataset": pl.String, "sample_id": pl.String,
    "rollout": pl.Int32, "verdict": pl.String, "decided_by": pl.String,
    "several_tagged": pl.Boolean,
}  # fmt: skip
GROUPS = {"in-domain": ["birds"], "far": ["planes", "cars"]}
LADDER = [v.value for v in Verdict]


def judged(run, seed, dataset, *verdicts):
    return [
        (run, seed, dataset, f"{i:03}", 0, v if v in LADDER else None,
         "failed" if v == "failed" else "taxonomy" if v else "unparsable", v == "abstain")
        for i, v in enumerate(verdicts)
    ]  # fmt: skip


def table(*rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def replicated(rows, runs, groups=GROUPS, unseen=("planes", "cars"), replicates=200):
    """Best verdicts, their replicates and the areas."""
    areas = areas_of(groups, unseen)
    datasets = [area.name for area in areas if area.level == "dataset"]
    best = best_of_all(rows, runs, datasets)
    return best, Replicates(best, datasets, SPECIFICITY_WEIGHTS, replicates), areas


def scored(rows, runs, groups=GROUPS, unseen=("planes", "cars")):
    return score(*replicated(rows, runs, groups, unseen), SPECIFICITY_WEIGHTS)


def row_of(scores, seed=None, **values):
    rows = scores.filter(pl.col("seed").eq_missing(seed), **values)
    assert rows.height == 1
    return rows.row(0, named=True)


def test_best_verdicts_come_by_dataset_then_run_seed_and_sample():
    rows = table(
        *(row for d in ("cars", "planes") for run in ("b", "a") for seed in (2, 1)
          for row in judged(run, seed, d, "wrong", "wrong"))
    ).reverse()  # fmt: skip
    best = best_of_all(rows, ["b", "a"], ["planes", "cars"])
    assert [best.schema[name] for name in ("dataset", "run", "sample_id")] == [pl.String] * 3
    assert best.select("dataset", "run", "seed", "sample_id").rows() == [
        (d, run, seed, f"{i:03}")
        for d in ("planes", "cars") for run in ("b", "a") for seed in (1, 2) for i in range(2)
    ]  # fmt: skip


def test_areas_are_datasets_then_groups_then_what_no_run_was_trained_on():
    assert areas_of(GROUPS, ["planes"]) == [
        Area("dataset", "birds", ["birds"]), Area("dataset", "planes", ["planes"]),
        Area("dataset", "cars", ["cars"]),
        Area("group", "in-domain", ["birds"]), Area("group", "far", ["planes", "cars"]),
        Area("overall", UNSEEN, ["planes"]),
    ]  # fmt: skip
    assert [area.level for area in areas_of(GROUPS, [])] == ["dataset"] * 3 + ["group"] * 2


def test_every_run_has_its_own_metrics_in_order():
    rows = table(
        *judged("good", 7, "birds", "specific", "specific"),
        *judged("bad", 7, "birds", "wrong", "generic"),
        *judged("good", 7, "planes", "generic", "wrong"),
        *judged("bad", 7, "planes", "wrong", "wrong"),
        *judged("good", 7, "cars", "specific"),
        *judged("bad", 7, "cars", "wrong"),
    )
    scores = scored(rows, ["good", "bad"])
    metrics = ("correctness", "specificity", "hm")
    assert scores.columns == [
        "run", "seed", "level", "name", "samples", *COUNTS, "unparsable", "failed", "undecided",
        "several_tagged", *metrics,
        *(f"{m}_{of}" for m in metrics for of in ("low", "high", "spread")),
    ]  # fmt: skip
    expected = [
        ("good", "dataset", "birds", 2, 0, 1.0),
        ("bad", "dataset", "birds", 2, 1, 0.5),
        ("good", "dataset", "planes", 2, 1, 0.5),
        ("bad", "dataset", "planes", 2, 2, 0.0),
        ("good", "dataset", "cars", 1, 0, 1.0),
        ("bad", "dataset", "cars", 1, 1, 0.0),
        ("good", "group", "in-domain", 2, 0, 1.0),
        ("bad", "group", "in-domain", 2, 1, 0.5),
        ("good", "group", "far", 3, 1, 0.75),
        ("bad", "group", "far", 3, 3, 0.0),
        ("good", "overall", UNSEEN, 3, 1, 0.75),
        ("bad", "overall", UNSEEN, 3, 3, 0.0),
    ]
    shown = ["run", "level", "name", "samples", "wrong", "correctness"]
    assert scores["seed"].to_list() == [None] * 12 + [7] * 12
    assert scores.select(shown).rows() == expected * 2
    tree = metrics_tree(scores)
    assert list(tree) == ["good", "bad"]
    assert list(tree["bad"]) == ["birds", "planes", "cars", "in-domain", "far", UNSEEN]
    assert tree["bad"]["planes"] == {"correctness": 0.0, "specificity": None, "hm": None,
                                     "hm_low": None, "hm_high": None}  # fmt: skip
    assert tree["good"]["birds"] == dict.fromkeys([*metrics, "hm_low", "hm_high"], 1.0)


def test_a_group_is_the_mean_of_its_datasets_and_the_sum_of_their_counts():
    rows = table(
        *judged("r", 1, "planes", "specific", "wrong"), *judged("r", 1, "cars", *["generic"] * 4)
    )
    group = row_of(scored(rows, ["r"], {"far": ["planes", "cars"]}), level="group")
    assert group["samples"] == 6
    assert group["correctness"] == pytest.approx((0.5 + 1) / 2)
    assert group["specificity"] == pytest.approx((1 + 0.2) / 2)
    assert group["hm"] == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_a_group_with_an_undefined_member_is_undefined():
    rows = table(*judged("r", 1, "planes", "specific"), *judged("r", 1, "cars", "wrong"))
    group = row_of(scored(rows, ["r"], {"far": ["planes", "cars"]}), level="group")
    assert group["specificity"] is None and group["hm"] is None
    assert group["correctness"] == 0.5


def test_seeds_are_averaged_with_the_spread_between_them():
    rows = table(
        *judged("r", 2, "birds", "generic", "specific", "wrong", "failed"),
        *judged("r", 1, "birds", "specific", "specific", "specific", "wrong"),
        *judged("r", 3, "birds", "specific", "wrong", "wrong", None),
    )
    scores = scored(rows, ["r"], {"in-domain": ["birds"]}, [])
    assert scores["seed"].to_list() == [None, None, 1, 2, 3, 1, 2, 3]
    over = row_of(scores, level="dataset")
    by_seed = [0.75, 2 / 3, 0.25]
    assert [row_of(scores, s, level="dataset")["correctness"] for s in (1, 2, 3)] == by_seed
    assert over["correctness"] == pytest.approx(np.mean(by_seed))
    assert over["correctness_spread"] == pytest.approx(np.std(by_seed, ddof=1))
    assert (over["samples"], over["specific"], over["failed"], over["unparsable"]) == (12, 5, 1, 1)
    alone = [row_of(scores, s, level="dataset") for s in (1, 2, 3)]
    undefined = [f"hm_{of}" for of in ("low", "high", "spread")]
    assert all(row[name] is None for row in alone for name in undefined)


def test_a_single_seed_has_no_spread_and_an_undefined_one_leaves_none():
    one = scored(table(*judged("r", 1, "birds", "specific")), ["r"], {"g": ["birds"]}, [])
    assert row_of(one, level="group")["hm_spread"] is None
    rows = table(
        *(row for seed in (1, 2) for row in judged("r", seed, "birds", "specific", "generic")),
        *judged("r", 3, "birds", "wrong", "wrong"),
    )
    over = row_of(scored(rows, ["r"], {"g": ["birds"]}, []), level="group")
    assert (over["hm"], over["hm_low"], over["hm_high"], over["hm_spread"]) == (None,) * 4
    assert over["correctness"] == pytest.approx(2 / 3)
    assert over["correctness_spread"] == pytest.approx(np.std([1, 1, 0], ddof=1))


def test_the_order_of_rows_and_seeds_does_not_matter():
    dice = np.random.default_rng(1)
    rows = [
        row
        for run in ("a", "b")
        for seed in (3, 1, 2)
        for dataset in ("birds", "planes", "cars")
        for row in judged(run, seed, dataset, *dice.choice(LADDER[2:], 20))
    ]
    other = [rows[i] for i in dice.permutation(len(rows))]
    first, second = (scored(table(*given), ["b", "a"]) for given in (rows, other))
    assert first.equals(second)


def test_metrics_that_none_has_keep_their_type():
    scores = scored(table(*judged("r", 1, "d", "wrong")), ["r"], {"g": ["d"]}, [])
    assert scores.schema["specificity"] == scores.schema["hm_low"] == pl.Float64
    assert scores["specificity"].null_count() == scores.height == 4


def test_written_metrics_are_rounded_to_six_places():
    scores = scored(
        table(*judged("r", 1, "d", "specific", "wrong", "wrong")), ["r"], {"g": ["d"]}, []
    )
    assert metrics_tree(scores)["r"]["d"]["correctness"] == 0.333333


def test_what_was_not_judged_is_named_and_not_scored():
    rows = table(*judged("r", 1, "birds", "specific"), *judged("r", 2, "birds", "specific"),
                 *judged("r", 1, "planes", "specific"))  # fmt: skip
    for runs, datasets, said in [
        (["r"], ["birds", "planes"], "r has no judged rows of planes: judge it"),
        (["r", "absent"], ["birds"], "absent has no judged rows of birds"),
    ]:
        with pytest.raises(DataError, match=said):
            best_of_all(rows, runs, datasets)


def test_runs_are_scored_on_the_same_images():
    good = [*judged("a", 1, "d", "wrong", "wrong"), *judged("b", 5, "d", "wrong", "wrong")]
    fewer = table(*good[:3])
    with pytest.raises(DataError, match="b, seed 5: judged 1 images of d, others judged 2 or"):
        best_of_all(fewer, ["a", "b"], ["d"])
    others = [*good[:3], ("b", 5, "d", "777", 0, "wrong", "taxonomy", False)]
    with pytest.raises(DataError, match="b, seed 5: judged 2 images of d, others judged 2 or not"):
        best_of_all(table(*others), ["a", "b"], ["d"])
    assert best_of_all(table(*good), ["b"], ["d"])["run"].to_list() == ["b", "b"]


def test_differences_have_a_row_for_each_two_runs_and_area():
    dice = np.random.default_rng(2)
    runs = ["a", "b", "c"]
    rows = table(
        *(
            row
            for run in runs
            for dataset in ("birds", "planes", "cars")
            for row in judged(run, 0, dataset, *dice.choice(LADDER[2:], 12))
        )
    )
    best, replicates, areas = replicated(rows, runs)
    found = differences(runs, replicates, areas)
    assert found.columns == ["run", "other", "level", "name", "difference", "low", "high", "p"]
    assert found.select("level", "name", "run", "other").rows() == [
        (area.level, area.name, *two)
        for area in areas
        for two in [("a", "b"), ("a", "c"), ("b", "c")]
    ]
    scores = score(best, replicates, areas, SPECIFICITY_WEIGHTS)
    for row in found.iter_rows(named=True):
        one, other = (
            row_of(scores, run=row[side], level=row["level"], name=row["name"])["hm"]
            for side in ("run", "other")
        )
        assert row["difference"] == pytest.approx(one - other)
        assert row["low"] < row["difference"] < row["high"]


def test_a_difference_to_what_is_undefined_is_undefined():
    rows = table(*judged("a", 0, "d", "wrong"), *judged("b", 0, "d", "specific"))
    _, replicates, areas = replicated(rows, ["a", "b"], {"g": ["d"]}, [])
    found = differences(["a", "b"], replicates, areas)
    assert found.select("difference", "low", "high").rows() == [(None, None, None)] * 2
    assert found.schema["difference"] == pl.Float64


def test_a_single_run_differs_from_none():
    _, replicates, areas = replicated(table(*judged("a", 0, "d", "wrong")), ["a"], {"g": ["d"]}, [])
    found = differences(["a"], replicates, areas)
    assert found.is_empty()
    assert list(found.schema.values()) == [pl.String] * 4 + [pl.Float64] * 4


PROGRESS = {"wrong": "generic", "generic": "specific", "specific": "specific"}


@given(st.lists(st.sampled_from(list(PROGRESS)), min_size=1, max_size=8))
@example(["generic", "generic"])
def test_a_run_is_level_with_its_like_and_not_below_one_that_it_betters_on_every_image(verdicts):
    verdicts = [*verdicts, *["generic"] * 30]
    better = [PROGRESS[v] for v in verdicts]
    rows = table(*judged("a", 0, "d", *better), *judged("alike", 9, "d", *better),
                 *judged("b", 0, "d", *verdicts))  # fmt: skip
    runs = ["a", "alike", "b"]
    _, replicates, areas = replicated(rows, runs, {"g": ["d"]}, [])
    found = differences(runs, replicates, areas)
    alike = found.filter(run="a", other="alike")
    assert alike.select("difference", "low", "high").rows() == [(0.0, 0.0, 0.0)] * 2
    ahead = found.filter(run="a", other="b")
    assert (ahead["low"] > 0).all() and (ahead["difference"] >= ahead["low"] - 1e-12).all()


def test_pairing_leaves_less_doubt_than_two_intervals_do():
    dice = np.random.default_rng(3)
    verdicts = list(dice.choice(LADDER, 60))
    other = [*verdicts[:-2], "specific", "specific"]
    rows = table(*judged("a", 0, "d", *other), *judged("b", 0, "d", *verdicts))
    _, replicates, areas = replicated(rows, ["a", "b"], {"g": ["d"]}, [], replicates=1000)
    found = differences(["a", "b"], replicates, areas).row(0, named=True)
    low, high = interval(replicates.of("b", ["d"])["hm"][1:])
    assert found["high"] - found["low"] < (high - low) / 2


def test_the_rows_of_all_runs_are_read_with_the_run_they_are_of(tmp_path):
    for run in ("b", "a"):
        for seed in (7, 42):
            (tmp_path / run / str(seed)).mkdir(parents=True)
            for dataset in ("planes", "birds"):
                rows = table(*judged(None, seed, dataset, "specific", None)).drop("run")
                rows.write_parquet(tmp_path / run / str(seed) / f"{dataset}.parquet")
        (tmp_path / run / "note.parquet").write_text("of no seed")
    read = read_judged([tmp_path / "b", tmp_path / "a"]).collect()
    order = [(run, seed, name) for run in "ab" for seed in (42, 7) for name in ("birds", "planes")]
    assert read.select("run", "seed", "dataset").rows()[::2] == order  # by the names of the files
    assert read["verdict"].to_list() == ["specific", None] * 8
    assert set(read.columns) == set(SCHEMA)
