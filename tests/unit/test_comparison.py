"""Two runs on the same images, and the command that prints them."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from speciarl.cli.main import app
from speciarl.errors import ConfigError, DataError
from speciarl.evaluation.comparison import paired_table, telling_images
from speciarl.evaluation.intervals import Replicates
from speciarl.evaluation.scores import areas_of, best_of_all, differences
from speciarl.verdicts import LABELS, SPECIFICITY_WEIGHTS

ROOT = Path(__file__).parents[2]
RUNS = ["one", "other"]
NAMES = ["run", "seed", "dataset", "sample_id", "class_name", "rollout", "prediction", "verdict",
         "decided_by", "several_tagged"]  # fmt: skip


def judged(*cells):
    """Rows of cells (run, seed, dataset, verdicts by image); a class for every two images."""
    rows = [
        (run, seed, dataset, f"{dataset}/{i:02}", f"class {i // 2}", 0, f"{run} said",
         verdict if verdict in LABELS else None,
         "taxonomy" if verdict in LABELS else verdict or "unparsable", False)
        for run, seed, dataset, verdicts in cells
        for i, verdict in enumerate(verdicts)
    ]  # fmt: skip
    return pl.DataFrame(rows, NAMES, orient="row", infer_schema_length=None)


def told(rows, number=10):
    datasets = rows["dataset"].unique(maintain_order=True).to_list()
    best = best_of_all(rows, RUNS, datasets)
    return telling_images(rows.lazy(), best, RUNS, number)


def test_the_paired_table_is_that_of_the_score_stage():
    first = ["specific", "generic", "wrong", "less specific"] * 5
    second = ["generic", "generic", "specific", "wrong"] * 5
    rows = judged(
        ("one", 1, "a", first), ("one", 2, "a", second[::-1]), ("other", 1, "a", second),
        ("one", 1, "b", second), ("one", 2, "b", first), ("other", 1, "b", first),
    )  # fmt: skip
    areas = areas_of({"g": ["a", "b"]}, [])
    best = best_of_all(rows, RUNS, ["a", "b"])
    found = paired_table(best, RUNS, areas, SPECIFICITY_WEIGHTS)
    assert found.select("name", "metric").rows() == [
        (name, metric) for name in "abg" for metric in ("correctness", "specificity", "hm")
    ]
    assert found.select((pl.col("one") - pl.col("other") - pl.col("difference")).abs().max()
                        ).item() < 1e-12  # fmt: skip
    replicates = Replicates(best, ["a", "b"], SPECIFICITY_WEIGHTS)
    beside = differences(RUNS, replicates, areas).select("name", "difference", "low", "high", "p")
    assert found.filter(metric="hm").select(beside.columns).equals(beside)


def test_images_are_those_with_the_most_steps_between_the_runs_half_in_each_direction():
    good, bad = "more specific", "wrong"
    rows = judged(
        ("one", 1, "a", [good, good, good, good, bad, "generic", good, None]),
        ("other", 1, "a", [bad, bad, "generic", bad, "less specific", "generic", "failed", bad]),
        ("one", 1, "b", [good, bad]), ("other", 1, "b", [bad, "abstain"]),
    )  # fmt: skip
    shown = told(rows)
    # Equal ones by turns: of each dataset, and within it of each class.
    assert shown.select("sample_id", "steps").rows() == [
        ("a/00", 5.0), ("b/00", 5.0), ("a/03", 5.0), ("a/01", 5.0), ("a/02", 3.0),
        ("a/04", -3.0), ("a/07", -1.0), ("b/01", -1.0),
    ]  # fmt: skip
    first = shown.row(0, named=True)
    assert first["one"] == "one said (more specific)" and first["other"] == "other said (wrong)"
    assert shown["one"][6] == "(unparsable)"
    assert told(rows, 4)["steps"].to_list() == [5.0, 5.0, -3.0, -1.0]
    assert told(rows, 7)["steps"].to_list() == [5.0, 5.0, 5.0, 5.0, -3.0, -1.0, -1.0]


def test_steps_are_means_over_seeds_and_the_seed_in_the_middle_speaks():
    rows = judged(("one", 1, "a", ["wrong"]), ("one", 2, "a", ["specific"]),
                  ("one", 3, "a", ["generic"]), ("other", 9, "a", ["wrong"]))  # fmt: skip
    assert told(rows).rows() == [
        ("a", "a/00", "class 0", 2.0, "one said (generic)", "other said (wrong)")
    ]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with what was judged of two runs on every dataset of params.yaml."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data/manifests").mkdir(parents=True)
    datasets = ["cub200", "flowers102", "food101", "oxford_pets", "stanford_cars", "fgvc_aircraft"]
    for run, verdicts in (("one", ["specific", "generic"]), ("other", ["wrong", "specific"])):
        (tmp_path / f"results/verdicts/{run}/1").mkdir(parents=True)
        for name in datasets:
            rows = judged((run, 1, name, verdicts)).drop("run")
            rows.with_columns(pl.col("verdict").cast(pl.Enum(LABELS))).write_parquet(
                tmp_path / f"results/verdicts/{run}/1/{name}.parquet"
            )
            rows.select("sample_id", "dataset", image=f"raw/{name}/" + pl.col("sample_id")
                        ).write_parquet(tmp_path / f"data/manifests/{name}.parquet")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def printed(*arguments):
    done = CliRunner().invoke(app, ["compare", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_command_prints_both_tables(results):
    text = printed("one", "other")
    assert "unseen datasets" in text and "fine-grained" in text
    assert text.count("raw/") == 10
    alone = printed("one", "other", "--dataset", "food101")
    assert "cub200" not in alone and "fine-grained" not in alone
    lines = [line.split() for line in alone.splitlines() if "raw/food101" in line]
    assert [line[1] for line in lines] == ["raw/food101/food101/00",
                                           "raw/food101/food101/01"]  # fmt: skip
    shutil.copytree(results / "results/verdicts/one", results / "results/verdicts/same")
    assert "one and same have equal verdicts on every image" in printed("one", "same")


def test_images_and_what_does_not_count_are_counted(results):
    file = results / "results/verdicts/other/1/food101.parquet"
    rows = pl.read_parquet(file)
    first = pl.int_range(pl.len()) == 0
    rows.with_columns(
        verdict=pl.when(~first).then("verdict"),
        decided_by=pl.when(first).then(pl.lit("failed")).otherwise("decided_by"),
    ).write_parquet(file)
    line = "2 images; verdicts left out because the judge failed: one 0 of 2, other 1 of 2"
    assert line in printed("one", "other", "--dataset", "food101").splitlines()
    assert "12 images; verdicts left out" in printed("one", "other")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (
            ["one", "two"],
            DataError,
            "two has no verdicts in results/verdicts, which has one, other",
        ),
        (["one", "one"], DataError, "one and itself do not differ"),
        (["one", "other", "--dataset", "x"], ConfigError, "--dataset: 'x' is not one of cub200, "),
    ],
)
def test_what_cannot_be_compared_is_one_line(results, arguments, kind, said):
    with pytest.raises(kind, match=said):
        printed(*arguments)
