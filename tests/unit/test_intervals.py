"""Bootstrap intervals: by hand where they can be worked out, and again in SQL."""

import duckdb
import numpy as np
import polars as pl
import pytest

from speciarl.evaluation.intervals import (
    BLOCK,
    LEVEL,
    REPLICATES,
    SEED,
    Replicates,
    by_image,
    compared,
    drawn_sums,
    interval,
    seed_weights,
)
from speciarl.evaluation.scores import areas_of, best_of_all, differences, score
from speciarl.verdicts import SPECIFICITY_WEIGHTS, Verdict

LADDER = [v.value for v in Verdict]


def best(*cells):
    """Best verdicts of cells (run, seed, dataset, verdicts); "failed" and None have none."""
    rows = [
        (run, seed, dataset, f"{i:03}", v if v in LADDER else None,
         "failed" if v == "failed" else "taxonomy")
        for run, seed, dataset, verdicts in cells
        for i, v in enumerate(verdicts)
    ]  # fmt: skip
    names = ["run", "seed", "dataset", "sample_id", "verdict", "decided_by"]
    return pl.DataFrame(rows, names, orient="row", infer_schema_length=None)


def replicated(*cells, **settings):
    datasets = list(dict.fromkeys(dataset for _, _, dataset, _ in cells))
    return Replicates(best(*cells), datasets, SPECIFICITY_WEIGHTS, **settings)


def test_images_all_alike_leave_no_doubt():
    found = replicated(("r", 0, "d", ["less specific"] * 50)).of("r", ["d"])
    assert {metric: interval(values[1:]) for metric, values in found.items()} == {
        "correctness": (1.0, 1.0),
        "specificity": (pytest.approx(0.6), pytest.approx(0.6)),
        "hm": (pytest.approx(0.75), pytest.approx(0.75)),
    }


def test_two_images_are_drawn_as_two_coins_are_thrown():
    found = replicated(("r", 0, "d", ["specific", "wrong"]), replicates=4000).of("r", ["d"])
    shares = found["correctness"]
    assert shares.shape == (4001,) and shares[0] == 0.5
    drawn = {share: float(np.mean(shares[1:] == share)) for share in (0.0, 0.5, 1.0)}
    assert drawn == {0.0: pytest.approx(0.25, abs=0.03), 0.5: pytest.approx(0.5, abs=0.03),
                     1.0: pytest.approx(0.25, abs=0.03)}  # fmt: skip
    assert interval(shares[1:]) == (0.0, 1.0)
    assert interval(found["hm"][1:]) == (None, None)  # undefined where the wrong one comes twice


def test_an_interval_of_shares_is_the_binomial_one():
    verdicts = ["specific"] * 80 + ["wrong"] * 20
    low, high = interval(replicated(("r", 0, "d", verdicts)).of("r", ["d"])["correctness"][1:])
    assert (low, high) == (pytest.approx(0.72, abs=0.011), pytest.approx(0.87, abs=0.011))


def test_the_interval_has_two_and_a_half_percent_on_either_side():
    assert interval(np.arange(1001.0)) == (25.0, 975.0)
    assert interval(np.array([0.5, np.nan])) == (None, None)


def test_what_is_undefined_in_the_sample_is_so_in_every_replicate():
    found = replicated(("r", 0, "d", ["wrong", "abstain", None]), replicates=10).of("r", ["d"])
    assert (found["correctness"] == 0).all()
    assert np.isnan(found["specificity"]).all() and np.isnan(found["hm"]).all()
    failed = replicated(("r", 0, "d", ["failed", "failed"]), replicates=10).of("r", ["d"])
    assert all(np.isnan(values).all() for values in failed.values())


def test_an_image_that_the_judge_failed_on_is_not_counted():
    found = replicated(("r", 0, "d", ["specific"] * 30 + ["failed"] * 30), replicates=50)
    assert (found.of("r", ["d"])["correctness"] == 1).all()


