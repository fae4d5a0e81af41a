"""Parameters other than params.yaml's: a folder of their own, or a refusal."""

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from speciarl.config import load, parse
from speciarl.errors import ConfigError
from speciarl.versioning.workspace import LINKED, open_workspace
from tests.presets import NAMES, ROOT, files_of

DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text())
OTHER = DEFAULT | {"grpo": DEFAULT["grpo"] | {"steps": 3}}


@pytest.fixture
def project(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/counts.csv").write_text("counts")
    return tmp_path


def test_params_yaml_alone_stays_in_the_project(project):
    assert open_workspace(parse(DEFAULT), project) is None
    assert not (project / "workspaces").exists()


@pytest.mark.parametrize("values", [DEFAULT, OTHER])
def test_a_named_workspace_is_a_folder_that_sees_what_runs_read(project, values):
    for _ in range(2):
        folder = open_workspace(parse(values | {"workspace": "trial"}), project)
        assert folder == project / "workspaces/trial"
        assert (folder / "data/counts.csv").read_text() == "counts"
        assert all((folder / name).is_symlink() for name in LINKED)


def test_other_values_without_a_workspace_are_refused(project):
    with pytest.raises(ConfigError, match="workspace=NAME"):
        open_workspace(parse(OTHER), project)


def test_a_workspace_in_params_yaml_is_refused(project):
    (project / "params.yaml").write_text(yaml.safe_dump(DEFAULT | {"workspace": "trial"}))
    with pytest.raises(ConfigError, match=r"params\.yaml: workspace is for what overrides"):
        open_workspace(parse(DEFAULT), project)


@pytest.mark.parametrize("preset", NAMES)
def test_every_preset_names_its_workspace(preset):
    """But rows to add to the paper's, whose runs they share."""
    of_another = {"ablations": "paper", "ablations-miniature": "ablations"}
    assert load(files_of(preset)).workspace == of_another.get(preset, preset)


def test_paths_of_a_workspace_lead_to_the_project():
    model = {"kind": "directory", "path": "models/judge"}
    values = DEFAULT | {
        "datasets": DEFAULT["datasets"]
        | {"offline_dir": "/media/archives", "folders": {"garden": {"path": "images/garden"}}}
        | {"mixed_scale": True},
        "policy": {"source": "directory", "path": "models/own"},
        "runs": {"a": {}, "b": {"verifier": {"backend": "cascade", "model": model}}},
        "judge": {"backend": "cascade", "model": model},
    }

    def paths(project):
        found = parse(values, project)
        folder = found.datasets.folders["garden"].path
        judges = [found.judge.model.path, found.section_of("b", "verifier").model.path]
        return [folder, found.policy.path, *judges, found.datasets.offline_dir]

    given = ["images/garden", "models/own", "models/judge", "models/judge", "/media/archives"]
    assert paths(None) == given
    assert paths(Path("../..")) == [*(f"../../{path}" for path in given[:4]), given[4]]


@pytest.mark.parametrize(
    ("edit", "line", "edited"),
    [
        ("specificity.generic=0.3", "  generic: 0.2\n", "  generic: 0.3\n"),
        ("grpo.beta=0.0", "  beta: 0.03\n", "  beta: 0.0\n"),
        ("runs.rft.reward=graded", "reward: binary, seeds", "reward: graded, seeds"),
    ],
)
def test_dvc_changes_no_other_line_of_params_yaml(tmp_path, edit, line, edited):
    """As `dvc exp run -S` does, which hands lists back as Python's."""
    file = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    file.write_text(before)
    apply_overrides(file, [edit])
    assert before.count(line) == 1
    assert file.read_text() == before.replace(line, edited)
