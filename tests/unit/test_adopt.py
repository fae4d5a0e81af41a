"""What Snakemake takes over from dvc.lock, and when not; tests/workflow has the whole of it."""

import copy
import shutil
from pathlib import Path

import yaml

from speciarl.versioning.adopt import adopt, recorded_params

ROOT = Path(__file__).resolve().parents[2]
LOCK = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]


def test_the_parameters_of_all_stages_are_put_together():
    def stage(**params):
        return {"params": {"params.yaml": {k.replace("__", "."): v for k, v in params.items()}}}

    whole = {"splits": {"a": "official"}, "mirror": "miniature"}
    stages = {
        "download@a": stage(datasets__mirror="miniature"),
        "manifest@a": stage(datasets__splits__a="official"),
        "build_taxonomy": {},
        "report": stage(datasets=whole, grpo={"kl": 0.1}),
        "train@x": stage(runs__x={"method": "sft"}),
    }
    before = copy.deepcopy(stages)
    expected = {"datasets": whole, "grpo": {"kl": 0.1}, "runs": {"x": {"method": "sft"}}}
    assert recorded_params(stages) == expected
    assert recorded_params(dict(reversed(stages.items()))) == expected
    assert stages == before


def test_the_committed_record_knows_every_section():
    found = recorded_params(LOCK)
    report = LOCK["report"]["params"]["params.yaml"]
    assert {section: found[section] for section in report} == report


def test_without_git_the_record_is_left_aside_in_one_line(tmp_path, capsys):
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / "dvc.lock", tmp_path)
    (tmp_path / "data/mirror/cub200").mkdir(parents=True)
    adopt(tmp_path)
    said = capsys.readouterr().err
    assert said.startswith("dvc.lock is left aside: ") and said.count("\n") == 1


def test_notes_that_snakemake_has_are_not_touched(tmp_path, capsys):
    (tmp_path / ".snakemake/metadata").mkdir(parents=True)
    (tmp_path / ".snakemake/metadata/note").write_text("{}")
    shutil.copy(ROOT / "dvc.lock", tmp_path)
    adopt(tmp_path)
    assert capsys.readouterr().err == ""  # it would have looked, and missed git


def test_where_nothing_was_pulled_dvc_is_not_asked(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/metrics.json").write_text("{}")  # which git keeps
    shutil.copy(ROOT / "dvc.lock", tmp_path)
    adopt(tmp_path)
    assert capsys.readouterr().err == ""  # it would have looked, and missed git