def test_seeds_are_pooled_on_the_same_draw_of_images():
    one, other = ["specific"] * 10 + ["wrong"] * 10, ["wrong"] * 10 + ["specific"] * 10
    cells = ("r", 1, "d", one), ("r", 2, "d", other), ("s", 1, "d", one)
    found = replicated(*cells)
    shares = found.scores["d"][0]
    # What one seed lacks the other has, on the same images.
    assert shares[:, 0] + shares[:, 1] == pytest.approx(np.full(REPLICATES + 1, 1.0))
    assert (shares[:, 0] == shares[:, 2]).all() and shares[:, 0].std() > 0.05
    assert found.of("r", ["d"])["correctness"][0] == 0.5
    assert (found.of("s", ["d"])["correctness"] == shares[:, 2]).all()  # a single seed is not drawn


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_mean_of_the_drawn_seeds_varies_as_that_of_all(seeds):
    """Images all alike leave the variance between seeds alone: s squared / n."""
    rights = np.linspace(0.2, 0.8, seeds)
    cells = [("r", i, "d", ["specific"]) for i in range(seeds)]
    found = replicated(*cells, replicates=20_000)
    found.scores["d"][:] = rights  # the score of each seed, whatever the images
    shares = found.of("r", ["d"])["correctness"]
    assert shares[0] == pytest.approx(rights.mean())
    assert shares[1:].mean() == pytest.approx(rights.mean(), abs=0.005)
    assert shares[1:].var() == pytest.approx(rights.var(ddof=1) / seeds, rel=0.05)


def test_seeds_of_two_runs_are_drawn_apart_whatever_else_is_scored():
    drawn = {run: seed_weights(run, 3, 500) for run in ("r", "s")}
    assert (drawn["r"] == seed_weights("r", 3, 500)).all()
    assert abs(np.corrcoef(drawn["r"][1:, 0], drawn["s"][1:, 0])[0, 1]) < 0.15
    for weights in drawn.values():
        assert weights.sum(axis=1) == pytest.approx(np.ones(501))
        assert (weights[0] == 1 / 3).all() and set(weights[1:].ravel()) == {0.0, 0.5, 1.0}


def test_what_a_difference_and_its_p_are_by_hand():
    draws = np.array([[0.3, *[0.1] * 97, -0.1, -0.2, 0.0], [0.0] * 101, [np.nan] * 101,
                      [1.0, *[1.0] * 100]])  # fmt: skip
    found = compared(draws)
    assert found["difference"] == pytest.approx([0.3, 0.0, np.nan, 1.0], nan_ok=True)
    assert found["p"] == pytest.approx([2 * 4 / 101, 1.0, np.nan, 2 / 101], nan_ok=True)
    assert found["low"][0] == pytest.approx(np.quantile(draws[0, 1:], 0.025))


def test_differences_in_several_tables_are_compared_one_by_one():
    drawn = np.random.default_rng(0).normal(0.5, 1, (2, 3, 101))
    found = compared(drawn)
    for place in np.ndindex(2, 3):
        alone = compared(drawn[place])
        assert {name: values[place] for name, values in found.items()} == alone


def test_datasets_are_drawn_apart_and_weigh_alike():
    small, large = ["specific", "wrong"] * 5, ["specific"] * 90 + ["wrong"] * 10
    found = replicated(("r", 0, "a", small), ("r", 0, "b", large))
    means = found.of("r", ["a", "b"])["correctness"]
    parts = [found.of("r", [name])["correctness"] for name in ("a", "b")]
    assert means[0] == pytest.approx(0.7)
    assert means == pytest.approx((parts[0] + parts[1]) / 2)
    assert abs(np.corrcoef(parts[0][1:], parts[1][1:])[0, 1]) < 0.1


