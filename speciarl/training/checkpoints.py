"""Checkpoints that a killed run can trust: complete ones only, of the same run only."""

import shutil
from pathlib import Path

from accelerate import PartialState
from transformers import TrainerCallback

from speciarl.errors import TrainingError
from speciarl.files import read_done, write_done
from speciarl.training.processes import Processes

MARK = "progress.json"
KEPT = 2
"""How many checkpoints stay: the one before the newest is for when that is damaged."""


class MarkComplete(TrainerCallback):
    """Writes the run's own progress beside each checkpoint, as its last file, and removes old ones.

    TRL would remove the newest instead, when the clock has been set back: it goes by times.

    Args:
        progress: gives what the run needs beside TRL's own state, as JSON values.
    """

    def __init__(self, progress) -> None:
        self.progress = progress

    def on_save(self, args, state, control, **_) -> None:
        together = PartialState()
        together.wait_for_everyone()  # each process saves its own state of random numbers
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        saved = [path for path in folder.rglob("*") if path.is_file() and path.name != MARK]
        progress = {"devices": together.num_processes, **self.progress()}
        write_done(folder / MARK, progress, saved)
        for old in _newest_first(folder.parent)[KEPT:]:
            shutil.rmtree(old)


def latest_checkpoint(folder: Path, processes: Processes) -> tuple[Path, dict] | None:
    """The newest whole checkpoint and its progress; newer ones, incomplete or damaged, are removed.

    Raises:
        TrainingError: it is of another number of processes, which draw other completions.
    """
    found = processes.by_first(lambda: _latest(folder))
    if found and (before := found[1].get("devices", 1)) != processes.count:
        raise TrainingError(
            f"{found[0]} is of a training on {before} devices, this one has {processes.count}: "
            f"set training.devices to {before} to go on, or delete {folder} to begin anew"
        )
    return found


def _latest(folder: Path) -> tuple[Path, dict] | None:
    for path in _newest_first(folder):
        if (progress := read_done(path / MARK)) is not None:
            return path, progress
        shutil.rmtree(path)
    return None


def _newest_first(folder: Path) -> list[Path]:
    def step(path: Path) -> int:
        return int(path.name.rpartition("-")[2])

    return sorted(folder.glob("checkpoint-*"), key=step, reverse=True)
