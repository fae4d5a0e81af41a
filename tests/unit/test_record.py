"""Records of runs: read, made, compared; and the recipe of `make verify` around them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from speciarl.config import load
from speciarl.errors import DataError
from speciarl.versioning.record import (
    against_committed,
    artifacts_by_stage,
    by_rule,
    differences,
    make_record,
    read_record,
)

ROOT = Path(__file__).resolve().parents[2]


def lock(folder: Path, **changes: str) -> Path:
    """A dvc.lock of three stages, each made from the one before; `changes` by artifact."""
    hashes = {"param": "1", "facts": "f", "base": "b", "one": "o", "two": "t", "scores": "s"}
    hashes |= changes
    stages = {
        "build_policy": {
            "cmd": "x", "params": {"params.yaml": {"policy": hashes["param"]}},
            "outs": [{"path": "models/base", "md5": hashes["base"]}],
        },
        **{
            f"train@{name}": {
                "cmd": "x",
                "deps": [
                    {"path": "models/base", "md5": hashes["base"]},
                    {"path": "data/facts", "md5": hashes["facts"]},
                ],
                "outs": [{"path": f"models/{name}", "md5": hashes[name]}],
            }
            for name in ("one", "two")
        },
        "score": {
            "cmd": "x", "deps": [{"path": "models", "md5": f"{hashes['one']}{hashes['two']}"}],
            "outs": [{"path": "scores", "md5": hashes["scores"]}],
        },
    }  # fmt: skip
    path = folder / "dvc.lock"
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("changes", "stages", "edited"),
    [
        ({}, [], []),
        ({"scores": "other"}, ["score"], []),
        ({"one": "other", "scores": "other"}, ["train@one", "score"], []),
        ({"base": "other", "param": "2"}, ["build_policy"], ["build_policy"]),
        ({"facts": "other", "two": "other"}, ["train@two"], ["train@two"]),
        ({"facts": "other"}, [], []),  # and nothing came of it
    ],
)
def test_a_difference_is_found_by_stage_and_said_to_be_edited_or_not(
    tmp_path, changes, stages, edited
):
    one, other = (read_record(lock(tmp_path, **change)) for change in ({}, changes))
    found = differences(one, other)
    assert [each.stage for each in found] == stages
    assert [each.stage for each in found if each.edited] == edited
    assert [each.stage for each in differences(other, one)] == stages


def test_a_stage_on_one_side_only_is_a_difference(tmp_path):
    whole = read_record(lock(tmp_path))
    part = {name: stage for name, stage in whole.items() if name != "score"}
    for old, new in ((whole, part), (part, whole)):
        (found,) = differences(old, new)
        assert (found.stage, found.artifacts) == ("score", ["scores"])
    assert by_rule(differences({}, whole)) == "build_policy, train (2), score"


@pytest.mark.parametrize("text", ["", "[]", "stages: 1", "a: b", "{", "stages: {x: {outs: [1]}}"])
def test_what_is_no_record_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(DataError, match=r"dvc\.lock is no record"):
        read_record(tmp_path / "dvc.lock")
    with pytest.raises(DataError, match="cannot be read"):
        read_record(tmp_path / "absent.lock")


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=me", "-c", "user.email=me@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_last_line_of_a_run_says_what_differs_from_the_commit_and_why(tmp_path):
    path = lock(tmp_path)
    assert "not in git" in against_committed(path)
    git(tmp_path, "init")
    git(tmp_path, "add", "dvc.lock")
    git(tmp_path, "commit", "-m", "one")
    assert against_committed(path) == "all 4 artifacts as committed"
    lock(tmp_path, base="other", one="other", two="other", scores="other")
    said = against_committed(path)
    assert "build_policy, train (2), score" in said and "rounds otherwise" in said
    lock(tmp_path, param="2", base="other", one="other", two="other", scores="other")
    assert "build_policy ran with other parameters" in against_committed(path)


def test_a_record_names_the_artifacts_that_dvc_names():
    params = load([ROOT / "params.yaml"]).model_dump()
    with Repo(str(ROOT)) as repo:
        expected = {s.addressing: {o.def_path for o in s.outs} for s in repo.index.stages}
    found = artifacts_by_stage(ROOT / "dvc.yaml", params)
    assert {stage: set(paths) for stage, paths in found.items()} == expected


def test_a_changed_artifact_changes_its_stage_in_a_record_and_no_other(tmp_path):
    params = load([ROOT / "params.yaml"]).model_dump()
    for path in ("models/base/weights", "results/scores.parquet", "results/metrics.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("one")

    def record(name):
        made = make_record(ROOT / "dvc.yaml", params, tmp_path)
        assert made["params"] == params
        (tmp_path / name).write_text(json.dumps(made))
        return read_record(tmp_path / name)

    before = record("before.json")
    assert set(before) == {"build_policy", "score"}
    (tmp_path / "models/base/weights").write_text("two")
    (found,) = differences(before, record("after.json"))
    assert (found.stage, found.artifacts) == ("build_policy", ["models/base"])


# Stands for a run: a clean clone gets a record, the second one another if ALTER says so.
SNAKEMAKE = """#!/bin/sh
test -f Makefile || exit 3
test "$PYTHONPATH" = . || exit 4
cp "$RECORDS/$(basename "$PWD")" dvc.lock
"""


@pytest.mark.parametrize(("changes", "code"), [({}, 0), ({"one": "other"}, 2)])
def test_verify_runs_twice_in_clean_clones_and_compares(tmp_path, changes, code):
    project, records, binaries = (tmp_path / name for name in ("project", "records", "venv/bin"))
    for folder in (project, records, binaries):
        folder.mkdir(parents=True)
    lock(records).rename(records / "first")
    lock(records, **changes).rename(records / "second")
    (binaries / "snakemake").write_text(SNAKEMAKE)
    (binaries / "snakemake").chmod(0o755)
    (binaries / "speciarl").symlink_to(Path(sys.executable).with_name("speciarl"))
    (project / "Makefile").write_text((ROOT / "Makefile").read_text())
    git(project, "init")
    git(project, "add", ".")
    git(project, "commit", "-m", "one")
    installed = tmp_path / "venv/.installed"
    done = subprocess.run(
        ["make", "--old-file", str(installed), "verify", f"VENV={tmp_path / 'venv'}"],
        cwd=project, capture_output=True, text=True,
        env=os.environ | {"RECORDS": str(records), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert f"{len(changes)} of 4 artifacts differ" in done.stdout
    assert ("train@one\n  models/one" in done.stdout) == bool(changes)
    assert not list(tmp_path.glob("tmp.*"))
