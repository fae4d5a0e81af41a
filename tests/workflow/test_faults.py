"""Bad input: one line that names the thing, an exit code, and nothing half done."""

import pytest

MIRROR = "data/mirror/cub200/CUB_200_2011.tgz"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"grpo": {"genrations": 3}}, "grpo.genrations"),
        ({"runs": {"speciarl": {"rollouts": -1}}}, "runs.speciarl.rollouts"),
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
