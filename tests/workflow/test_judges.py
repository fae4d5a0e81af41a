"""A model as judge in the workflow: when it is down, and what makes a stage run again."""

import json
import re
from collections import defaultdict

import duckdb
import polars as pl
import yaml

from speciarl.taxonomy.table import every_pair

SNAPSHOT = "data/verdicts/precomputed/cub200.parquet"
MODEL = {"kind": "server", "name": "judge", "revision": "1", "prompt": "base"}
SERVER = {"base_url": "http://127.0.0.1:9/v1"}
DIRECTORY = {"kind": "directory", "path": "models/judge"}
IDLE = "Nothing to be done"


def test_a_model_is_asked_ahead_only_where_that_is_wanted_and_is_named_when_it_is_down(project):
    down = {**SERVER, "retries": 0}
    project.change(verifier={"backend": "llm", "model": MODEL, "server": down})
    assert "questions" not in project.snakemake(SNAPSHOT)
    decided = pl.read_parquet(project.folder / SNAPSHOT)
    assert set(decided["decided_by"]) == {"rules"}

    project.change(verifier={"precompute_model": True})
    output = project.snakemake(SNAPSHOT, code=1)
    terms = pl.read_parquet(project.folder / "data/taxonomy/cub200.parquet")
    classes = terms["class_name"].drop_nulls().n_unique()
    pairs = every_pair(terms).height + 2 * classes  # the usual abstentions
    assert f"{pairs - decided.height} questions to the model: " in output
    (line,) = [one for one in output.splitlines() if one.startswith("error:")]
    assert "have no verdict" in line and down["base_url"] in line
    assert "Traceback" not in output
    assert not (project.folder / SNAPSHOT).exists()
    with duckdb.connect(str(project.folder / "data/verdicts/cache.duckdb"), read_only=True) as db:
        kept = db.execute("SELECT decided_by, min(verdict) FROM verdicts GROUP BY 1").fetchall()
    assert kept == [("rules", "abstain")]


def test_another_address_makes_nothing_run_again_but_another_prompt_does(project):
    """The taxonomy knows all of its own terms, so that nobody is asked here."""
    project.change(verifier={"backend": "cascade", "model": MODEL, "server": SERVER})
    project.snakemake(SNAPSHOT)
    assert IDLE in project.snakemake("--dry-run", SNAPSHOT)

    elsewhere = {"base_url": "http://127.0.0.1:10/v1", "concurrency": 3, "read_timeout": 1.0}
    project.change(verifier={"server": elsewhere, "max_failures": 0.5})
    assert IDLE in project.snakemake("--dry-run", SNAPSHOT)

    project.change(verifier={"model": {**MODEL, "prompt": "checklist"}})
    plan = project.snakemake("--dry-run", SNAPSHOT)
    assert "precompute_verdicts" in plan and IDLE not in plan

    stages = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]
    params = [stage.get("do", stage).get("params", []) for stage in stages.values()]
    read = [key for keys in params for key in keys if isinstance(key, str)]
    assert "verifier.model" in read and "judge.model" in read
    assert not [key for key in read if key.endswith(".server")]


def model_in(folder):
    """What passes for a model as long as nobody asks it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("one")


def test_new_weights_in_the_same_directory_make_the_stage_run_again(project):
    weights = project.folder / "models/judge/model.safetensors"
    model_in(weights.parent)
    project.change(verifier={"backend": "cascade", "model": DIRECTORY})
    project.snakemake(SNAPSHOT)
    assert IDLE in project.snakemake("--dry-run", SNAPSHOT)

    weights.write_text("two")
    plan = project.snakemake("--dry-run", SNAPSHOT)
    assert "precompute_verdicts" in plan and "build_taxonomy" not in plan


def test_each_stage_reads_the_weights_of_its_own_judge(project):
    for name in ("one", "two"):
        model_in(project.folder / "models" / name)
    project.change(
        verifier={"backend": "cascade", "model": {**DIRECTORY, "path": "models/one"}},
        judge={"backend": "llm", "model": {**DIRECTORY, "path": "models/two"}},
    )
    plan = project.snakemake("--dry-run", "all")
    jobs = re.findall(r"^rule (\w+):\n +input: (.*)$", plan, re.MULTILINE)
    read = defaultdict(set)
    for rule, inputs in jobs:
        read[rule].update(inputs.split(", "))
    for name, stages in {"one": {"precompute_verdicts", "train"}, "two": {"judge"}}.items():
        files = {f"models/{name}/config.json", f"models/{name}/model.safetensors"}
        assert {stage for stage, inputs in read.items() if files & inputs} == stages
        assert all(files <= read[stage] for stage in stages)


def test_the_code_of_a_judge_is_that_of_its_kind_and_its_prompt(project):
    (project.folder / DIRECTORY["path"]).mkdir(parents=True, exist_ok=True)
    of_kind = {"server": {"llm.py", "client.py"}, "directory": {"local.py"}}
    project.change(
        verifier={"backend": "cascade", "model": MODEL, "server": SERVER},
        judge={"backend": "llm", "model": {**DIRECTORY, "prompt": "checklist"}},
    )
    project.snakemake("data/code")
    for job, kind, prompt in (
        ("train/speciarl", "server", "base"),
        ("precompute_verdicts/cub200", "server", "base"),
        ("judge/sft", "directory", "checklist"),
    ):
        listed = json.loads((project.folder / f"data/code/{job}.json").read_text())["code"]
        names = {one.split()[0].removeprefix("speciarl/verifiers/") for one in listed}
        assert names & {"llm.py", "client.py", "local.py"} == of_kind[kind]
        assert {name for name in names if name.endswith(".txt")} - {
            "speciarl/prompts/policy/plain.txt"
        } == {f"speciarl/prompts/judge/{prompt}.txt"}
