"""Dockerfile and apptainer.def: the same image, of the pins, and of nothing that git ignores."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HOME = "/speciarl"  # where both have the project


def joined(text: str) -> str:
    """Continued lines put together."""
    return re.sub(r"\\\n\s*", "", text)


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Keyword and rest of each instruction, comments left out."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and line[0] != "#"]
    parts = [line.partition(" ") for line in joined("\n".join(lines)).splitlines()]
    return [(word, rest) for word, _, rest in parts]


def sections(definition: str) -> dict[str, list[str]]:
    """Lines of each section of an Apptainer definition, those of its header by an empty name."""
    found: dict[str, list[str]] = {"": []}
    for line in map(str.strip, joined(definition).splitlines()):
        if line.startswith("%"):
            found[line[1:]] = []
        elif line and not line.startswith("#"):
            found[[*found][-1]].append(line)
    return found


DOCKER = instructions((ROOT / "Dockerfile").read_text())
APPTAINER = sections((ROOT / "apptainer.def").read_text())
RUNS = [rest for word, rest in DOCKER if word == "RUN"]
SYSTEM, INSTALL, (USER,) = RUNS[:1], RUNS[1:-1], RUNS[-1:]
COPIED = sorted(line.split()[0] for line in APPTAINER["files"])


def copied_files() -> list[str]:
    """What is copied, file by file, by the list that both have."""
    found = [p for name in COPIED for p in (ROOT / name, *sorted((ROOT / name).rglob("*")))]
    return [str(p.relative_to(ROOT)) for p in found if p.is_file() and "__pycache__" not in p.parts]


def test_both_begin_with_one_image_of_a_python_that_the_project_supports():
    (base,) = [rest for word, rest in DOCKER if word == "FROM"]
    assert APPTAINER[""] == ["Bootstrap: docker", f"From: {base}"]
    version = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+", base)[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    minor = version.rpartition(".")[0]
    assert f"Programming Language :: Python :: {minor}" in PROJECT["classifiers"]


def test_both_have_the_same_arguments_commands_and_environment():
    given = [rest if "=" in rest else f"{rest}=" for word, rest in DOCKER if word == "ARG"]
    assert APPTAINER["arguments"] == given
    names = [argument.partition("=")[0] for argument in given]
    assert APPTAINER["post"] == [
        "set -e",
        *(f'export {name}="{{{{ {name} }}}}"' for name in names),
        *SYSTEM,
        f"cd {HOME}",
        "find . -name __pycache__ -prune -exec rm -r {} +",
        *INSTALL,
    ]
    variables, _ = [rest for word, rest in DOCKER if word == "ENV"]
    assert APPTAINER["environment"] == [f"export {variables}"]
    (default,) = re.findall(r'\["(\w+)"\]', dict(DOCKER)["CMD"])
    assert APPTAINER["runscript"] == [f'exec "${{@:-{default}}}"']
    assert default in PROJECT["scripts"]


def test_both_copy_the_same_and_nothing_that_git_ignores():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
    assert rules == ["*", *(f"!{name}" for name in COPIED), "**/__pycache__"]
    assert APPTAINER["files"] == [f"{name} {HOME}/{name}" for name in COPIED]
    assert all((ROOT / name).exists() for name in COPIED)
    for word, rest in DOCKER:
        if word == "COPY":
            *sources, into = rest.split()
            assert into in (".", "./") and set(sources) <= {*COPIED, "."}
    done = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        cwd=ROOT, input="\n".join(copied_files()), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), "1: none of them"


def test_what_is_installed_is_pinned():
    assert [
        f"pip install {torch_pin()} -c constraints.txt",
        "pip install --require-hashes --no-deps -r requirements.lock",
        'pip install -e ".[$EXTRAS]" -c constraints.txt',
        "pip check",
    ] == INSTALL
    extras = dict(rest.split("=") for word, rest in DOCKER if word == "ARG" and "=" in rest)
    assert extras["EXTRAS"] in PROJECT["optional-dependencies"]


def torch_pin() -> str:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    (torch,) = [one for one in PROJECT["dependencies"] if Requirement(one).name == "torch"]
    assert torch in pins
    return torch


def test_nobody_runs_as_root_and_whoever_runs_has_a_home():
    words = [word for word, _ in DOCKER]
    name = dict(DOCKER)["USER"]
    assert USER.startswith(f"useradd --create-home {name} ")
    assert f"chmod a+rwx /home/{name}" in USER
    assert dict(DOCKER)["ENV"] == f"HOME=/home/{name} LOGNAME={name}", "the last one"
    assert words.count("USER") == 1 and words[-2:] == ["USER", "CMD"]
    assert dict(DOCKER)["WORKDIR"] == HOME and USER.endswith(f"chown -R {name} .")


@pytest.fixture
def image(tmp_path) -> Path:
    """A folder with what both copy, and nothing else."""
    folder = tmp_path / "speciarl"
    (folder / "data").mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def run(*command, cwd, **environment) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def works(folder: Path, **environment) -> None:
    """The workflow finds all that it reads, and the command line the facts."""
    planned = run(
        "snakemake", "--cores", "1", "--dry-run", "--config", "workspace=trial", "--", "all",
        cwd=folder, **environment,
    )  # fmt: skip
    assert re.search(r"^report +1$", planned, re.MULTILINE)
    judged = run("speciarl", "judge", "samoyed", "a spitz", cwd=folder, **environment)
    assert judged.splitlines()[0] == "less specific"


def test_what_is_copied_is_enough(image):
    paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    works(image, PATH=paths, PYTHONPATH=str(image))


@pytest.mark.long
def test_the_install_commands_run_in_a_clean_environment(image, tmp_path):
    """All but those of the system, in a new virtual environment: minutes, and GBs of packages."""
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", str(venv), cwd=tmp_path)
    clean = {"PATH": f"{venv}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "EXTRAS": "dev"}
    for command in INSTALL:
        run("sh", "-c", command, cwd=image, **clean)
    works(image, **clean)
    installed = pins_of(run("pip", "freeze", cwd=image, **clean))
    assert len(installed) > 100
    assert installed.items() <= pins_of((ROOT / "constraints.txt").read_text()).items()


def pins_of(text: str) -> dict[str, str]:
    """Versions by normalized names; what torch is built for, as in 2.13.0+cpu, left out."""
    found = re.findall(r"^([\w.-]+)==([^+\s]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


# How each tells that it can build, builds, and runs a command in what it has built.
SMALL = "build --build-arg EXTRAS=dev"
BUILDERS = {
    "docker": ("info", f"{SMALL} --tag speciarl-test .", "run --rm speciarl-test"),
    "podman": ("info", f"{SMALL} --tag speciarl-test .", "run --rm speciarl-test"),
    "apptainer": ("version", f"{SMALL} {{folder}}/image apptainer.def", "run {folder}/image"),
}


@pytest.mark.long
@pytest.mark.parametrize("tool", BUILDERS)
def test_the_image_is_built_and_runs(tool, tmp_path):
    able, build, start = (
        [tool, *words.format(folder=tmp_path).split()] for words in BUILDERS[tool]
    )
    if shutil.which(tool) is None or subprocess.run(able, capture_output=True).returncode:
        pytest.skip(f"needs {tool}, and leave to build with it")
    run(*build, cwd=ROOT)
    judged = run(*start, "speciarl", "judge", "samoyed", "a spitz", cwd=tmp_path)
    assert judged.splitlines()[0] == "less specific"
