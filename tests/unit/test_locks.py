"""File systems whose locks do not work are refused before a store on them is opened."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from speciarl.cache import VerdictCache, lock
from speciarl.errors import CacheError

MOUNT = "36 25 0:33 / {folder} rw,relatime shared:1 - {kind} server:/export rw,{options}\n"


@pytest.fixture(autouse=True)
def _looked_at_nothing():
    lock.require_locks.cache_clear()
    yield
    lock.require_locks.cache_clear()


def open_store(folder):
    return VerdictCache(folder / "cache.duckdb", {"backend": "test"}, "run")


def refused(folder):
    with pytest.raises(CacheError) as caught:
        open_store(folder)
    said = str(caught.value)
    assert said.startswith(f"{folder}: ") and "\n" not in said
    assert "set verdicts.store to a file on a disk of this machine" in said
    assert not (folder / "cache.duckdb").exists()
    return said


def test_a_lock_here_keeps_another_process_out(tmp_path):
    """What the check tells by two open files of one process holds between two processes."""
    lock.require_locks(tmp_path)
    file = tmp_path / "held"
    handle = os.open(file, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    take = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    other = subprocess.run([sys.executable, "-c", take, str(file)], capture_output=True, text=True)
    os.close(handle)
    assert "BlockingIOError" in other.stderr
    assert list(tmp_path.iterdir()) == [file], "the check leaves nothing behind"


@pytest.mark.parametrize("kind", ["flock", "fcntl"])
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_locks_that_fail(tmp_path, monkeypatch, kind, number):
    def fails(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, kind, fails)
    assert f"files there cannot be locked ({os.strerror(number)})" in refused(tmp_path)


@pytest.mark.parametrize("kind", ["flock", "fcntl"])
def test_locks_that_keep_nobody_out(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(fcntl, kind, lambda *arguments: None)
    assert "a lock on a file there keeps nobody out" in refused(tmp_path)


@pytest.mark.parametrize(
    ("kind", "options", "fault"),
    [
        ("nfs4", "vers=4.2,hard,local_lock=none", None),
        ("nfs", "vers=3,local_lock=all", "local_lock=all"),
        ("nfs", "vers=3,local_lock=flock", "local_lock=flock"),
        ("nfs", "vers=3,nolock", "nolock"),
        ("lustre", "flock,lazystatfs", None),
        ("lustre", "localflock,lazystatfs", "localflock"),
    ],
)
def test_locks_of_one_node_only(tmp_path, monkeypatch, kind, options, fault):
    folder = tmp_path / "a shared disk"
    (folder / "below").mkdir(parents=True)
    escaped = str(folder).replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        MOUNT.format(folder="/", kind="nfs", options="nolock")
        + MOUNT.format(folder=escaped, kind=kind, options=options)
    )
    monkeypatch.setattr(lock, "MOUNTS", mounts)
    if fault is None:
        assert len(open_store(folder / "below")) == 0
    else:
        assert f"it is mounted with {fault}, where" in refused(folder / "below")
