"""What a training shows while it runs: a line in its log, how far it is, and a table that grows.

The table is to be looked at (`tail -F`, `dvc plots show`) and no artifact: it has what no second
run repeats, seconds and tokens a second.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import polars as pl
from transformers import TrainerCallback

from speciarl.disk import room_for
from speciarl.files import write_rows
from speciarl.progress import Progress

log = logging.getLogger(__name__)


class LogSteps(TrainerCallback):
    """Shows every step, when the last of its updates is done.

    Args:
        table: from TRL's history (`state.log_history`) to a row for each step so far.
        updates: of the optimizer, in a step.
        live: the file that the rows are appended to, as CSV; begun anew by every start.
        note: columns that stand beside the progress, and how ("{:.0%} specific").
    """

    def __init__(
        self,
        table: Callable[[list[dict]], pl.DataFrame],
        *,
        note: dict[str, str],
        updates: int = 1,
        live: Path | None = None,
    ) -> None:
        self.table = table
        self.note = note
        self.updates = updates
        self.live = live
        self.shown = 0

    def on_train_begin(self, args, state, control, **_) -> None:
        if not state.is_world_process_zero:
            return
        if self.live:
            self.live.parent.mkdir(parents=True, exist_ok=True)
            self.live.unlink(missing_ok=True)
        if state.log_history:  # of an interrupted start
            before = self.table(state.log_history)
            self.shown = before.height
            self._append(before)
        self.progress = Progress("steps", state.max_steps // self.updates, self.shown)

    def on_log(self, args, state, control, **_) -> None:
        if not state.is_world_process_zero or state.global_step % self.updates:
            return
        rows = self.table(state.log_history)[self.shown :]
        for number, row in enumerate(rows.iter_rows(named=True), self.shown + 1):
            known = {name: value for name, value in row.items() if value is not None}
            text = " ".join(
                f"{name}={value:.4g}" for name, value in known.items() if name != "step"
            )
            log.info("step %d/%d %s", number, self.progress.total, text)
            note = [form.format(known[name]) for name, form in self.note.items() if name in known]
            self.progress.reached(number, ", ".join(note))
        self.shown += rows.height
        self._append(rows)

    def _append(self, rows: pl.DataFrame) -> None:
        if self.live and not rows.is_empty():
            with room_for(self.live), self.live.open("a") as file:
                write_rows(rows, file, header=file.tell() == 0, float_precision=6)
