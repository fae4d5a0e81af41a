"""docs/extending.md: the Python runs as it stands, the YAML goes with params.yaml."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from speciarl.config import load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/extending.md"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


PYTHON = blocks(PAGE, "python")
YAML = blocks(PAGE, "yaml")


@pytest.mark.parametrize("code", PYTHON, ids=["reward", "verifier", "dataset"])
def test_an_example_runs(code: str, tmp_path: Path) -> None:
    assert "assert " in code
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", YAML, ids=lambda block: next(iter(yaml.safe_load(block))))
def test_an_example_of_parameters_is_valid_by_itself(block: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(block, encoding="utf-8")
    default = ROOT / "params.yaml"
    assert load([default, tmp_path / "example.yaml"]) != load([default])


def test_files_that_are_named_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = {word.strip("`.,():;") for word in text.split()}
    paths = [n for n in named if n.startswith(("speciarl/", "tests/", "data/", "workflow/"))]
    assert len(paths) > 5
    for path in paths:
        assert "NAME" in path or (ROOT / path).exists(), path
