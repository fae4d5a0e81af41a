"""A disk that cannot be written is one line that says so, in whose words ever the fault comes."""

import errno
import logging
import os
import sys
import zipfile

import pytest

from speciarl import disk, stage
from speciarl.datasets import fetch, unpack
from speciarl.datasets.sources import UNKNOWN, Source
from speciarl.disk import disk_error, full_disk, room_for
from speciarl.errors import DataError, DiskError
from speciarl.files import atomic_directory, atomic_write, read_done, write_done

NO_ROOM = OSError(errno.ENOSPC, "No space left on device")
SAID = {
    "python": NO_ROOM,
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "polars": ValueError(
        "parquet: File out of specification: underlying IO error: No space left on device"
    ),
    "duckdb": RuntimeError('IO Error: Could not write file "x": No space left on device'),
    "safetensors": RuntimeError("I/O error: No space left on device (os error 28)"),
    "torch": RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed"),
}


@pytest.mark.parametrize("said", SAID)
def test_a_full_disk_is_named_with_what_is_needed_and_free(said, tmp_path):
    found = str(full_disk(SAID[said], tmp_path / "not/made", needed=12345))
    assert "\n" not in found and "start again" in found and "out of spec" not in found[:80]
    assert found.startswith(f"no room left on the disk of {tmp_path / 'not/made'} (12345 bytes are")


def test_the_cause_of_a_fault_counts_and_so_does_a_disk_without_a_byte(tmp_path, monkeypatch):
    try:
        try:
            raise NO_ROOM
        finally:
            raise AttributeError("'_idat' object has no attribute 'fileno'")  # as Pillow does
    except AttributeError as error:
        assert full_disk(error, tmp_path)
    odd = RuntimeError("unexpected pos 576 vs 534")
    assert full_disk(odd, tmp_path) is None
    monkeypatch.setattr(disk, "free", lambda path: 4095)
    assert full_disk(odd, tmp_path)
    assert full_disk(DataError("known"), tmp_path) is None


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_file_that_may_not_be_written_is_named(number, tmp_path):
    refused = OSError(number, os.strerror(number), str(tmp_path / "file"))
    assert str(disk_error(refused, tmp_path)).startswith(f"{tmp_path / 'file'}: ")
    assert full_disk(refused, tmp_path) is None
    assert disk_error(FileNotFoundError(errno.ENOENT, "x"), tmp_path) is None


def fail(*_, **__):
    raise NO_ROOM


@pytest.mark.parametrize("kind", [atomic_write, atomic_directory])
def test_nothing_is_left_of_what_had_no_room(kind, tmp_path):
    with pytest.raises(DiskError, match="no room"), kind(tmp_path / "made"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_reason_to_fetch_a_good_archive_again(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("folder/file", "content")
    monkeypatch.setattr(unpack, "_write", fail)
    with pytest.raises(DiskError) as full:
        unpack.unpack(tmp_path / "a.zip", tmp_path / "into")
    assert "fetch" not in str(full.value) and "damaged" not in str(full.value)
    monkeypatch.undo()
    assert unpack.unpack(tmp_path / "a.zip", tmp_path / "into") == [tmp_path / "into/folder"]


def test_a_download_without_room_tries_no_other_place(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "_get", fail)
    source = Source("miniature", "birds", "", "a.zip", "", ("file://a", "file://b"), 777, UNKNOWN)
    with pytest.raises(DiskError, match="777 bytes are needed"):
        fetch.fetch(source, tmp_path / "raw", tmp_path, None)


def test_a_log_without_room_loses_lines_and_ends_no_stage(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/one.log").symlink_to("/dev/full")
    with stage.stage("logs/one.log"):
        print("lost")
        logging.getLogger("x").warning("lost, too")
    assert capsys.readouterr().err.split() == ["one", "0", "s"]


def test_a_log_is_utf8_whatever_the_locale_is(tmp_path):
    with stage.stage(str(tmp_path / "one.log")):
        print("Grünfink \udc80")
    assert (tmp_path / "one.log").read_text("utf-8") == "Grünfink \\udc80\n"


def test_a_stage_without_room_is_one_line_also_where_its_log_has_none(tmp_path, capsys):
    (tmp_path / "one.log").symlink_to("/dev/full")
    with pytest.raises(SystemExit), stage.stage(str(tmp_path / "one.log")):
        raise SAID["polars"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no room left on the disk of ")


def test_a_log_that_may_not_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stage.Path, "write_bytes", refuse)
    with pytest.raises(SystemExit), stage.stage(str(tmp_path / "one.log")):
        print("not reached", file=sys.stderr)
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'one.log'}: ")


def refuse(path, content):
    raise OSError(errno.EROFS, "Read-only file system", str(path))


GARBAGE = [
    b"", b"\n", b"{", b"\xff\xfe", b"null", b"[]", b"{}", b'{"done": 1}',
    b'{"done": 1, "files": 2}', b'{"done": 1, "files": {"gone": "00"}}', b"[" * 9999,
]  # fmt: skip


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
def test_a_damaged_marker_is_none(content, tmp_path):
    (tmp_path / "marker").write_bytes(content)
    assert read_done(tmp_path / "marker") is None


def test_a_marker_gives_its_value_as_long_as_its_files_are_whole(tmp_path):
    (tmp_path / "file").write_text("content")
    write_done(tmp_path / "marker", ["värde", 1], [tmp_path / "file"])
    assert read_done(tmp_path / "marker") == ["värde", 1]
    (tmp_path / "file").write_text("Content")
    assert read_done(tmp_path / "marker") is None


def test_what_is_no_fault_of_a_disk_passes(tmp_path):
    with pytest.raises(KeyError), room_for(tmp_path):
        raise KeyError("x")
