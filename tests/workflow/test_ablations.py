"""Rows that are like another, from their training to the table of what they differ by.

Together they have every kind of difference that the rows of the paper have.
"""

import polars as pl
import pytest

from speciarl.prompts import FOR_THE_JUDGES, load_from
from tests.fake_judge import says, serving
from tests.workflow.conftest import SMALL
from tests.workflow.test_reruns import of_dvc, of_snakemake

pytestmark = [pytest.mark.chain, pytest.mark.long]

MODEL = {"kind": "server", "name": "judge", "revision": "1", "prompt": "checklist"}
DAPO = {"loss_type": "dapo", "epsilon_high": 0.28, "delta": 10.0, "beta": 0.0}


def short(grpo=None, **row):
    return {"like": "speciarl", "seeds": [42], "grpo": {"steps": 1} | (grpo or {}), **row}


def rows(url):
    judged = {"backend": "llm", "model": MODEL, "server": {"base_url": url}}
    return SMALL["runs"] | {
        "dapo": short(DAPO),
        "noisy": short(reward="graded-1", noise=0.25),
        "wider": short(num_generations=8),
        "mixed": short(training_set="mixed", prompt="be_specific"),
        "judged": short(verifier=judged),
        "asked": {"like": "zero_shot", "prompt": "calibrated"},
    }


DIFFERS = {
    "dapo": "grpo.loss_type: dapo, grpo.epsilon_high: 0.28, grpo.delta: 10.0, grpo.beta: 0.0",
    "noisy": "reward: graded-1, noise: 0.25",
    "wider": "num_generations: 8",
    "mixed": "prompt: be_specific, training_set: mixed",
    "judged": "verifier.backend: llm, verifier.model: {",
    "asked": "prompt: calibrated",
}


@pytest.fixture(scope="module")
def ablated(finished, tmp_path_factory):
    """The project with the table of these rows, and what the language model was asked."""
    project = finished.copy(tmp_path_factory.mktemp("ablated") / "project")
    sets = {"mixed": {"datasets": ["cub200", "flowers102"], "size": 24}}
    with serving(lambda request: says("less specific")) as judge:
        project.change(runs=rows(judge.url), training_sets=SMALL["training_sets"] | sets)
        project.snakemake("ablations")
        project.asked = list(judge.requests)
    return project


def test_each_row_is_trained_judged_and_held_against_the_one_that_it_is_like(ablated):
    table = pl.read_csv(ablated.folder / "results/ablations.csv")
    assert table.select("run", "name").rows() == [
        (run, group) for run in DIFFERS for group in (*SMALL["groups"], "custom datasets")
    ]
    for row in table.iter_rows(named=True):
        assert row["like"] == ("zero_shot" if row["run"] == "asked" else "speciarl")
        assert DIFFERS[row["run"]] in row["differs"]
    for run in DIFFERS:
        files = [*(ablated.folder / f"results/verdicts/{run}").glob("*/*.parquet")]
        assert sorted(file.stem for file in files) == ["cub200", "flowers102", "garden"]
        judged = pl.concat(map(pl.read_parquet, files))
        undecided = judged.filter(pl.col("verdict").is_null())["decided_by"].unique().to_list()
        assert undecided in ([], ["unparsable"])


def test_only_the_row_with_a_language_model_asks_it_with_its_own_prompt(ablated):
    said = load_from(FOR_THE_JUDGES, MODEL["prompt"])
    assert ablated.asked
    assert {request.body["messages"][0]["content"] for request in ablated.asked} == {said}
    used = pl.read_parquet(ablated.folder / "results/training/judged/verdicts.parquet")
    by_model = used.filter(~pl.col("decided_by").is_in(["rules", "taxonomy", "undecided"]))
    assert by_model.height == len(ablated.asked)


def test_the_report_tables_them_and_its_main_table_has_the_others(ablated):
    ablated.snakemake("results/report.html")
    page = (ablated.folder / "results/report.html").read_text()
    assert "One thing changed" in page and "num_generations: 8" in page
    main = pl.read_csv(ablated.folder / "results/tables/main.csv")
    assert main["run"].to_list() == [*SMALL["runs"]]


def test_a_change_of_one_row_s_verifier_is_seen_for_that_row_alone(ablated, tmp_path):
    project = ablated.copy(tmp_path / "copy")
    project.snakemake("all")  # with the record of the new rows
    changed = rows("http://127.0.0.1:9/v1")
    project.change(runs=changed)
    assert of_snakemake(project) == {"report"}  # an address is no reason to train again

    changed["judged"]["verifier"]["model"] = MODEL | {"prompt": "base"}
    project.change(runs=changed)
    again = {f"{stage}@judged" for stage in ("train", "predict", "judge")}
    assert of_snakemake(project) == again | {"score", "report"}
    assert of_dvc(project) == {"train@judged", "report"}
