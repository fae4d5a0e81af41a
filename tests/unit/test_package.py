"""The package: every file that the library reads is installed, and one version is named."""

import tomllib
from pathlib import Path

import yaml

import speciarl

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "speciarl"


def test_every_file_beside_the_modules_is_package_data():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = pyproject["tool"]["setuptools"]["package-data"]["speciarl"]
    named = {path for pattern in patterns for path in LIBRARY.glob(pattern)}
    files = {p for p in LIBRARY.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert named == files
    assert LIBRARY / "py.typed" in named


def test_the_version_to_cite_is_the_one_installed():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == speciarl.__version__
