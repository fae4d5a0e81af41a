"""kill -9 of the whole process group at a random moment of every stage, then start again."""

import json
import os
import random
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from speciarl.versioning.record import read_record

pytestmark = [pytest.mark.faults, pytest.mark.long]

ALL = ("snakemake", "--cores", "2", "--quiet", "rules", "progress", "host", "--", "all")
# A stage, and the seconds after its beginning in which the kill comes: fewer than it takes on an
# idle machine, or the stages behind it would be finished, too, and have no turn.
STAGES = {
    "render_mirror/cub200": 0.5, "download/cub200": 0.3, "precompute_verdicts/cub200": 1.0,
    "build_policy": 12.0, "train/sft": 4.0, "train/speciarl": 8.0, "predict/speciarl": 2.5,
    "judge/speciarl": 0.8, "score": 0.6, "report": 1.5, "version": 1.5,
}  # fmt: skip


def start_until(project, stage, seconds):
    """Start, and kill all of it so many seconds after a stage has begun; whether that was so."""
    log = project.folder / f"logs/{stage}.log"
    before = log.stat().st_mtime_ns if log.exists() else 0
    process = project.start(*ALL, start_new_session=True)
    while process.poll() is None and not (log.exists() and log.stat().st_mtime_ns > before):
        time.sleep(0.01)
    if began := process.poll() is None:
        time.sleep(seconds)
    for pid in descendants(process.pid):
        with suppress(ProcessLookupError):  # it has ended of itself
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    return began


def descendants(root):
    """A process and all that it has started, be they of another group."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # gone meanwhile
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def artifacts(project):
    return {p: h for one in read_record(project.folder / "dvc.lock").values()
            for p, h in one.artifacts.items()}  # fmt: skip


def test_a_kill_in_each_stage_changes_no_artifact(project, finished):
    chance = random.Random(0)
    for stage, seconds in STAGES.items():
        assert start_until(project, stage, chance.uniform(0, seconds)), f"{stage} had no turn"
        project.snakemake("--unlock")
    output = project.run(*ALL)
    assert not re.search("Traceback|fault:|error:", output)
    assert artifacts(project) == artifacts(finished)


DONE = {
    "marker of an archive": "data/raw/cub200/.unpacked/*",
    "list of a download": "data/raw/cub200/files.json",
    "record": "dvc.lock",
    "lock file of DVC": ".dvc/tmp/rwlock",
    "note of Snakemake": ".snakemake/metadata/*",
    "digest of a model": "models/*/digest.json",
    "digest of predictions": "results/predictions/*/digest.json",
}


@pytest.mark.parametrize("content", [b"", b"\0{]"], ids=["empty", "garbage"])
def test_a_damaged_marker_of_every_kind_blocks_no_start(content, finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    for name, pattern in DONE.items():
        paths = sorted(project.folder.glob(pattern))
        assert paths, name
        for path in paths:
            path.write_bytes(content)
    project.change(specificity={"generic": 0.3})  # so that there is something to do
    project.run(*ALL)
    assert json.loads((project.folder / ".dvc/tmp/rwlock").read_bytes()) is not None
    assert set(artifacts(project)) == set(artifacts(finished))
