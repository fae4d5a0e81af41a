"""What runs again after an edit: what depends on it, under Snakemake and under DVC, and no more."""

import json
import re
import shutil
from pathlib import Path

import pytest

from speciarl.code import NEUTRAL, code_of
from tests.workflow.conftest import ROOT, SMALL, STUDIES

pytestmark = pytest.mark.chain

RUNS = list(SMALL["runs"])
EVALUATED = {f"{stage}@{run}" for stage in ("predict", "judge") for run in RUNS}
END = {"score", "report"}


def evaluated(*runs):
    return {f"{stage}@{run}" for stage in ("predict", "judge") for run in runs}


def trained(*runs):
    return {f"train@{run}" for run in runs}


def of_snakemake(project):
    """The jobs that would run, as DVC names its stages; the keeping of records is left out."""
    plan = project.snakemake("--dry-run", "all")
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", plan, re.MULTILINE)
    items = (re.search(r"^    wildcards: \w+=(.*)$", text, re.MULTILINE) for _, text in jobs)
    names = {f"{rule}@{i[1]}" if i else rule for (rule, _), i in zip(jobs, items, strict=True)}
    return names - {"all", "list_code", "version", "export_paid_verdicts"}


def of_dvc(project):
    """The stages whose own dependencies differ, once the lists of code and settings are new."""
    project.run("dvc", "repro", "--quiet", "list_code")
    return set(json.loads(project.run("dvc", "status", "--json"))) - {"export_paid_verdicts"}


def replace(path, old, new):
    def edit(project):
        file = project.folder / path
        text = file.read_text()
        assert old in text, path
        file.write_text(text.replace(old, new))

    return edit


def append(path, text):
    def edit(project):
        file = project.folder / path
        file.write_text(file.read_text() + text)

    return edit


def change(**sections):
    return lambda project: project.change(**sections)


def rows(**changed):
    runs = {name: row | changed.get(name, {}) for name, row in SMALL["runs"].items()}
    return change(runs=runs)


def another_image(project):
    image = min((project.folder / "images/garden").rglob("*.png"))
    shutil.copy(image, image.with_name("another.png"))


def another_class(project):
    folder = min((project.folder / "images/garden").iterdir())
    shutil.copytree(folder, folder.with_name("black_tulip"))


DATASETS = ("cub200", "flowers102", "garden")


def verdicts(*names, stages=("build_taxonomy", "precompute_verdicts")):
    return {f"{stage}@{name}" for stage in stages for name in names} | {"list_inputs"}


OF_BIRDS = {"sample_training@cub200", *trained("sft", "speciarl")}
OF_GARDEN = {"manifest_folder@garden", "sample_training@garden", *trained("own")}
LEARNT = {*trained("sft", "own", "speciarl"), *EVALUATED, *END}

# The edit, the jobs of Snakemake, and the stages of DVC whose own dependencies it changes; what
# follows from those, DVC sees when it gets there.
EDITS = {
    "reward": (
        replace("speciarl/rewards.py", "UNPARSABLE = -1.0", "UNPARSABLE = -2.0"),
        {*trained("speciarl"), *evaluated("speciarl"), *END},
        trained("speciarl"),
    ),
    "supervised training": (
        replace("speciarl/training/sft.py", "max_length=None", "max_length=500"),
        {*trained("sft", "own"), *evaluated("sft", "own"), *END},
        trained("sft", "own"),
    ),
    "extraction": (
        replace("speciarl/answers.py", "completion.find(_OPEN)", "completion.rfind(_OPEN)"),
        {*verdicts(*DATASETS), *trained("speciarl"), *EVALUATED, *END},
        {"build_taxonomy", "precompute_verdicts", *trained("speciarl"), *EVALUATED}
        | {"score", "report"},
    ),
    "prompt of the policy": (
        append("speciarl/prompts/policy/plain.txt", "Think."),
        {"build_policy", *LEARNT},
        {"build_policy", *trained("sft", "own", "speciarl")}
        | {f"predict@{run}" for run in RUNS},
    ),
    "prompt of a judge that nobody asks": (
        append("speciarl/prompts/judge/base.txt", "Think."), set(), set(),
    ),
    "fact": (
        append("data/taxonomies/cub200.yaml", "# one more fact\n"),
        {*verdicts(*DATASETS), *trained("speciarl"), *evaluated("speciarl"), *END}
        | {f"judge@{run}" for run in RUNS},
        {"build_taxonomy", "precompute_verdicts", "list_inputs", "score"}
        | {f"judge@{run}" for run in RUNS},
    ),
    "reader": (
        replace("speciarl/datasets/readers/cub200.py", '"test"}', '"test", "2": "test"}'),
        {"manifest@cub200", *verdicts("cub200"), *OF_BIRDS, *EVALUATED, *END},
        {"manifest@cub200"},
    ),
    "reader of custom datasets": (
        replace("speciarl/datasets/readers/folders.py", '".tiff"', '".tiff", ".ppm"'),
        {*OF_GARDEN, *verdicts("garden"), *EVALUATED, *END},
        {"manifest_folder@garden"},
    ),
    "layout of one archive": (
        append("speciarl/datasets/miniature/layouts/cub200.py", "HAS_VAL = bool(0)\n"),
        {"render_mirror@cub200", "download@cub200", "manifest@cub200"}
        | {*verdicts("cub200"), *OF_BIRDS}
        | {*EVALUATED, *END},
        {"render_mirror@cub200"},
    ),
    "renderer": (
        append("speciarl/datasets/miniature/render.py", "IDLE = 1\n"),
        {f"{stage}@{name}" for stage in ("render_mirror", "download", "manifest")
         for name in SMALL["datasets"]["splits"]}
        | {"build_policy", "sample_training@cub200", *verdicts("cub200", "flowers102"), *LEARNT},
        {"render_mirror@cub200", "render_mirror@flowers102", "build_policy"},
    ),
    "chart": (
        append("speciarl/report/charts.py", "IDLE = 1\n"),
        {"report"},
        {"report"},
    ),
    "template of the page": (
        append("speciarl/report/templates/summary.html.j2", "{# more #}"),
        {"report"},
        {"report"},
    ),
    "comment": (
        replace("speciarl/rewards.py", '"""Rewards:', '"""The rewards:'), set(), set(),
    ),
    "message": (replace("speciarl/errors.py", "cannot start", "can not start"), set(), set()),
    "grpo": (
        change(grpo={"learning_rate": 2e-3}),
        {*trained("speciarl"), *evaluated("speciarl"), *END},
        {*trained("speciarl"), "report"},
    ),
    "sft": (
        change(sft={"learning_rate": 2e-3}),
        {*trained("sft", "own"), *evaluated("sft", "own"), *END},
        {*trained("sft", "own"), "report"},
    ),
    "lora": (
        change(lora={"rank": 2}),
        {*trained("sft", "own", "speciarl"), *evaluated("sft", "own", "speciarl"), *END},
        {*trained("sft", "own", "speciarl"), "report"},
    ),
    "seed of one run": (
        rows(sft={"seeds": [7]}),
        {*trained("sft"), *evaluated("sft"), *END},
        {*trained("sft"), *evaluated("sft"), "report"},
    ),
    "verifier of one run": (
        rows(speciarl={"verifier": {"max_failures": 0.5}}),
        {*trained("speciarl"), *evaluated("speciarl"), *END},
        {*trained("speciarl"), "report"},
    ),
    "noise of one run": (
        rows(speciarl={"noise": 0.1}),
        {*trained("speciarl"), *evaluated("speciarl"), *END},
        {*trained("speciarl"), "report"},
    ),
    "a row that says the same by another": (
        rows(sft={"like": "zero_shot"}), {"report"}, {"report"},
    ),
    "predictions drawn in one run's evaluation": (
        rows(best_of_4={"best_of": 3}),
        {*evaluated("best_of_4"), *END},
        {*evaluated("best_of_4"), "report"},
    ),
    "rollouts of a run that draws none": (rows(sft={"num_generations": 6}), {"report"}, {"report"}),
    "one more image": (
        another_image,
        {*OF_GARDEN, *verdicts("garden"), *EVALUATED, *END},
        {"manifest_folder@garden"},
    ),
    "one more class": (
        another_class,
        {*OF_GARDEN, *verdicts("garden"), *EVALUATED, *END},
        {"manifest_folder@garden"},
    ),
}  # fmt: skip


