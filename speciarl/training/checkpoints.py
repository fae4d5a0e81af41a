"""Checkpoints that a killed run can trust: complete ones only, of the same run only."""

import json
import shutil
from pathlib import Path

from accelerate import PartialState
from transformers import TrainerCallback

from speciarl.errors import TrainingError
from speciarl.training.processes import Processes

MARK = "progress.json"


class MarkComplete(TrainerCallback):
    """Writes the run's own progress beside each checkpoint, as its last file.

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
        mark = Path(args.output_dir) / f"checkpoint-{state.global_step}" / MARK
        partial = mark.with_suffix(".part")
        partial.write_text(json.dumps({"devices": together.num_processes, **self.progress()}))
        partial.replace(mark)


def latest_checkpoint(folder: Path, processes: Processes) -> tuple[Path, dict] | None:
    """The newest complete checkpoint and its progress; incomplete ones are removed.

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
    complete = []
    for path in folder.glob("checkpoint-*"):
        if (path / MARK).is_file():
            complete.append(path)
        else:
            shutil.rmtree(path)
    if not complete:
        return None
    newest = max(complete, key=lambda path: int(path.name.rpartition("-")[2]))
    return newest, json.loads((newest / MARK).read_text())
