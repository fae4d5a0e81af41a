"""The package: every file that the library reads is installed, and one version is named."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "speciarl"


def test_every_file_beside_the_modules_is_package_data():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = pyproject["tool"]["setuptools"]["package-data"]["speciarl"]
    named = {path for pattern in patterns for path in LIBRARY.glob(pattern)}
    files = {p for p in LIBRARY.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert named == files
    assert LIBRARY / "py.typed" in named


def test_the_version_to_cite_is_that_of_sources_without_git():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert pyproject["tool"]["setuptools_scm"]["fallback_version"] == cited


def test_a_wheel_works_without_a_checkout(tmp_path):
    """In an environment of its own, which finds the dependencies in ours, from an empty folder."""
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "speciarl", "data/taxonomies"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, sources / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels, venv = tmp_path / "wheels", tmp_path / "venv"
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", wheels, sources)
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    (site,) = venv.glob("lib/python3*/site-packages")
    run(*pip, "--python", venv, "install", "--no-deps", "--no-index", *wheels.glob("*.whl"))
    (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    judged = run(venv / "bin/speciarl", "judge", "samoyed", "a spitz", cwd=empty)
    assert judged.splitlines()[0] == "less specific"
    imported = run(
        venv / "bin/python", "-c", "import speciarl; print(speciarl.__file__)", cwd=empty
    )
    assert Path(imported.strip()).parent == site / "speciarl"


def run(*command, cwd=None):
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=outside, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_lock_has_a_hash_of_every_pin_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([a-z0-9._-]+)==([^ ]+)(.*(?:\n    .*)*)", lock, re.MULTILINE)
    assert "://" not in lock and "--index" not in lock
    text = (ROOT / "constraints.txt").read_text()
    constraints = {
        plain(name): pin for name, pin in re.findall(r"^([\w.-]+)==(.+)$", text, re.MULTILINE)
    }
    for name, pin, rest in pins:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest), name
        assert constraints.get(plain(name), pin) == pin, name
    named = {name for name, _, _ in pins}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {*declared["dependencies"], *declared["optional-dependencies"]["dev"]}
    assert {name.partition("==")[0] for name in wanted} - named == {"torch"}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()