# One of each kind; the others are long.
FIRST = {
    "reward", "supervised training", "prompt of the policy", "fact", "reader of custom datasets",
    "chart", "comment", "sft", "verifier of one run", "one more image",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FIRST else pytest.mark.long) for n in EDITS]
)
def test_an_edit_reruns_what_depends_on_it_and_no_more(finished, tmp_path, name):
    edit, jobs, stages = EDITS[name]
    project = finished.copy(tmp_path / "copy")
    edit(project)
    assert of_snakemake(project) == jobs
    assert of_dvc(project) == stages


@pytest.mark.long
def test_under_dvc_one_more_image_trains_no_other_run(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    another_image(project)
    output = project.run("dvc", "repro")
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    same = {"build_taxonomy", "list_inputs", "sample_training@cub200"}  # seconds, for equal bytes
    due = {*OF_GARDEN, *same, *(f"predict@{run}" for run in RUNS)}
    assert due <= ran  # the rest only where predictions came out otherwise
    assert ran <= due | {*EVALUATED, *END, "export_paid_verdicts"}
    assert "Nothing to be done" in project.snakemake("--dry-run", "all")
    assert "up to date" in project.run("dvc", "status")


def test_dvc_plans_a_new_run_before_anything_of_it_exists(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    project.change(runs=SMALL["runs"] | {"new": {"method": "grpo", "num_generations": 4}})
    plan = project.run("dvc", "repro", "--dry")
    runs = {line.split("'")[1] for line in plan.splitlines() if line.startswith("Running stage")}
    assert runs == {"list_code", "train@new", "predict@new", "judge@new", "report"}


def module_file(module):
    path = ROOT.joinpath(*module.split("."))
    file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    return file.relative_to(ROOT).as_posix()


# They import all readers and use one, or only the names of the classes.
INDEXED = ("manifest", "manifest_folder", "render_mirror", "train")


def test_no_import_is_missed_and_no_file_read_unlisted(finished):
    """Against what the jobs of the whole chain imported and opened when they ran."""
    notes = [json.loads(path.read_text()) for path in finished.folder.glob("recorded/*.json")]
    scripts = {path.stem: path for path in (ROOT / "workflow/scripts").glob("*.py")}
    stages = set(scripts) - STUDIES
    assert {note["job"].partition("/")[0] for note in notes} == stages
    for note in notes:
        job, stage = note["job"], note["job"].partition("/")[0]
        if stage in ("list_code", "version"):  # they make lists of what the others read
            continue
        listed = json.loads((finished.folder / f"data/code/{job}.json").read_text())["code"]
        known = {one.split()[0] for one in listed}
        all_known = known | set(code_of(scripts[stage]) if stage in INDEXED else ())
        for importer, module in note["imported"]:
            file = module_file(module)
            if importer == "__main__" or module_file(importer) in known:
                assert file in all_known or file.startswith(NEUTRAL), f"{job}: {importer}: {module}"
        read = {path for path in note["opened"] if not path.endswith((".py", ".pyc"))}
        assert {path for path in read if Path(path).suffix} <= known, job
