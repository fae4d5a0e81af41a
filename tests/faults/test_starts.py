"""Two starts at once, edits meanwhile, a lock that a kill left, places that are hard to read."""

import os
import signal
import subprocess
import time

import pytest

from speciarl.files import write_digest
from speciarl.versioning.record import read_record, remove_damaged

pytestmark = pytest.mark.faults

TABLE = "data/manifests/cub200.parquet"
QUIET = ("--quiet", "rules", "progress", "host", "--")
LOCKS = ".snakemake/locks"


def wait_for(project, path, process):
    """Until a running start has made that file; a start that ends first has failed."""
    while not (project.folder / path).exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def kill_group(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_second_start_is_refused_and_a_killed_one_says_how_to_unlock(project):
    command = ("snakemake", "--cores", "2", *QUIET, TABLE)
    first = project.start(*command, start_new_session=True)
    wait_for(project, LOCKS, first)
    wait_for(project, "logs/render_mirror/cub200.log", first)
    os.killpg(first.pid, signal.SIGSTOP)  # however long the second takes to start
    refused = project.run(*command, code=1)
    assert "--unlock" in refused.splitlines()[-1]
    kill_group(first)
    assert not (project.folder / TABLE).exists()
    left = project.run(*command, code=1)
    assert "--unlock" in left.splitlines()[-1] and "Traceback" not in left
    project.snakemake("--unlock")
    project.run(*command)
    assert (project.folder / TABLE).exists()


def test_parameters_edited_while_it_runs_are_those_of_the_next_start(project):
    """Half of this run has begun with the old ones: all of it is made with them."""
    started = project.start("snakemake", "--cores", "1", *QUIET, TABLE)
    wait_for(project, "logs/render_mirror/cub200.log", started)
    project.change(miniature={"train_per_class": 3})
    output, _ = started.communicate(timeout=120)
    assert started.returncode == 0, output
    images = len(list((project.folder / "data/raw/cub200").rglob("*.jpg")))
    project.snakemake(*QUIET, TABLE)
    assert len(list((project.folder / "data/raw/cub200").rglob("*.jpg"))) == images * 5 // 4


def test_a_checkout_in_a_folder_that_is_hard_to_name(project):
    moved = project.folder.rename(project.folder.with_name("-it's a Grünfink"))
    project.folder = moved
    output = project.snakemake(*QUIET, TABLE, code=None)
    assert (moved / TABLE).exists(), output


def test_an_ascii_locale(project):
    """Also where Python is told to follow it, instead of taking UTF-8 for the C locale."""
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    prefix = ["env", *(f"{name}={value}" for name, value in environment.items())]
    garden = project.folder / "images/garden"
    min(garden.iterdir()).rename(garden / "blue Grünfink")
    targets = [TABLE, "data/manifests/garden.parquet", "data/taxonomy/cub200.parquet"]
    project.run(*prefix, "snakemake", "--cores", "2", *QUIET, *targets)
    said = project.run(*prefix, "speciarl", "judge", "Herring Gull", "eine Möwe")
    assert said.splitlines()[0] == "undecided"  # no rule knows the word


def test_results_that_may_not_be_written_are_named(project, small_disk):
    """As root may write everywhere: a disk that is read-only."""
    disk = small_disk()
    (project.folder / "data/manifests").symlink_to(disk.path)
    subprocess.run(["mount", "-o", "remount,ro", str(disk.path)], check=True)
    output = project.snakemake(*QUIET, TABLE, code=1)
    assert "Read-only file system" in output and "fault:" not in output
    subprocess.run(["mount", "-o", "remount,rw", str(disk.path)], check=True)
    project.snakemake(*QUIET, TABLE)


def test_a_full_folder_for_temporary_files_is_one_line_before_any_job(project, small_disk):
    disk = small_disk()
    disk.fill()
    start = ("env", f"TMPDIR={disk.path}", "snakemake", "--cores", "2", *QUIET, TABLE)
    output = project.run(*start, code=2)
    (line,) = [line for line in output.splitlines() if line.startswith("error:")]
    assert str(disk.path) in line and "Traceback" not in output
    disk.clear()
    project.run(*start)


CUT = [b"", b"schema: '2.0'\nstages:\n  list_", b"\0" * 40]


@pytest.mark.parametrize("content", CUT, ids=["empty", "cut", "zeros"])
def test_what_dvc_was_writing_when_the_disk_was_full_blocks_no_start(content, tmp_path):
    files = [tmp_path / "dvc.lock", tmp_path / ".dvc/tmp/rwlock"]
    files[1].parent.mkdir(parents=True)
    for path in files:
        path.write_bytes(content)
    remove_damaged(tmp_path)
    assert not any(path.exists() for path in files)
    files[0].write_text("schema: '2.0'\nstages: {}\n")
    files[1].write_text("{}")
    remove_damaged(tmp_path)
    assert read_record(files[0]) == {} and files[1].read_text() == "{}"


@pytest.mark.parametrize("content", CUT, ids=["empty", "cut", "zeros"])
@pytest.mark.parametrize("folder", ["models/sft", "results/predictions/sft"])
def test_a_damaged_digest_is_made_anew_as_it_was(folder, content, tmp_path):
    (tmp_path / folder / "42").mkdir(parents=True)
    (tmp_path / folder / "42/weights").write_text("some")
    write_digest(tmp_path / folder)
    digest = tmp_path / folder / "digest.json"
    whole = digest.read_bytes()
    digest.write_bytes(content)
    remove_damaged(tmp_path)
    assert digest.read_bytes() == whole


def test_a_clock_set_back_is_said_and_ends_nothing_for_good(project):
    """All that is there is of tomorrow, and one input is edited today."""
    project.snakemake(*QUIET, TABLE)
    set_times(project, time.time() + 86400)
    project.change(miniature={"train_per_class": 3})
    output = project.snakemake(*QUIET, TABLE, code=1)
    assert "has older modification time" in output and "Traceback" not in output
    set_times(project, time.time() - 60)
    project.snakemake(*QUIET, TABLE)
    assert "Nothing to be done" in project.snakemake("--", TABLE)


def set_times(project, moment):
    for path in project.folder.rglob("*"):
        os.utime(path, (moment, moment), follow_symlinks=False)
