"""The second day: what a clone gets by `dvc pull`, what an edit does there, what presets leave."""

import json
import os
import re

import polars as pl
import pytest
import yaml

from speciarl.versioning.record import differences, read_record
from tests.workflow.conftest import Project

pytestmark = pytest.mark.chain

IDLE = "Nothing to be done"
IDENTITY = ("-c", "user.name=me", "-c", "user.email=me@localhost")


def jobs(plan: str) -> set[str]:
    """The rules of a dry run."""
    return set(re.findall(r"^(?:local)?rule (\w+):", plan, re.MULTILINE)) - {"all", "version"}


@pytest.fixture(scope="session")
def pushed(finished, tmp_path_factory):
    """The finished project, committed, with everything on a remote."""
    folder = tmp_path_factory.mktemp("pushed")
    project = finished.copy(folder / "project")
    project.run("dvc", "remote", "add", "--default", "store", str(folder / "remote"))
    project.run("git", "add", "--all")
    project.run("git", *IDENTITY, "commit", "--quiet", "--message", "all")
    project.run("dvc", "push")
    return project


@pytest.fixture
def clone(pushed, tmp_path):
    """A fresh clone with everything pulled."""
    pushed.run("git", "clone", "--quiet", str(pushed.folder), str(tmp_path / "clone"))
    project = Project(tmp_path / "clone")
    project.run("dvc", "pull")
    return project


def test_in_a_clone_there_is_nothing_to_do_after_pull(pushed, clone):
    assert "up to date" in clone.run("dvc", "status")
    assert IDLE in clone.snakemake("--dry-run", "all")
    assert "Running stage" not in clone.run("dvc", "repro", "--dry")
    assert clone.run("git", "status", "--short") == ""
    assert (clone.folder / "data/verdicts/paid.parquet").exists()
    assert not (clone.folder / "data/verdicts/cache.duckdb").exists()

    clone.change(specificity={"less_specific": 0.5})
    assert jobs(clone.snakemake("--dry-run", "all")) == {"score", "report"}


def test_an_edit_before_the_first_start_is_not_lost(clone):
    clone.change(specificity={"less_specific": 0.5})
    assert jobs(clone.snakemake("--dry-run", "all")) == {"score", "report"}
    facts = clone.folder / "data/taxonomies/cub200.yaml"
    facts.write_text(facts.read_text() + "# edited\n")
    assert "build_taxonomy" in jobs(clone.snakemake("--dry-run", "all"))


def test_of_what_dvc_knows_by_digests_no_edit_is_lost(clone):
    clone.change(evaluation={"max_failures": 0.5})
    planned = jobs(clone.snakemake("--dry-run", "all"))
    assert {"list_code", "predict", "judge", "score"} <= planned
    assert not planned & {"train", "build_policy", "manifest"}


def test_a_record_of_other_code_vouches_for_nothing(clone):
    path = clone.folder / "dvc.lock"
    record = yaml.safe_load(path.read_text())
    read = record["stages"]["judge@zero_shot"]["params"]
    read["data/code/judge/zero_shot.digest.json"]["code"] = "of yesterday"
    path.write_text(yaml.safe_dump(record))
    planned = jobs(clone.snakemake("--dry-run", "all"))
    assert {"judge", "score"} <= planned and not planned & {"train", "predict"}


def test_an_edited_source_makes_what_reads_it_run_in_a_clone(clone):
    facts = clone.folder / "data/taxonomies/cub200.yaml"
    facts.write_text(facts.read_text() + "# edited\n")
    os.utime(facts, (1, 1))  # older than all that was pulled
    planned = jobs(clone.snakemake("--dry-run", "all"))
    assert "build_taxonomy" in planned
    assert not planned & {"render_mirror", "download", "manifest", "build_policy"}


