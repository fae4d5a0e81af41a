"""A small disk fills up in the middle of a step: said so, and gone on once there is room.

The steps run on the real thing, a tmpfs, since what fails there, and in which words, is what no
fake would know.
"""

import tarfile
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from speciarl.cache import VerdictCache
from speciarl.datasets.fetch import download
from speciarl.datasets.sources import UNKNOWN, Source
from speciarl.datasets.unpack import unpack
from speciarl.disk import room_for
from speciarl.errors import DiskError
from speciarl.files import atomic_directory, write_json, write_parquet
from speciarl.policy.miniature.checkpoint import Checkpoint
from speciarl.stage import stage
from speciarl.training.checkpoints import MarkComplete, latest_checkpoint
from speciarl.training.processes import ALONE
from speciarl.verdicts import Judgment, Pair, Verdict

pytestmark = pytest.mark.faults

BIG = 1 << 20
NOISE = np.random.default_rng(0).bytes(BIG)


def archive_of_noise(folder):
    folder.mkdir(exist_ok=True)
    for number in range(2):
        (folder / f"{number}.jpg").write_bytes(NOISE)
    with tarfile.open(folder.with_suffix(".tgz"), "w:gz") as tar:
        tar.add(folder, "images")
    return folder.with_suffix(".tgz")


def downloads(disk, elsewhere):
    archive = archive_of_noise(elsewhere / "a")
    size, urls = archive.stat().st_size, (f"file://{archive}",)
    source = Source("real", "birds", "", "a.tgz", "", urls, size, UNKNOWN)
    return lambda: download("birds", [source], disk / "raw", elsewhere, None)


def unpacks(disk, elsewhere):
    archive = archive_of_noise(elsewhere / "a")
    return lambda: unpack(archive, disk / "raw")


def writes_parquet(disk, elsewhere):
    table = pl.DataFrame({"a": np.frombuffer(NOISE, np.int64)})
    return lambda: write_parquet(table, disk / "scores.parquet")


def stores_verdicts(disk, elsewhere):
    judged = Judgment(Verdict.GENERIC, "judge", judge_reply="generic", milliseconds=1.0)
    cache = VerdictCache(disk / "cache.duckdb", {"verifier": "t"}, "run")
    cache.put({Pair("first", "one"): judged})

    def put():
        cache.put({Pair("class", NOISE[i : i + 99].hex()): judged for i in range(9000)})

    return put


def saves_the_pretraining(disk, elsewhere):
    model = torch.nn.Linear(512, 512)
    optimizer, rng = torch.optim.AdamW(model.parameters()), np.random.default_rng(0)
    checkpoint = Checkpoint(disk / "work", {}, model, optimizer, rng)

    def save():
        checkpoint.saved = -1e9
        checkpoint.save_if_due(3)
        assert Checkpoint(disk / "work", {}, model, optimizer, rng).restore() == 3

    return save


def saves_a_checkpoint(disk, elsewhere):
    """As the trainer does: weights, optimizer, then our mark; with room for one, not for two."""
    mark = MarkComplete(lambda: {"rows": []})
    step = iter(range(2, 99, 2))

    def save():
        number = next(step)
        folder = disk / f"checkpoint-{number}"
        with room_for(folder):
            folder.mkdir()
            save_file({"w": torch.zeros(BIG // 8)}, folder / "adapter_model.safetensors")
            torch.save({"m": torch.zeros(BIG // 8)}, folder / "optimizer.pt")
        state = SimpleNamespace(is_world_process_zero=True, global_step=number)
        mark.on_save(SimpleNamespace(output_dir=str(disk)), state, None)
        assert latest_checkpoint(disk, ALONE)[0] == folder

    save()
    return save


def fills_a_folder(disk, elsewhere):
    def write():
        with atomic_directory(disk / "models/run") as folder:
            (folder / "adapter.bin").write_bytes(NOISE)

    return write


def writes_the_report(disk, elsewhere):
    return lambda: write_json(NOISE.hex(), disk / "report.html")


STEPS = (
    downloads, unpacks, writes_parquet, stores_verdicts, saves_the_pretraining, saves_a_checkpoint,
    fills_a_folder, writes_the_report,
)  # fmt: skip
SPARE = (0, 1 << 16, 1 << 18, 1 << 19)  # bytes


@pytest.mark.parametrize("spare", SPARE)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_says_so_and_goes_on_once_there_is_room(step, spare, small_disk, tmp_path):
    disk = small_disk(8 << 20)
    act = step(disk.path, tmp_path)
    before = visible(disk.path)
    disk.fill(spare)
    with pytest.raises(DiskError) as full:
        act()
    said = str(full.value)
    assert "no room left on the disk of" in said and str(disk.path) in said and "\n" not in said
    assert "fetch" not in said and "damaged" not in said
    after = visible(disk.path) - before - {disk.path / "fill"}
    assert not [path for path in after if path.suffix not in (".part", ".lock", ".wal")]
    disk.clear()
    act()


def visible(folder):
    """Files that could be taken for whole; an unmarked checkpoint is removed by the next start."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        p for p in files if not p.parent.name.startswith("checkpoint-") and ".claims" not in str(p)
    }


@pytest.mark.parametrize("step", STEPS[:4])
def test_a_stage_whose_log_is_on_the_same_disk(step, small_disk, tmp_path, monkeypatch, capsys):
    disk = small_disk(8 << 20)
    monkeypatch.chdir(disk.path)
    act = step(disk.path, tmp_path)
    disk.fill()
    with pytest.raises(SystemExit), stage("logs/download/birds.log"):
        print("a line")
        act()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no room left on the disk of ")
    disk.clear()
    with stage("logs/download/birds.log"):
        act()
