"""kill -9 at random moments of whoever writes a file, a folder, a marker or unpacks an archive."""

import multiprocessing
import random
import tarfile
import time

import pytest

from speciarl.datasets.unpack import unpack
from speciarl.files import atomic_directory, atomic_write, read_done, write_done

pytestmark = pytest.mark.faults

MARK = "progress.json"  # of speciarl.training.checkpoints, which takes seconds to import
KILLS, FILES, SIZE = 12, 5, 1 << 16
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["speciarl.cache", "speciarl.datasets.unpack"])


def content(number):
    return number.to_bytes(2, "big") * (SIZE // 2)


def numbers_in(folder):
    """What the files of a folder say, each of them whole."""
    found = [path.read_bytes() for path in folder.rglob("*.bin")]
    assert all(one == content(int.from_bytes(one[:2], "big")) for one in found)
    return [int.from_bytes(one[:2], "big") for one in found]


def fill(folder, number):
    for name in range(FILES):
        (folder / f"{name}.bin").write_bytes(content(number))


def write_file(folder, number):
    with atomic_write(folder / "one.bin") as partial:
        partial.write_bytes(content(number))


def one_file(folder):
    assert len(numbers_in(folder)) <= 1


def write_folder(folder, number):
    with atomic_directory(folder / "made") as partial:
        fill(partial, number)


def one_folder(folder):
    """It is absent for the moment between two renames, and never a mixture."""
    if (folder / "made").exists():
        assert len(found := numbers_in(folder / "made")) == FILES and len(set(found)) == 1


def write_marked(folder, number):
    step = folder / f"checkpoint-{number}"
    step.mkdir(exist_ok=True)
    fill(step, number)
    write_done(step / MARK, {"number": number}, step.glob("*.bin"))


def newest_whole(folder):
    from speciarl.training.checkpoints import latest_checkpoint
    from speciarl.training.processes import ALONE

    if found := latest_checkpoint(folder, ALONE):
        path, noted = found
        assert numbers_in(path) == [noted["number"]] * FILES


def unpack_again(folder, number):
    if not (archive := folder / "a.tar").exists() or number % 2:
        source = folder / "source"
        source.mkdir(exist_ok=True)
        fill(source, number)
        with atomic_write(archive) as partial, tarfile.open(partial, "w") as tar:
            tar.add(source, "images")
    unpack(archive, folder / "raw")


def unpacked_whole(folder):
    """Where the marker says so, and with nothing but what the archive holds after another start."""
    if (folder / "a.tar").exists():
        unpack(folder / "a.tar", folder / "raw")
        assert read_done(folder / "raw/.unpacked/a.tar")
        assert len(found := numbers_in(folder / "raw")) == FILES and len(set(found)) == 1


KINDS = {
    "file": (write_file, one_file),
    "folder": (write_folder, one_folder),
    "checkpoint": (write_marked, newest_whole),
    "unpack": (unpack_again, unpacked_whole),
}


def write_for_ever(kind, folder, first):
    number = first
    while True:
        KINDS[kind][0](folder, number)
        (folder / "reached").write_text("")
        number += 1


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_half_written_is_taken_for_whole(kind, tmp_path):
    chance = random.Random(kind)
    for kill in range(KILLS):
        process = PROCESSES.Process(target=write_for_ever, args=(kind, tmp_path, 1000 * kill))
        process.start()
        while not (tmp_path / "reached").exists() and process.is_alive():
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.join(30)
        assert process.exitcode == -9, "the writer ended before it was killed"
        (tmp_path / "reached").unlink()
        KINDS[kind][1](tmp_path)
