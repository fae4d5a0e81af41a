"""The page about judges shows all of their parameters, and what it names exists."""

import re
from pathlib import Path

import yaml
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from speciarl.cli.main import app
from speciarl.config.verifiers import DirectoryModel, Server, ServerModel

ROOT = Path(__file__).parents[2]
JUDGES = (ROOT / "docs/judges.md").read_text()


def test_all_values_are_shown_with_their_defaults():
    blocks = re.findall(r"```yaml\n(.*?)```", JUDGES, re.DOTALL)
    server, directory = map(yaml.safe_load, blocks)
    shown = [
        (ServerModel, server["verifier"]["model"]),
        (Server, server["verifier"]["server"]),
        (DirectoryModel, directory["judge"]["model"]),
    ]
    for section, values in shown:
        assert set(values) == set(section.model_fields)
        for name, field in section.model_fields.items():
            assert field.default in (PydanticUndefined, values[name]), name


def test_files_and_prompts_that_are_named_exist():
    for path in re.findall(r"\b(?:workflow|speciarl)/[\w./-]+\b", JUDGES):
        assert (ROOT / path).exists(), path
    for path in (ROOT / "speciarl/prompts/judge").glob("*.txt"):
        assert path.stem in JUDGES


def test_the_check_that_is_shown_succeeds():
    (line,) = re.findall(r"^speciarl (check .*)$", JUDGES, re.MULTILINE)
    arguments = [str(ROOT / word) if "/" in word or "." in word else word for word in line.split()]
    assert CliRunner().invoke(app, arguments).exit_code == 0
