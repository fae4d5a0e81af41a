"""What whole runs say together: leads over seeds and base policies, luck, and restraint."""

import tarfile

import polars as pl
import pytest

from speciarl.config import Run
from speciarl.config.data import Miniature
from speciarl.datasets.miniature import ambiguous
from speciarl.datasets.miniature.ambiguous import ambiguous_samples
from speciarl.datasets.miniature.mirror import _is_ambiguous, render_mirror
from speciarl.evaluation.scores import UNSEEN
from speciarl.evaluation.studies import (
    ablations,
    lucky_share,
    robustness,
    rollouts,
    wrong_where_ambiguous,
)
from speciarl.report.rollouts import COLUMNS

SCORES = pl.DataFrame(
    [
        ("ours", None, "overall", UNSEEN, 0.86, 0.85, 0.87, 0.01),
        ("ours", 1, "overall", UNSEEN, 0.87, None, None, None),
        ("ours", 2, "overall", UNSEEN, 0.85, None, None, None),
        ("other", None, "overall", UNSEEN, 0.80, 0.79, 0.81, None),
        ("other", 1, "overall", UNSEEN, 0.80, None, None, None),
        ("ours", None, "dataset", "birds", 0.9, 0.8, 1.0, 0.0),
        ("other", None, "dataset", "birds", 0.7, 0.6, 0.8, 0.0),
    ],
    schema=["run", "seed", "level", "name", "hm", "hm_low", "hm_high", "hm_spread"],
    orient="row",
).with_columns(wrong=77, samples=100, failed=pl.when(level="dataset").then(3).otherwise(5))


