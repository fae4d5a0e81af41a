"""The processes that train together: the first of them decides and writes, the others wait for it.

`torch` and `accelerate` are imported where they are used: a run without training needs neither.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import polars as pl

from speciarl.errors import SpeciaRLError, TrainingError, one_line

WAIT = timedelta(minutes=30)
"""How long a process waits for the others: a judge's retries, and the hash of large weights."""

Value = TypeVar("Value")


def launched() -> bool:
    """Whether a launcher (`accelerate launch`, `torchrun`) has started this process."""
    return "WORLD_SIZE" in os.environ


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    index: int = 0
    count: int = 1

    @classmethod
    def join(cls) -> "Processes":
        """Find the others, and the device of this one, before anything is loaded onto it."""
        import torch
        from accelerate import PartialState

        without_gpu = not torch.cuda.is_available()
        if without_gpu:  # which it would number ("cpu:0"), as torch.load knows none
            os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")
        # Without `cpu` it would see itself alone where there is no GPU.
        state = PartialState(cpu=without_gpu, timeout=WAIT)
        return cls(state.process_index, state.num_processes)

    @property
    def first(self) -> bool:
        return self.index == 0

    def by_first(self, make: Callable[[], Value]) -> Value:
        """What the first process makes, in every process; so is what it fails of."""
        if self.count == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        outcome: list = [None, None]
        fault = None
        if self.first:
            try:
                outcome[0] = make()
            except Exception as error:  # of any kind: else the others wait for ever
                fault, outcome[1] = error, _for_others(error)
        broadcast_object_list(outcome)
        if fault:
            raise fault
        if outcome[1]:
            raise outcome[1]
        return outcome[0]

    def share(self, table: pl.DataFrame) -> pl.DataFrame:
        """The rows of a table that are for this process; `gather` puts shares in order again."""
        places = [table.height * index // self.count for index in (self.index, self.index + 1)]
        return table[places[0] : places[1]]

    def gather(self, values: list) -> list:
        """The values of all processes, in their order."""
        if self.count == 1:
            return values
        from accelerate.utils import gather_object

        return gather_object(values)


ALONE = Processes()


def _for_others(error: Exception) -> SpeciaRLError:
    """A fault of the first process as the others raise it: one line, and sure to be pickled."""
    if isinstance(error, SpeciaRLError):
        return error
    said = one_line(f"{type(error).__name__}: {error}")
    return TrainingError(f"the first process failed ({said}): see its traceback")
