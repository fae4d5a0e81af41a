"""What the pages under docs say holds: their parameters are valid, what they name exists."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from speciarl import config
from speciarl.cli import app
from speciarl.config.judges import DirectoryModel, Server, ServerModel

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
JUDGES = PAGES["judges.md"]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("block", [b for page in PAGES.values() for b in blocks(page, "yaml")])
def test_parameters_are_valid(block, tmp_path):
    (tmp_path / "over.yaml").write_text(block)
    config.load([ROOT / "params.yaml", tmp_path / "over.yaml"])


def test_all_values_are_shown_with_their_defaults():
    server, directory = (yaml.safe_load(block) for block in blocks(JUDGES, "yaml"))
    shown = [
        (ServerModel, server["verifier"]["model"]),
        (Server, server["verifier"]["server"]),
        (DirectoryModel, directory["judge"]["model"]),
    ]
    for section, values in shown:
        assert set(values) == set(section.model_fields)
        for name, field in section.model_fields.items():
            assert field.default in (PydanticUndefined, values[name]), name


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    for path in re.findall(r"\b(?:workflow|speciarl|tests)/[\w./-]+\b", PAGES[page]):
        assert (ROOT / path).exists(), path


def test_prompts_are_named():
    for path in (ROOT / "speciarl/verifiers/prompts").glob("*.txt"):
        assert path.stem in JUDGES


def test_the_check_that_is_shown_succeeds():
    (line,) = re.findall(r"^speciarl (check .*)$", JUDGES, re.MULTILINE)
    arguments = [str(ROOT / word) if "/" in word or "." in word else word for word in line.split()]
    assert CliRunner().invoke(app, arguments).exit_code == 0
