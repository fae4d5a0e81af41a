"""Which checkpoint a run goes on from: the newest complete one, and no other."""

import os
from types import SimpleNamespace

import pytest

from speciarl.errors import TrainingError
from speciarl.files import write_done
from speciarl.training.checkpoints import MARK, MarkComplete, latest_checkpoint
from speciarl.training.processes import Processes


def checkpoint(folder, step, progress=None):
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / "weights").write_text(str(step))
    if progress is not None:
        write_done(path / MARK, progress, [path / "weights"])
    return path


def test_the_newest_by_number_is_chosen_with_its_own_progress(tmp_path):
    """Not the oldest, nor the last by name (9 stands after 100), nor the last written."""
    paths = {step: checkpoint(tmp_path, step, {"rows": step}) for step in (100, 9, 20)}
    os.utime(paths[100], (0, 0))
    assert latest_checkpoint(tmp_path, Processes()) == (paths[100], {"rows": 100})
    assert all(path.is_dir() for path in paths.values())


def test_an_incomplete_one_is_removed_and_the_one_before_it_chosen(tmp_path):
    whole = checkpoint(tmp_path, 20, {"rows": []})
    killed = checkpoint(tmp_path, 40)
    (killed / f".{MARK}.part").write_text("{")
    assert latest_checkpoint(tmp_path, Processes()) == (whole, {"rows": []})
    assert not killed.exists() and (whole / "weights").read_text() == "20"


def test_nothing_complete_is_a_fresh_start(tmp_path):
    assert latest_checkpoint(tmp_path, Processes()) is None
    checkpoint(tmp_path, 5)
    (tmp_path / "runs").mkdir()
    assert latest_checkpoint(tmp_path, Processes()) is None
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize("first", [True, False])
def test_the_first_process_marks_what_is_saved_with_what_is_so_far(first, tmp_path):
    path = checkpoint(tmp_path, 7)
    rows = []
    mark = MarkComplete(lambda: {"rows": rows})
    rows.append("later")
    state = SimpleNamespace(is_world_process_zero=first, global_step=7)
    mark.on_save(SimpleNamespace(output_dir=str(tmp_path)), state, None, model=None)
    assert sorted(p.name for p in path.iterdir()) == ([MARK, "weights"] if first else ["weights"])
    if first:
        assert latest_checkpoint(tmp_path, Processes()) == (path, {"devices": 1, "rows": ["later"]})


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + b"x" * 9),
    "garbage": lambda path: path.write_bytes(b"\xff\x00{]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["weights", "rng_state_1.pth", "nested/shard", MARK])
def test_one_damaged_in_any_single_file_is_left_for_the_one_before(name, damage, tmp_path, caplog):
    mark = MarkComplete(lambda: {"rows": [1]})
    for step in (20, 40):
        path = checkpoint(tmp_path, step)
        (path / "nested").mkdir()
        for other in ("rng_state_1.pth", "nested/shard"):
            (path / other).write_text(f"{other} {step}")
        save(mark, tmp_path, step)
    DAMAGES[damage](tmp_path / "checkpoint-40" / name)
    assert latest_checkpoint(tmp_path, Processes())[0].name == "checkpoint-20"
    assert not (tmp_path / "checkpoint-40").exists()
    assert [str(tmp_path / "checkpoint-40" / MARK) in line for line in caplog.messages] == (
        [] if (name, damage) == (MARK, "gone") else [True]
    )


def save(mark, folder, step):
    state = SimpleNamespace(is_world_process_zero=True, global_step=step)
    mark.on_save(SimpleNamespace(output_dir=str(folder)), state, None)


def test_the_newest_two_stay_by_number_whatever_the_clock_says(tmp_path):
    mark = MarkComplete(dict)
    for step in (9, 20, 100, 120):
        path = checkpoint(tmp_path, step)
        save(mark, tmp_path, step)
        os.utime(path, (10**9 - step, 10**9 - step))  # the clock goes backwards
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-100", "checkpoint-120"}


@pytest.mark.parametrize(("noted", "now"), [({}, 2), ({"devices": 2}, 1), ({"devices": 2}, 4)])
def test_one_of_another_number_of_processes_is_refused_and_kept(noted, now, tmp_path, monkeypatch):
    path = checkpoint(tmp_path, 20, noted)
    monkeypatch.setattr(Processes, "by_first", lambda processes, make: make())
    with pytest.raises(TrainingError) as refused:
        latest_checkpoint(tmp_path, Processes(count=now))
    before = noted.get("devices", 1)
    assert str(refused.value) == (
        f"{path} is of a training on {before} devices, this one has {now}: set training.devices to "
        f"{before} to go on, or delete {tmp_path} to begin anew"
    )
    assert path.is_dir()
    assert latest_checkpoint(tmp_path, Processes(count=before)) == (path, noted)
