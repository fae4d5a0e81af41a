"""A small copy of the project in a folder of its own, and the means to run it there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock

from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.datasets.miniature.render import render

ROOT = Path(__file__).parents[2]
SOURCES = (
    "Snakefile",
    "params.yaml",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    "speciarl",
    "workflow",
    "profiles",
)

# The smallest run that goes through every stage: two benchmarks and a custom dataset, a few
# steps of each training.
SMALL = {
    "datasets": {
        "splits": {"cub200": "official", "flowers102": "coop"},
        "folders": {"garden": {"path": "images/garden", "test_share": 0.2}},
    },
    "groups": {"in-domain": ["cub200"], "fine-grained": ["flowers102"]},
    "miniature": {"train_per_class": 2, "test_per_class": 2},
    "training_sets": {
        "cub200": {"datasets": ["cub200"], "size": 24},
        "garden": {"datasets": ["garden"]},
    },
    "policy": {"images_per_class": 2, "pretrain_steps": 120, "habit_steps": 40, "batch_size": 24},
    "grpo": {
        "steps": 16, "prompts_per_step": 2, "per_device_batch_size": 8, "checkpoint_every": 2,
    },
    "sft": {"epochs": 1.0, "batch_size": 12, "per_device_batch_size": 12},
    "runs": {
        "zero_shot": {},
        "sft": {"method": "sft"},
        "own": {"method": "sft", "training_set": "garden"},
        "speciarl": {"method": "grpo", "num_generations": 4, "seeds": [42, 7]},
        "best_of_4": {"best_of": 4},
    },
}  # fmt: skip
# Scripts and rules of whole runs in workspaces, which DVC leaves alone.
STUDIES = {"study", "robustness", "rollouts", "ablations"}
REPLACED = ("runs", "groups", "training_sets")  # taken whole; the other sections are merged


NAMESPACE = ("unshare", "--map-root-user", "--net")
"""Starts a command in a network namespace of its own, in which nothing is up."""


def _paint_garden(folder: Path) -> None:
    """Images of some flowers, as somebody would keep them: a folder per kind."""
    shown = [one for one in catalogue()["flowers102"] if one.hue == 0][:3]
    for one in shown:
        (folder / one.name.replace(" ", "_")).mkdir(parents=True)
        for i in range(5):
            image = render(one, np.random.default_rng(i), ambiguous=False, size=56)
            image.save(folder / one.name.replace(" ", "_") / f"{i}.png")


class Project:
    """One copy; `snakemake` and `dvc` run in it as a user would run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> "Project":
        folder.mkdir(parents=True)
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy(source, folder / name)
        (folder / "data").mkdir()
        shutil.copy(ROOT / "data/sources.csv", folder / "data")
        shutil.copy(ROOT / "data/counts.csv", folder / "data")
        shutil.copytree(ROOT / "data/taxonomies", folder / "data/taxonomies")
        _paint_garden(folder / "images/garden")
        project = cls(folder)
        project.change(**SMALL)
        project.run("git", "init", "--quiet")
        project.run("dvc", "init", "--quiet")
        shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
        shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
        return project

    def change(self, **sections) -> None:
        """Override sections of params.yaml."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for name, values in sections.items():
            if name in REPLACED:
                params[name] = values
            elif name == "datasets":
                params[name] |= values
            else:
                params[name].update(values)
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def start(self, *command: str, isolated: bool = False, **options) -> subprocess.Popen:
        """Start a command as a user would; isolated, without any network interface."""
        command = (*NAMESPACE, *command) if isolated else command
        binaries = str(Path(sys.executable).parent)
        environment = os.environ | {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),  # the copy's own code
        }
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
        )  # fmt: skip

    def run(self, *command: str, code: int | None = 0, isolated: bool = False) -> str:
        """Run to the end; the output is returned, and shown where the exit code is another."""
        process = self.start(*command, isolated=isolated)
        output, _ = process.communicate(timeout=1200)
        assert code is None or process.returncode == code, output
        return output

    def snakemake(self, *arguments: str, code: int | None = 0, isolated: bool = False) -> str:
        return self.run("snakemake", "--cores", "2", *arguments, code=code, isolated=isolated)

    def copy(self, folder: Path) -> "Project":
        """An independent copy with everything produced so far, times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


@pytest.fixture
def project(tmp_path):
    """A copy in which nothing has run."""
    return Project.create(tmp_path / "project")


def _made_once(tmp_path_factory, name: str, make) -> Project:
    """This test process's copy of a project that is made by the first process that needs it."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    made, notes = shared / name / "project", shared / name / "notes.json"
    with FileLock(shared / f"{name}.lock"):
        if not notes.exists():
            project = Project.create(made)
            notes.write_text(json.dumps(make(project)))
        project = Project(made).copy(tmp_path_factory.mktemp(name) / "project")
    vars(project).update(json.loads(notes.read_text()))
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A copy in which `snakemake all` has run; tests that change it take a copy of it."""

    def make(project):
        recorder = Path(__file__).with_name("recorder.py")
        shutil.copy(recorder, project.folder / "sitecustomize.py")
        return {"output": project.snakemake("all")}

    return _made_once(tmp_path_factory, "finished", make)


@pytest.fixture(scope="session")
def repeated(tmp_path_factory):
    """The same in another folder, without a network where the machine permits that."""

    def make(project):
        permitted = shutil.which(NAMESPACE[0]) and not subprocess.call([*NAMESPACE, "true"])
        interfaces = None
        if permitted:
            listed = project.run("cat", "/proc/self/net/dev", isolated=True).splitlines()[2:]
            interfaces = [line.partition(":")[0].strip() for line in listed]
        output = project.snakemake("all", isolated=bool(permitted))
        return {"output": output, "interfaces": interfaces}

    return _made_once(tmp_path_factory, "repeated", make)
