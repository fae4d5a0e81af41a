"""The pages under docs: their parameters are valid, and their commands do what they say."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from speciarl.config import load
from speciarl.datasets.images import MAX_PIXELS, MAX_RATIO
from speciarl.datasets.readers import folders
from speciarl.taxonomy import Taxonomy

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_parameters_on_a_page_go_with_the_defaults(page: Path, tmp_path: Path) -> None:
    files = [ROOT / "params.yaml"]
    for number, block in enumerate(blocks(page, "yaml")):
        if "dataset" in yaml.safe_load(block):  # a file of facts
            continue
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(block)
    assert (load(files) != load(files[:1])) == (len(files) > 1)  # valid, and of some effect


def test_the_facts_on_the_page_of_data_are_a_taxonomy(tmp_path: Path) -> None:
    (facts,) = [b for b in blocks(ROOT / "docs/data.md", "yaml") if b.startswith("dataset:")]
    (tmp_path / "garden.yaml").write_text(facts)
    taxonomy = Taxonomy.load(ROOT / "data/taxonomies", [], {"garden": tmp_path / "garden.yaml"})
    assert taxonomy.relation("red rose", "rosa").verdict.value == "less specific"
    assert taxonomy.relation("tulip", "flower").verdict.value == "generic"


# Those of the section on custom datasets need one: tests/workflow/test_custom_dataset.py.
COMMANDS = [
    line
    for block in blocks(ROOT / "docs/data.md", "sh")
    for line in block.splitlines()
    if "garden" not in block
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_the_page_of_data_runs(command: str) -> None:
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        shlex.split(command), cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_limits_on_the_page_of_data_are_those_of_the_code() -> None:
    page = (ROOT / "docs/data.md").read_text()
    assert f"more than {MAX_PIXELS:,} pixels" in page
    assert f"more than {MAX_RATIO} times" in page
    assert set(re.search(r"another ending than `(.*?)`", page)[1].split()) == folders.SUFFIXES
