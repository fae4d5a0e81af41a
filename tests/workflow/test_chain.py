"""The whole pipeline at its smallest: what it makes, what a second start does, what DVC sees."""

import hashlib
import json
import shutil
import time

import duckdb
import polars as pl
import psutil
import pytest

from speciarl.cache.queries import predictions
from speciarl.cache.reading import ask
from speciarl.verdicts import COUNTS, LABELS
from tests.workflow.conftest import SMALL, STUDIES

pytestmark = pytest.mark.chain

RUNS = list(SMALL["runs"])
DATASETS = [name for kind in SMALL["datasets"].values() for name in kind]


def artifacts(project):
    """Hash of every parquet, CSV and JSON artifact; what is looked at meanwhile tells the time."""
    return {
        str(path.relative_to(project.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("data", "models", "results")
        for path in sorted((project.folder / folder).rglob("*"))
        if path.suffix in {".parquet", ".csv", ".json"} and "live" not in path.parts
    }


def test_every_sample_is_accounted_for(finished):
    scores = pl.read_parquet(finished.folder / "results/scores.parquet")
    datasets = scores.filter(pl.col("seed").is_null(), level="dataset")
    assert datasets["run"].unique(maintain_order=True).to_list() == RUNS
    assert datasets["name"].unique(maintain_order=True).to_list() == DATASETS
    for run in RUNS:
        for name in DATASETS:
            manifest = pl.read_parquet(finished.folder / f"data/manifests/{name}.parquet")
            samples = manifest.filter(split="test").height
            seeds = SMALL["runs"][run].get("seeds", [42])
            rows = scores.filter(run=run, name=name)
            assert rows["seed"].to_list() == [None, *sorted(seeds)]
            for row in rows.iter_rows(named=True):
                expected = samples if row["seed"] else samples * len(seeds)
                assert row["samples"] == expected > 0
                assert sum(row[c] for c in (*COUNTS, "unparsable", "failed")) == expected
            for seed in seeds:
                file = finished.folder / f"results/verdicts/{run}/{seed}/{name}.parquet"
                predictions = pl.read_parquet(file)
                assert predictions.height == samples * SMALL["runs"][run].get("best_of", 1)
                assert predictions["seed"].unique().to_list() == [seed]
    metrics = json.loads((finished.folder / "results/metrics.json").read_text())
    assert set(metrics) == set(RUNS)
    expected = {"correctness", "specificity", "hm", "hm_low", "hm_high"}
    assert set(metrics["speciarl"]["cub200"]) == expected


def test_training_counts_add_up(finished):
    rows = pl.read_parquet(finished.folder / "results/training/speciarl/metrics.parquet")
    steps = list(range(SMALL["grpo"]["steps"]))
    seeds = SMALL["runs"]["speciarl"]["seeds"]
    assert rows.select("seed", "step").rows() == [(seed, step) for seed in seeds for step in steps]
    completions = SMALL["grpo"]["prompts_per_step"] * SMALL["runs"]["speciarl"]["num_generations"]
    for row in rows.iter_rows(named=True):
        assert sum(row[c] for c in (*COUNTS, "unparsable", "failed")) == completions
        assert row["hits"] + row["misses"] + row["unparsable"] == completions
        assert row["failed"] == 0
        assert row["loss"] is not None and row["kl"] is not None
    used = pl.read_parquet(finished.folder / "results/training/speciarl/verdicts.parquet")
    assert used.height > 0
    assert used["verdict"].is_in(LABELS).all()


def test_the_store_answers_plain_sql(finished):
    with duckdb.connect(str(finished.folder / "data/verdicts/cache.duckdb"), read_only=True) as db:
        counts = dict(db.execute("SELECT verdict, count(*) FROM verdicts GROUP BY 1").fetchall())
        count = "SELECT count(step), count(*), min(asked <= misses) FROM lookups"
        (lookups,) = db.execute(count).fetchall()
    assert set(counts) <= set(LABELS)
    snapshot = pl.read_parquet(finished.folder / "data/verdicts/precomputed")
    assert sum(counts.values()) >= snapshot.height > 0
    trained = SMALL["grpo"]["steps"] * len(SMALL["runs"]["speciarl"]["seeds"])
    judged = len(list(finished.folder.glob("results/verdicts/*/*/*.parquet")))
    parts = trained + judged + len(DATASETS)
    assert lookups == (trained, parts, True), "training, evaluation, precomputation"


def test_sql_finds_the_correctness_of_the_scores(finished):
    scores = pl.read_parquet(finished.folder / "results/scores.parquet")
    scores = scores.filter(pl.col("seed").is_not_null(), level="dataset")
    places = ("data/verdicts/cache.duckdb", "results/verdicts", "data/manifests")
    query = """
        SELECT run, seed, dataset AS name, avg(correct::INT) AS correctness, count(image) AS samples
        FROM predictions GROUP BY ALL
    """
    with predictions(*(finished.folder / place for place in places)) as db:
        found = ask(db, query)
    single = [run for run in RUNS if SMALL["runs"][run].get("best_of", 1) == 1]
    both = scores.join(found, on=["run", "seed", "name"], suffix="_asked").filter(
        pl.col("run").is_in(single)
    )
    seeds = sum(len(SMALL["runs"][run].get("seeds", [42])) for run in single)
    assert both.height == seeds * len(DATASETS) > 0
    assert both["correctness"].to_list() == pytest.approx(both["correctness_asked"].to_list())
    assert (both["samples"] == both["samples_asked"]).all()


def test_the_report_stands_alone(finished):
    page = (finished.folder / "results/report.html").read_text()
    assert page.count("<svg") >= 3
    assert 'src="http' not in page and 'href="http' not in page
    for run in RUNS:
        assert run in page


def test_afterwards_nothing_is_left_to_do(finished):
    assert "Nothing to be done" in finished.snakemake("--dry-run", "all")
    assert "up to date" in finished.run("dvc", "status")


def test_one_name_per_stage(finished):
    logs = {path.name.removesuffix(".log") for path in (finished.folder / "logs").iterdir()}
    benchmarks = {
        path.name.removesuffix(".tsv") for path in (finished.folder / "benchmarks").iterdir()
    }
    scripts = {path.stem for path in (finished.folder / "workflow/scripts").glob("*.py")}
    assert logs == benchmarks | {"version"} == scripts - STUDIES


@pytest.mark.long
def test_twice_the_same_parameters_give_the_same_bytes(finished, repeated):
    first, second = artifacts(finished), artifacts(repeated)
    assert len(first) > 25
    assert first == second


@pytest.mark.long
def test_no_stage_needs_a_network(repeated):
    if repeated.interfaces is None:
        pytest.skip("network namespaces are not permitted on this machine")
    assert repeated.interfaces == ["lo"]
    assert (repeated.folder / "results/report.html").exists()


def test_a_dataset_of_one_s_own_is_trained_on_and_evaluated(finished):
    manifest = pl.read_parquet(finished.folder / "data/manifests/garden.parquet")
    assert manifest["class_name"].n_unique() == 3
    assert manifest.group_by("split").len().sort("split").rows() == [("test", 3), ("train", 12)]
    assert pl.read_parquet(finished.folder / "data/training/garden.parquet").height == 12
    trained = pl.read_parquet(finished.folder / "results/training/own/metrics.parquet")
    assert trained["loss"].drop_nulls().len() > 0
    scores = pl.read_parquet(finished.folder / "results/scores.parquet")
    scores = scores.filter(pl.col("seed").is_null())
    assert scores.filter(run="own", level="dataset", name="garden")["samples"].to_list() == [3]
    group = scores.filter(run="own", level="group", name="custom datasets")
    assert group["samples"].to_list() == [3]


@pytest.mark.long
def test_a_seed_trains_the_same_whichever_was_trained_before(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    project.change(runs={**SMALL["runs"], "speciarl": {**SMALL["runs"]["speciarl"], "seeds": [7]}})
    project.snakemake("models/speciarl")
    adapter = "models/speciarl/7/adapter_model.safetensors"
    alone, second = (one.folder / adapter for one in (project, finished))
    assert alone.read_bytes() == second.read_bytes()
    first = finished.folder / "models/speciarl/42/adapter_model.safetensors"
    assert first.read_bytes() != second.read_bytes()


def test_a_image_that_is_added_to_one_s_own_is_noticed(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    image = next((project.folder / "images/garden").rglob("*.png"))
    shutil.copy(image, image.with_name("another.png"))
    project.snakemake("data/manifests/garden.parquet")
    manifest = pl.read_parquet(project.folder / "data/manifests/garden.parquet")
    assert manifest.height == 16
    assert "manifest_folder@garden" in project.run("dvc", "status")


def test_dvc_reruns_exactly_the_stages_that_read_a_changed_value(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    project.change(specificity={"less_specific": 0.5})
    output = project.run("dvc", "repro")
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"score", "report"}
    assert "Nothing to be done" in project.snakemake("--dry-run", "all")
    assert "up to date" in project.run("dvc", "status")


@pytest.mark.long
def _command(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # it ended after it was listed
        return []


def test_a_killed_training_run_goes_on_where_it_was(finished, tmp_path):
    """kill -9 in mid-training, start again: it ends as the undisturbed run did, bit for bit."""
    project = finished.copy(tmp_path / "copy")
    shutil.rmtree(project.folder / "work/train/speciarl")
    train = ("--forcerun", "train", "--", "models/speciarl")
    process = project.start("snakemake", "--cores", "2", *train)
    checkpoints = project.folder / "work/train/speciarl"
    for _ in range(6000):
        if process.poll() is not None or list(checkpoints.glob("*/checkpoint-*/progress.json")):
            break
        time.sleep(0.02)
    (training,) = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any(argument.endswith("train.py") for argument in _command(child))
    ]
    training.kill()
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (project.folder / "models/speciarl").exists()
    assert not (project.folder / "results/training/speciarl/metrics.parquet").exists()

    project.snakemake("models/speciarl", "all")
    assert "going on from checkpoint" in (project.folder / "logs/train/speciarl.log").read_text()
    assert artifacts(project) == artifacts(finished)
    assert not list(project.folder.glob("work/train/*/*/checkpoint-*"))
    used = pl.read_parquet(project.folder / "results/training/speciarl/verdicts.parquet")
    with duckdb.connect(str(project.folder / "data/verdicts/cache.duckdb"), read_only=True) as db:
        stored = set(db.execute("SELECT class, prediction FROM verdicts").fetchall())
    assert set(used.select("class", "prediction").rows()) <= stored
