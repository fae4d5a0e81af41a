"""A small copy of the project in a folder of its own, and the means to run it there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SOURCES = (
    "Snakefile",
    "params.yaml",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    "workflow",
    "profiles",
)

# The smallest run that goes through every stage: two datasets, a few steps of each training.
SMALL = {
    "datasets": {"splits": {"cub200": "official", "flowers102": "coop"}},
    "groups": {"in-domain": ["cub200"], "fine-grained": ["flowers102"]},
    "miniature": {"train_per_class": 2, "test_per_class": 2},
    "training_sets": {"cub200": {"datasets": ["cub200"], "size": 24}},
    "policy": {"pictures_per_class": 2, "knowing_steps": 120, "habit_steps": 40, "batch_size": 24},
    "grpo": {
        "generations": 16, "prompts_per_generation": 2, "micro_batch": 8, "checkpoint_every": 2,
    },
    "sft": {"epochs": 1.0, "batch_size": 12, "micro_batch": 12},
    "runs": {
        "zero_shot": {},
        "sft": {"method": "sft"},
        "speciarl": {"method": "grpo", "rollouts": 4},
        "best_of_4": {"best_of": 4},
    },
}  # fmt: skip
REPLACED = ("runs", "groups", "training_sets")  # taken whole; the other sections are merged


class Project:
    """One copy; `snakemake` and `dvc` run in it as a user would run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> "Project":
        folder.mkdir(parents=True)
        for name in SOURCES:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        (folder / "data").mkdir()
        shutil.copy(ROOT / "data/sources.csv", folder / "data")
        shutil.copytree(ROOT / "data/taxonomies", folder / "data/taxonomies")
        project = cls(folder)
        project.change(**SMALL)
        project.run("git", "init", "--quiet")
        project.run("dvc", "init", "--quiet")
        shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
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

    def start(self, *command: str, **options) -> subprocess.Popen:
        binaries = str(Path(sys.executable).parent)
        environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
        )  # fmt: skip

    def run(self, *command: str, code: int | None = 0) -> str:
        """Run to the end; the output is returned, and shown where the exit code is another."""
        process = self.start(*command)
        output, _ = process.communicate(timeout=1200)
        assert code is None or process.returncode == code, output
        return output

    def snakemake(self, *arguments: str, code: int | None = 0) -> str:
        return self.run("snakemake", "--cores", "2", *arguments, code=code)

    def copy(self, folder: Path) -> "Project":
        """An independent copy with everything produced so far, times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


@pytest.fixture
def project(tmp_path):
    """A copy in which nothing has run."""
    return Project.create(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A copy in which `snakemake all` has run; tests that change it take a copy of it."""
    project = Project.create(tmp_path_factory.mktemp("finished") / "project")
    project.output = project.snakemake("all")
    return project
