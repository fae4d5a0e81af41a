"""The section on custom datasets of docs/data.md, followed step by step; and the day after."""

import csv
import io
import re
import shlex
import shutil

import polars as pl
import pytest
import yaml

from speciarl.cli.main import app
from tests.workflow.conftest import ROOT, SMALL

pytestmark = [pytest.mark.chain, pytest.mark.long]

PAGE = (ROOT / "docs/data.md").read_text()
SECTION = PAGE.partition("## Custom datasets")[2].partition("### Facts")[0]
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
ROWS = [yaml.safe_load(b) for b in re.findall(r"^```yaml\n(.*?)^```$", SECTION, re.S | re.M)]
HAS_SQL = "sql" in {
    command.name or command.callback.__name__ for command in app.registered_commands
}


@pytest.fixture(scope="module")
def followed(finished, tmp_path_factory):
    """The project after the page's rows and commands, with what each command printed."""
    project = finished.copy(tmp_path_factory.mktemp("page") / "project")
    dataset, training = ROWS
    assert dataset["datasets"]["folders"] == SMALL["datasets"]["folders"]  # nothing is made twice
    ((name, row),) = training["runs"].items()
    project.change(
        training_sets=SMALL["training_sets"] | training["training_sets"],
        runs={"zero_shot": {}, name: {**row, "num_generations": 4}},
    )  # fmt: skip
    (project.folder / "images/garden/thoughts.txt").write_text("no image")
    (project.folder / next(iter(garden(project))).parent / "empty.jpg").touch()
    said = {}
    for command in COMMANDS:
        if HAS_SQL or not command.startswith("speciarl sql"):
            said[command] = project.run(*shlex.split(command))
    project.said = said
    return project


def garden(project):
    """The images of the dataset."""
    return sorted((project.folder / "images/garden").rglob("*.png"))


def test_the_page_leads_from_a_folder_to_a_table(followed):
    assert len(COMMANDS) == 6
    said = followed.said["speciarl table"]
    for block in said.strip().split("\n\n"):  # groups that do not fit side by side go below
        names = [line.split()[0] for line in block.splitlines()[2:]]
        assert names == ["zero_shot", "speciarl_garden"]
    assert said.count("custom datasets") == 1


def test_files_that_are_left_out_are_counted_on_the_terminal_and_named_in_the_log(followed):
    said = followed.said["snakemake --cores 8 data/manifests/garden.parquet"]
    expected = "garden: 17 files: 15 images, 2 left out (1 no images by name, 1 unreadable); see"
    assert f"{expected} logs/manifest_folder/garden.log" in said
    log = (followed.folder / "logs/manifest_folder/garden.log").read_text()
    assert "empty.jpg: unreadable (the file is empty)" in log
    listed = re.search(r"^ +input: (.*)$", said, re.MULTILINE)[1]
    assert "," not in listed, "one path stands for all images"


def test_the_report_is_true_of_what_was_trained_on(followed):
    page = (followed.folder / "results/report.html").read_text()
    assert (
        "speciarl_garden on custom datasets. No run was trained on images of any dataset in" in page
    )


@pytest.mark.skipif(not HAS_SQL, reason="`speciarl sql` is not there yet")
def test_the_page_leads_to_a_prediction_for_each_image(followed):
    asked = [command for command in COMMANDS if command.startswith("speciarl sql")]
    rows = list(csv.DictReader(io.StringIO(followed.said[asked[0]])))
    judged = pl.read_parquet(followed.folder / "results/verdicts/speciarl_garden/42/garden.parquet")
    manifest = pl.read_parquet(followed.folder / "data/manifests/garden.parquet")
    expected = judged.join(manifest, on="sample_id").sort("image")
    assert [row["image"] for row in rows] == expected["image"].to_list()
    assert [row["verdict"] or None for row in rows] == expected["verdict"].to_list()
    assert all((followed.folder / row["image"]).is_file() for row in rows)


def test_an_image_replaced_in_its_place_is_noticed_and_birds_are_left_alone(followed, tmp_path):
    project = followed.copy(tmp_path / "copy")
    assert "Nothing to be done" in project.snakemake("--dry-run", "data/manifests/garden.parquet")
    one, other = garden(project)[:2]
    other.write_bytes(one.read_bytes())
    assert "manifest_folder" in project.snakemake("--dry-run", "data/manifests/garden.parquet")
    # and by all that shows it, also where the manifest was made before the rest
    project.snakemake("data/manifests/garden.parquet")
    planned = project.snakemake("--dry-run", "all")
    assert jobs(planned) >= {"predict", "train/speciarl_garden"}
    other.unlink()
    project.snakemake("data/manifests/garden.parquet")
    assert pl.read_parquet(project.folder / "data/manifests/garden.parquet").height == 14
    assert "Nothing to be done" in project.snakemake("--dry-run", "data/manifests/garden.parquet")


def jobs(planned):
    """The rules of a dry run, train and precompute_verdicts with what they are for."""
    found = set()
    for block in re.split(r"^\[.*\]$", planned, flags=re.MULTILINE):
        rule = re.search(r"^(?:local)?rule (\w+):", block, re.MULTILINE)
        item = re.search(r"^ +wildcards: (?:run|domain)=(\w+)", block, re.MULTILINE)
        if rule:
            named = rule[1] in ("train", "precompute_verdicts")
            found.add(f"{rule[1]}/{item[1]}" if named else rule[1])
    return found


@pytest.mark.parametrize("facts", [False, True])
def test_one_more_dataset_trains_nothing_and_only_its_images_are_predicted(
    facts, followed, tmp_path
):
    project = followed.copy(tmp_path / "copy")
    names = {path.parent.name for path in garden(project)}
    shutil.copytree(project.folder / "images/garden", project.folder / "images/park")
    folders = SMALL["datasets"]["folders"]
    project.change(
        datasets={"folders": folders | {"park": {"path": "images/park", "test_share": 0.2}}}
    )
    if facts:
        classes = {name.replace("_", " "): {"near": ["bloom"]} for name in names}
        described = {"dataset": "park", "root": ["flower"], "terms": {"bloom": {}}}
        described["classes"] = classes
        (project.folder / "data/taxonomies/park.yaml").write_text(yaml.safe_dump(described))
    planned = jobs(project.snakemake("--dry-run", "all"))
    assert {"predict", "judge", "score", "report", "precompute_verdicts/park"} <= planned
    assert not any(job.startswith("train/") for job in planned)
    assert "precompute_verdicts/garden" not in planned
    parts = {path: path.stat().st_mtime_ns for path in project.folder.glob("work/predict/*/*/*")}
    old = project.folder / "results/verdicts/zero_shot/42/garden.parquet"
    before = old.read_bytes()
    project.snakemake("all")
    assert parts and {path: path.stat().st_mtime_ns for path in parts} == parts
    assert old.read_bytes() == before
    assert old.with_name("park.parquet").is_file()
    assert "Nothing to be done" in project.snakemake("--dry-run", "all")