@pytest.mark.parametrize("turned", [False, True])
def test_how_far_the_method_is_ahead_whichever_run_is_named_first(turned):
    pair = ("other", "ours", -0.06, -0.08, -0.04) if turned else ("ours", "other", 0.06, 0.04, 0.08)
    differences = pl.DataFrame(
        [(*pair[:2], "overall", UNSEEN, *pair[2:]), (*pair[:2], "dataset", "birds", 0.2, 0.1, 0.3)],
        schema=["run", "other", "level", "name", "difference", "low", "high"],
        orient="row",
    )
    wrong = pl.DataFrame({"run": ["other", "ours"], "wrong": [0.5, 0.1]})
    found = robustness(7, SCORES, differences, wrong, "ours")
    assert found.to_dicts() == [
        {
            "base_seed": 7, "run": "ours", "samples": 100, "failed": 5,
            "hm": 0.86, "hm_low": 0.85, "hm_high": 0.87,
            "hm_spread": 0.01, "ahead": None, "ahead_low": None, "ahead_high": None,
            "least_ahead": pytest.approx(-0.01), "wrong_ambiguous": 0.1,
        },
        {
            "base_seed": 7, "run": "other", "samples": 100, "failed": 5,
            "hm": 0.8, "hm_low": 0.79, "hm_high": 0.81,
            "hm_spread": None, "ahead": 0.06, "ahead_low": 0.04, "ahead_high": 0.08,
            "least_ahead": pytest.approx(0.05), "wrong_ambiguous": 0.5,
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tries", "classes", "share"), [(1, 8, 1 / 8), (2, 2, 3 / 4), (3, 4, 37 / 64), (5, 1, 1.0)]
)
def test_luck_by_counting(tries, classes, share):
    assert lucky_share(tries, classes) == pytest.approx(share)


def test_the_table_of_rollouts_has_the_columns_of_the_report():
    wrong = pl.DataFrame({"run": ["other", "ours"], "wrong": [0.5, 0.1]})
    found = rollouts(4, {"ours": 3, "other": 15}, SCORES, wrong, "birds")
    assert set(found.columns) == set(COLUMNS)
    assert found.row(0, named=True) == {
        "classes_per_group": 4, "num_generations": 3, "seeds": 2,
        "lucky_share": pytest.approx(37 / 64),
        "in_samples": 100, "in_failed": 3, "in_hm": 0.9, "in_hm_low": 0.8, "in_hm_high": 1.0,
        "out_samples": 100, "out_failed": 5,
        "out_hm": 0.86, "out_hm_low": 0.85, "out_hm_high": 0.87,
        "out_wrong_ambiguous": 0.1,
    }  # fmt: skip
    assert found["num_generations"].to_list() == [3, 15]


def test_ablations_are_held_against_the_run_that_they_are_like():
    names = ["run", "seed", "level", "name", "samples", "failed", "hm", "hm_low", "hm_high"]
    rows = [
        (run, seed, "group", group, 40, 4, hm, hm - 0.1, hm + 0.1)
        for run, hm in (("ours", 0.9), ("noisy", 0.7), ("longer", 0.8))
        for group in ("near", "far")
        for seed in (None, 1, 2)
    ]
    scores = pl.DataFrame(rows, names, orient="row")
    differences = pl.DataFrame(
        [
            ("ours", "noisy", "group", "near", 0.2, 0.1, 0.3),
            ("ours", "noisy", "group", "far", None, None, None),
            ("longer", "noisy", "group", "near", 0.1, -0.1, 0.2),
            ("longer", "noisy", "group", "far", 0.1, 0.05, 0.2),
            ("ours", "noisy", "overall", UNSEEN, 0.3, 0.2, 0.4),
        ],
        ["run", "other", "level", "name", "difference", "low", "high"],
        orient="row",
    )
    runs = {
        "ours": Run(method="grpo"),
        "noisy": Run(method="grpo", like="ours", noise=0.25),
        "longer": Run(method="grpo", like="noisy", noise=0.25, grpo={"steps": 9, "beta": 0.0}),
    }
    found = ablations({name: run.model_dump() for name, run in runs.items()}, scores, differences)
    assert found.select(
        "run", "like", "differs", "name", "seeds", "samples", "failed", "hm", "difference", "low"
    ).rows() == [
        ("noisy", "ours", "noise: 0.25", "near", 2, 40, 4, 0.7, -0.2, -0.3),
        ("noisy", "ours", "noise: 0.25", "far", 2, 40, 4, 0.7, None, None),
        ("longer", "noisy", "grpo.steps: 9, grpo.beta: 0.0", "near", 2, 40, 4, 0.8, 0.1, -0.1),
        ("longer", "noisy", "grpo.steps: 9, grpo.beta: 0.0", "far", 2, 40, 4, 0.8, 0.1, 0.05),
    ]
    assert found.columns[-4:] == ["hm_high", "difference", "low", "high"]


def test_wrong_predictions_are_counted_where_nothing_tells_the_class(monkeypatch, tmp_path):
    """By dataset and seed, then their mean: a large dataset says no more than a small one."""
    hidden = pl.DataFrame({"sample_id": ["a1", "a2", "b1", "b2", "c1"]})
    monkeypatch.setattr("speciarl.evaluation.studies.ambiguous_samples", lambda folder: hidden)
    said = {
        ("r", 1, "a"): [("a1", 0, "wrong"), ("a2", 0, "generic"), ("a3", 0, "wrong")],
        ("r", 1, "b"): [("b1", 0, None), ("b2", 0, "failed")],
        ("r", 2, "a"): [("a1", 0, "wrong"), ("a2", 0, "wrong"), ("a3", 0, "wrong")],
        ("r", 2, "b"): [("b1", 0, "wrong"), ("b2", 0, "failed")],
        ("best", 1, "a"): [("a1", 0, "wrong"), ("a1", 1, "specific"), ("a2", 0, "wrong")],
        ("best", 1, "c"): [("c1", 0, "wrong")],
    }
    for (run, seed, dataset), rows in said.items():
        path = tmp_path / f"results/verdicts/{run}/{seed}/{dataset}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            (
                dataset,
                seed,
                sample,
                rollout,
                None if said == "failed" else said,
                said or "unparsable",
            )
            for sample, rollout, said in rows
        ]
        names = ["dataset", "seed", "sample_id", "rollout", "verdict", "decided_by"]
        pl.DataFrame(rows, names, orient="row").write_parquet(path)
    found = wrong_where_ambiguous(tmp_path, ["a", "b"])
    assert dict(found.rows()) == {"r": (0.5 + 0.0 + 1.0 + 1.0) / 4, "best": 0.5}


def test_the_renderer_notes_which_images_are_ambiguous(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = Miniature(train_per_class=1, test_per_class=4, image_size=28)
    render_mirror("oxford_pets", tmp_path / "mirror", few)
    with tarfile.open(tmp_path / "mirror/images.tar.gz") as tar:
        shown = {m.name: tar.extractfile(m).read() for m in tar if "_600" in m.name}
    monkeypatch.setattr(ambiguous, "image_bytes", lambda reference, folder: shown[reference])
    (tmp_path / "data/manifests").mkdir(parents=True)
    pl.DataFrame({"sample_id": [*shown], "image": [*shown], "split": "test"}).write_parquet(
        tmp_path / "data/manifests/oxford_pets.parquet"
    )
    expected = [name for name in shown if _is_ambiguous(int(name[-8:-4]) - 6001, 0.5)]
    assert len(shown) == 2 * len(expected)
    assert ambiguous_samples(tmp_path)["sample_id"].to_list() == expected