def test_the_same_rows_give_the_same_replicates_in_whatever_order():
    rows = best(*(("r", seed, "d", ["specific", "wrong", "generic"] * 5) for seed in (1, 2)))
    first, second = (
        Replicates(given, ["d"], SPECIFICITY_WEIGHTS).of("r", ["d"])["correctness"]
        for given in (rows, rows.sample(fraction=1, shuffle=True, seed=0))
    )
    assert np.array_equal(first, second)
    assert len(np.unique(first[1:])) > 10
    assert not np.array_equal(first[1 : BLOCK + 1], first[BLOCK + 1 : 2 * BLOCK + 1])


def test_replicates_that_are_no_whole_number_of_blocks():
    found = replicated(("r", 0, "d", ["wrong"]), replicates=BLOCK + 7)
    assert found.of("r", ["d"])["correctness"].shape == (BLOCK + 8,)


def test_of_no_images_the_sums_are_zero_and_the_scores_undefined():
    sums = drawn_sums(np.ones((0, 2, 3)), "d", 5)
    assert sums.shape == (6, 2, 3) and not sums.any()
    assert by_image(np.ones((0, 3)), 2).shape == (0, 2, 3)
    assert by_image(np.ones((0, 3)), 0).shape == (0, 0, 3)
    with np.errstate(invalid="raise"):  # undefined is nothing to warn of
        found = replicated(("r", 0, "d", []), ("r", 0, "e", ["wrong"])).of("r", ["d"])
    assert all(np.isnan(values).all() for values in found.values())


# The whole table again, in SQL, from the judged rows and a table of the draws.

GROUPS = {"in-domain": ["birds"], "far": ["planes", "cars"]}
IMAGES = {"birds": 30, "planes": 40, "cars": 25}
RUNS = {"greedy": ([42, 7], 1), "sampled": ([42], 3)}
QUERY = """
WITH best AS (
    SELECT run, seed, dataset, sample_id, max(w) AS w,
           bool_and(decided_by = 'failed') AS failed,
           row_number() OVER (PARTITION BY run, seed, dataset ORDER BY sample_id) AS place
    FROM (FROM judged LEFT JOIN weights USING (verdict))
    GROUP BY run, seed, dataset, sample_id
), by_dataset AS (
    SELECT run, seed, dataset, replicate,
           sum(times) FILTER (w IS NOT NULL) / sum(times) FILTER (NOT failed) AS correctness,
           sum(times * w) / sum(times) FILTER (w IS NOT NULL) AS specificity,
           2 * correctness * specificity / (correctness + specificity) AS hm
    FROM best JOIN draws USING (dataset, place) GROUP BY ALL
), by_area AS (
    SELECT run, seed, level, name, replicate, avg(hm) AS hm
    FROM by_dataset JOIN areas USING (dataset) GROUP BY ALL
), pooled AS (
    SELECT run, level, name, replicate, sum(hm * weight) AS hm, stddev_samp(hm) AS spread
    FROM by_area JOIN seeds USING (run, seed, replicate) GROUP BY ALL
)
"""
SCORES = """
SELECT run, level, name,
       any_value(hm) FILTER (replicate = 0), any_value(spread) FILTER (replicate = 0),
       quantile_cont(hm, 0.025) FILTER (replicate > 0),
       quantile_cont(hm, 0.975) FILTER (replicate > 0)
FROM pooled GROUP BY ALL ORDER BY ALL
"""
DIFFERENCES = """
SELECT level, name, any_value(one.hm - other.hm) FILTER (replicate = 0),
       quantile_cont(one.hm - other.hm, 0.025) FILTER (replicate > 0),
       quantile_cont(one.hm - other.hm, 0.975) FILTER (replicate > 0),
       least(1, 2 * least(count(*) FILTER (replicate > 0 AND one.hm <= other.hm) + 1,
                          count(*) FILTER (replicate > 0 AND one.hm >= other.hm) + 1) / count(*))
FROM pooled AS one JOIN pooled AS other USING (level, name, replicate)
WHERE one.run = 'greedy' AND other.run = 'sampled' GROUP BY ALL ORDER BY ALL
"""


