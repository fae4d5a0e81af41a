"""Checkpoints that a killed run can trust: complete ones only, of the same run only."""

import json
import shutil
from pathlib import Path

from transformers import TrainerCallback

MARK = "progress.json"


class MarkComplete(TrainerCallback):
    """Writes the run's own progress beside each checkpoint, as its last file.

    Args:
        progress: gives what the run needs beside TRL's own state, as JSON values.
    """

    def __init__(self, progress) -> None:
        self.progress = progress

    def on_save(self, args, state, control, **_) -> None:
        if not state.is_world_process_zero:
            return
        mark = Path(args.output_dir) / f"checkpoint-{state.global_step}" / MARK
        partial = mark.with_suffix(".part")
        partial.write_text(json.dumps(self.progress()))
        partial.replace(mark)


def latest_checkpoint(folder: Path) -> tuple[Path, dict] | None:
    """The newest complete checkpoint and its progress; incomplete ones are removed."""
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
