"""Best of k from n samples: against every choice of k, and at its two ends."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speciarl.evaluation.best_of import COLUMNS, chances, curves
from speciarl.evaluation.metrics import METRICS, best_per_sample, correctness, specificity, tally
from speciarl.evaluation.scores import Area
from speciarl.verdicts import LABELS, SPECIFICITY_WEIGHTS


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.data())
def test_chances_are_the_shares_of_all_choices(ranks, data):
    k = data.draw(st.integers(1, len(ranks)))
    best = [max(choice) for choice in combinations(ranks, k)]
    expected = [best.count(rank) / len(best) for rank in range(7)]
    assert chances(np.array([ranks]))[0, k - 1] == pytest.approx(expected)


def judged(**images):
    """Rows of one run: by image its samples' verdicts; "unparsable" and "failed" have none."""
    rows = [
        ("r", 7, "d", image, rollout, *((said, "taxonomy") if said in LABELS else (None, said)))
        for image, verdicts in images.items()
        for rollout, said in enumerate(verdicts)
    ]
    names = ["run", "seed", "dataset", "sample_id", "rollout", "verdict", "decided_by"]
    return pl.DataFrame(rows, names, orient="row").with_columns(several_tagged=pl.lit(False))


def curve(rows):
    return curves(rows.lazy(), [Area("dataset", "d", ["d"])], SPECIFICITY_WEIGHTS)


ROWS = judged(
    a=["wrong", "specific", "generic", "wrong"],
    b=["unparsable", "unparsable", "abstain", "wrong"],
    c=["less specific", "less specific", "more specific", "wrong"],
)


def test_the_best_of_all_is_what_the_scores_say_and_that_of_one_the_mean():
    found = curve(ROWS)
    counts = tally(best_per_sample(ROWS)).row(0, named=True)
    last = found.row(-1, named=True)
    assert last["k"] == 4
    assert last["correctness"] == pytest.approx(correctness(counts))
    assert last["specificity"] == pytest.approx(specificity(counts, SPECIFICITY_WEIGHTS))
    first = found.row(0, named=True)
    assert first["correctness"] == pytest.approx((2 / 4 + 0 + 3 / 4) / 3)
    assert first["specificity"] == pytest.approx((1 + 0.2 + 0.6 + 0.6 + 1) / 5)


def test_what_is_left_out_is_the_image_of_which_nothing_is_known_and_it_is_counted():
    more = judged(z=["specific", "failed", "specific", "specific"])
    found = curve(pl.concat([ROWS, more]))
    assert found.drop("dropped").equals(curve(ROWS).drop("dropped"))
    assert set(found.select("images", "dropped").rows()) == {(3, 1)}
    assert set(curve(ROWS).select("images", "dropped").rows()) == {(3, 0)}


@given(
    st.lists(
        st.lists(st.sampled_from([*LABELS, "unparsable", "failed"]), min_size=3, max_size=3),
        min_size=1, max_size=5,
    )
)  # fmt: skip
@example([["wrong", "wrong", "failed"]])
@settings(max_examples=20, deadline=None)
def test_in_is_out_and_dropped_also_where_nothing_is_left(verdicts):
    found = curve(judged(**{f"i{i}": said for i, said in enumerate(verdicts)}))
    failed = sum("failed" in said for said in verdicts)
    assert set(found.select("images", "dropped").rows()) == {(len(verdicts) - failed, failed)}
    assert found["k"].to_list() == [1, 2, 3]
    if failed == len(verdicts):
        assert found["correctness"].null_count() == found.height
    else:
        assert found["correctness"].null_count() == 0


def test_more_samples_are_never_worse_and_intervals_hold_the_value():
    rng = np.random.default_rng(0)
    rows = judged(**{f"i{i:03}": [str(v) for v in rng.choice(LABELS, 8)] for i in range(60)})
    found = curve(rows)
    assert found["k"].to_list() == list(range(1, 9))
    assert found["correctness"].is_sorted()
    for metric in METRICS:
        assert found.select(
            pl.col(metric).is_between(pl.col(f"{metric}_low"), pl.col(f"{metric}_high")).all()
        ).item()


def test_the_mean_over_datasets_is_of_their_metrics_and_single_samples_have_no_curve():
    two = pl.concat(
        [ROWS, ROWS.filter(pl.col("sample_id") != "b").with_columns(dataset=pl.lit("e"))]
    )
    single = ROWS.filter(rollout=0).with_columns(run=pl.lit("greedy"))
    areas = [Area("dataset", name, [name]) for name in "de"] + [Area("group", "g", ["d", "e"])]
    found = curves(pl.concat([two, single]).lazy(), areas, SPECIFICITY_WEIGHTS)
    assert found.columns == list(COLUMNS) and found["run"].unique().to_list() == ["r"]
    hm = {name: found.filter(name=name, k=2)["hm"].item() for name in "deg"}
    assert hm["g"] == pytest.approx((hm["d"] + hm["e"]) / 2)
    assert curves(single.lazy(), areas, SPECIFICITY_WEIGHTS).columns == list(COLUMNS)