def judged_rows():
    dice = np.random.default_rng(4)
    for run, (seeds, rollouts) in RUNS.items():
        for seed in seeds:
            for dataset, images in IMAGES.items():
                for place in range(images):
                    for rollout in range(rollouts):
                        verdict = dice.choice([*LADDER, *LADDER[2:5], "failed", "unparsable"])
                        known = verdict in LADDER
                        yield (run, seed, dataset, f"{dataset}/{place}", rollout,
                               str(verdict) if known else None,
                               "taxonomy" if known else str(verdict))  # fmt: skip


def drawn():
    """How often each replicate draws each image (by its place, from 1), as numpy draws them."""
    for dataset, images in IMAGES.items():
        rng = np.random.default_rng([SEED, 0, *dataset.encode()])
        drawn = rng.integers(images, size=(REPLICATES, images), dtype=np.int32)
        times = (drawn[:, :, None] == np.arange(images)).sum(axis=1)
        times = np.concatenate([np.ones((1, images), int), times])
        replicate, place = np.indices(times.shape)
        columns = {"replicate": replicate, "place": place + 1, "times": times}
        yield pl.DataFrame({k: v.ravel() for k, v in columns.items()}).with_columns(
            dataset=pl.lit(dataset)
        )


def drawn_seeds():
    """The share of each seed in the mean of a run, by replicate, as numpy draws them."""
    for run, (seeds, _) in RUNS.items():
        n, rng = len(seeds), np.random.default_rng([SEED, *run.encode()])
        drawn = rng.multinomial(n - 1, np.full(n, 1 / n), REPLICATES) / (n - 1) if n > 1 else None
        for place, seed in enumerate(sorted(seeds)):
            shares = np.ones(REPLICATES) if drawn is None else drawn[:, place]
            yield pl.DataFrame({"run": run, "seed": seed, "replicate": range(REPLICATES + 1),
                                "weight": [1 / n, *shares]})  # fmt: skip


def test_scores_spreads_intervals_and_differences_again_in_sql():
    names = ["run", "seed", "dataset", "sample_id", "rollout", "verdict", "decided_by"]
    rows = pl.DataFrame(list(judged_rows()), names, orient="row", infer_schema_length=None)
    rows = rows.with_columns(several_tagged=pl.lit(False))
    areas = areas_of(GROUPS, ["planes", "cars"])
    found = best_of_all(rows, list(RUNS), list(IMAGES))
    replicates = Replicates(found, list(IMAGES), SPECIFICITY_WEIGHTS)
    weights = {"generic": 0.2, "less specific": 0.6, "specific": 1.0, "more specific": 1.0}
    with duckdb.connect() as db:
        for name, frame in {
            "judged": rows,
            "weights": pl.DataFrame({"verdict": list(weights), "w": list(weights.values())}),
            "draws": pl.concat(drawn()),
            "seeds": pl.concat(drawn_seeds()),
            "areas": pl.DataFrame(
                [(a.level, a.name, dataset) for a in areas for dataset in a.datasets],
                ["level", "name", "dataset"], orient="row",
            ),
        }.items():  # fmt: skip
            db.register(name, frame)
        scores, between = (db.execute(QUERY + last).fetchall() for last in (SCORES, DIFFERENCES))
    table = score(found, replicates, areas, SPECIFICITY_WEIGHTS).filter(pl.col("seed").is_null())
    columns = ["run", "level", "name", "hm", "hm_spread", "hm_low", "hm_high"]
    same = table.select(columns).sort("run", "level", "name").rows()
    assert len(same) == 12 and all(row[3] is not None for row in same)
    assert same == [pytest.approx(row) for row in scores]
    computed = differences(list(RUNS), replicates, areas).drop("run", "other").sort("level", "name")
    assert computed.height == 6
    assert computed.rows() == [pytest.approx(row) for row in between]
    assert LEVEL == (0.025, 0.975)
