"""Bad input: one line that names the thing, an exit code, and nothing half done."""

import csv
import io
import re

import pytest

MIRROR = "data/mirror/cub200/CUB_200_2011.tgz"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"grpo": {"genrations": 3}}, "grpo.genrations"),
        ({"runs": {"speciarl": {"num_generations": -1}}}, "runs.speciarl.num_generations"),
        ({"datasets": {"splits": {"cats": "official"}}}, "datasets.splits.cats"),
        ({"runs": {"speciarl": {"training_set": "cats"}}}, "runs.speciarl.training_set"),
    ],
)
def test_bad_parameters_stop_before_any_job(project, changes, key):
    project.change(**changes)
    output = project.snakemake("all", code=None)
    (line,) = [one for one in output.splitlines() if one.startswith("error:")]
    assert key in line
    assert "Traceback" not in output
    assert not (project.folder / "logs").exists()
    assert project.snakemake("all", code=2)


def rows(name, row):
    """A fault to write into params.yaml: a row of `runs` put before the others."""
    return lambda text: text.replace("runs:\n", f"runs:\n  {name}: {row}\n")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (rows("speciarl", "{best_of: 2}"), "the key 'speciarl' is there twice"),
        (lambda text: text.encode("utf-16"), "is not UTF-8"),
        (lambda text: text + "deep: " + "[" * 3000 + "]" * 3000, "nests too deeply"),
        (lambda text: text.replace("path: images/garden", "path: nowhere"), "'nowhere'"),
        (rows('"\\ud800"', "{}"), "'\\ud800'"),
    ],
    ids=["twice", "utf-16", "deep", "folder", "surrogate"],
)
def test_a_file_that_snakemake_itself_would_take_or_stumble_over(project, edit, expected):
    path = project.folder / "params.yaml"
    text = edit(path.read_text())
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (line,) = errors_of(project.snakemake("--quiet", "rules", "--", "all", code=2))
    assert expected in line


def test_a_start_that_cannot_run_is_one_line(project):
    for arguments in (["--cores", "0"], ["--configfile", "params.yaml", "all"]):
        (line,) = errors_of(project.run("snakemake", *arguments, code=2))
        assert " ".join(arguments[:1]) in line
    (project.folder / "results").write_text("")
    (line,) = errors_of(project.snakemake("all", code=2))
    assert "results is a file" in line


def test_a_fault_reaches_the_terminal_through_dvc(project):
    project.change(grpo={"learning_rate": float("inf")})
    output = project.run("dvc", "repro", "render_mirror@cub200", code=255)
    (line,) = errors_of(output)
    assert "grpo.learning_rate" in line and "Traceback" not in output


def errors_of(output):
    assert "Traceback" not in output
    return [line for line in output.splitlines() if line.startswith("error:")]


def test_each_stage_says_when_it_is_finished(project):
    """The same through Snakemake and DVC; Snakemake's own notes are left out, its failures not."""
    mirror = "data/mirror/cub200"
    quiet = ("--quiet", "rules", "progress", "host", "--")
    by_dvc = project.run("dvc", "repro", "render_mirror@cub200")
    by_snakemake = project.snakemake(*quiet, "data/manifests/cub200.parquet")
    assert "  render_mirror/cub200 " in by_dvc and "Building DAG" not in by_dvc
    finished = [line.split()[0] for line in by_snakemake.splitlines() if line.startswith("  ")]
    assert finished == ["download/cub200", "manifest/cub200"]
    assert "Building DAG" not in by_snakemake
    (project.folder / "data/counts.csv").unlink()
    assert "counts.csv" in project.snakemake(*quiet, "data/manifests/cub200.parquet", code=1)
    assert (project.folder / mirror).is_dir()


def test_an_unknown_run_is_named(project):
    output = project.snakemake("models/nobody", code=1)
    assert "models/nobody" in output


def test_a_corrupt_archive_is_named_and_not_used(project):
    project.snakemake(MIRROR.rpartition("/")[0])
    archive = project.folder / MIRROR
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    output = project.snakemake("data/manifests/cub200.parquet", code=1)
    (line,) = [one for one in output.splitlines() if one.startswith("error:")]
    assert "CUB_200_2011.tgz" in line and "expected" in line
    assert not (project.folder / "data/raw/cub200/files.json").exists()
    assert not (project.folder / "data/raw/cub200/CUB_200_2011.tgz").exists()


def test_a_missing_archive_is_named(project):
    project.snakemake(MIRROR.rpartition("/")[0])
    (project.folder / MIRROR).unlink()
    output = project.snakemake("data/manifests/cub200.parquet", code=1)
    (line,) = [one for one in output.splitlines() if one.startswith("error:")]
    assert "CUB_200_2011.tgz" in line


def test_a_class_without_taxonomy_is_named_with_its_file(project):
    facts = project.folder / "data/taxonomies/cub200.yaml"
    text = facts.read_text()
    assert "Herring Gull" in text
    facts.write_text(text.replace("Herring Gull", "Hering Gull"))
    output = project.snakemake("data/taxonomy/cub200.parquet", code=1)
    (line,) = [one for one in output.splitlines() if one.startswith("error:")]
    assert "'Herring Gull'" in line and "cub200.yaml" in line
    assert not (project.folder / "data/taxonomy/cub200.parquet").exists()


def planned(project):
    """The jobs that `all` would run, by rule and wildcard."""
    plan = project.snakemake("--dry-run", "all")
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", plan, re.MULTILINE)
    items = (re.search(r"^    wildcards: \w+=(.*)$", text, re.MULTILINE) for _, text in jobs)
    return {f"{rule}@{i[1]}" if i else rule for (rule, _), i in zip(jobs, items, strict=True)}


def test_what_a_failed_job_has_lost_is_made_again(project):
    """Although the results that came of it are there. Empty files stand for those of a whole run,
    and `predict` fails on them."""
    summary = project.run("snakemake", "--quiet", "all", "--detailed-summary", "all")
    rows = csv.DictReader(io.StringIO(summary[summary.index("output_file\t") :]), delimiter="\t")
    for path in (project.folder / row["output_file"] for row in rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
    project.snakemake("--touch", "--forceall", "all")
    assert planned(project) <= {"all", "version"}

    project.snakemake("--forcerun", "predict", "--", "results/predictions/zero_shot", code=1)
    assert not (project.folder / "results/predictions/zero_shot").exists()
    assert {"predict@zero_shot", "judge@zero_shot", "score", "report"} <= planned(project)

    lost = {
        "data/mirror/cub200": "render_mirror@cub200",
        "data/taxonomy/garden.parquet": "build_taxonomy@garden",
        "data/training/garden.parquet": "sample_training@garden",
        "models/sft": "train@sft",
        "results/verdicts/own": "judge@own",
    }
    for place in lost:
        (project.folder / place).rename(project.folder / place.replace("/", "-"))
    assert set(lost.values()) <= planned(project)