@pytest.mark.long
def test_an_experiment_in_a_clone_changes_the_metrics_and_says_how(clone):
    output = clone.run("dvc", "exp", "run", "-S", "specificity.less_specific=0.65")
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"score", "report"}
    assert IDLE in clone.snakemake("--dry-run", "all")

    rows = json.loads(clone.run("dvc", "metrics", "diff", "--json"))["results/metrics.json"]
    before = clone.run("git", "show", "HEAD:results/metrics.json")
    now = json.loads((clone.folder / "results/metrics.json").read_text())
    changed = set()
    for run, old in json.loads(before).items():  # one without such predictions stays as it is
        metrics = (old["cub200"]["specificity"], now[run]["cub200"]["specificity"])
        if metrics[1] != metrics[0]:
            row = rows[f"{run}.cub200.specificity"]
            assert (row["old"], row["new"]) == metrics and metrics[1] > metrics[0]
            changed.add(run)
    assert changed
    assert {key for key in rows if key.endswith(".cub200.specificity")} == {
        f"{run}.cub200.specificity" for run in changed
    }
    assert "specificity" in clone.run("dvc", "exp", "diff")
    assert "0.65" in clone.run("dvc", "exp", "show", "--csv")

    shown = clone.run("dvc", "plots", "diff", "--json")
    plots = json.loads(shown)["data"]
    declared = yaml.safe_load((clone.folder / "dvc.yaml").read_text())["plots"]
    assert set(plots) == {title for plot in declared for title in plot}
    levels = plots["Levels in evaluation"][0]["content"]["data"]["values"]
    assert {row["rev"] for row in levels} == {"HEAD", "workspace"}
    expected = pl.read_csv(clone.folder / "results/plots/levels.csv")["run"].to_list()
    assert [row["run"] for row in levels if row["rev"] == "workspace"] == expected
    said = clone.run("speciarl", "record", "committed")
    assert "score, report: score, report ran with other parameters" in said


@pytest.mark.long
def test_a_changed_artifact_is_named_with_its_stage(finished, repeated, tmp_path):
    same = finished.run("speciarl", "record", "diff", "dvc.lock", f"{repeated.folder}/dvc.lock")
    assert same.startswith("0 of ")
    project = finished.copy(tmp_path / "copy")
    with (project.folder / "models/speciarl/adapter_config.json").open("a") as file:
        file.write(" ")
    project.run("dvc", "commit", "--force")
    output = project.run(
        "speciarl", "record", "diff", f"{finished.folder}/dvc.lock", "dvc.lock", code=1
    )
    assert output.splitlines()[:2] == ["train@speciarl", "  models/speciarl"]
    assert output.splitlines()[-1].startswith("1 of ")


@pytest.mark.long
def test_a_preset_has_its_own_artifacts_and_its_own_record(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    trial = {
        "workspace": "trial",
        # the project's, as it is
        "policy": {"source": "directory", "path": "models/base", "device": "cpu"},
        "datasets": {"mixed_scale": True},
    }
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(trial))
    before = (project.folder / "dvc.lock").read_bytes()
    given = ("--configfile", "params.yaml", str(tmp_path / "trial.yaml"), "--", "all")
    project.snakemake(*given)
    assert IDLE in project.snakemake("--dry-run", *given)

    folder = project.folder / "workspaces/trial"
    noted = {path.name for path in (folder / "models/base").glob("[!.]*")}
    assert noted == {"source.json", "loading.json"}
    metrics = json.loads((folder / "results/metrics.json").read_text())
    whole = json.loads((project.folder / "results/metrics.json").read_text())
    assert metrics == whole
    record = json.loads((folder / "record.json").read_text())
    assert record["params"]["policy"]["path"] == "../../models/base"
    assert str(project.folder) not in json.dumps(record)
    assert "predict@zero_shot" in read_record(folder / "record.json")

    assert (project.folder / "dvc.lock").read_bytes() == before
    assert not differences(
        read_record(finished.folder / "dvc.lock"), read_record(project.folder / "dvc.lock")
    )
    assert IDLE in project.snakemake("--dry-run", "all")
    assert "up to date" in project.run("dvc", "status")


def test_other_parameters_without_a_workspace_are_refused_in_one_line(project, tmp_path):
    (tmp_path / "over.yaml").write_text("specificity: {generic: 0.3}")
    given = ("--configfile", "params.yaml", str(tmp_path / "over.yaml"), "--", "all")
    output = project.snakemake("--dry-run", *given, code=2)
    (line,) = [one for one in output.splitlines() if one.startswith("error:")]
    assert "workspace=NAME" in line
