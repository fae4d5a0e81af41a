"""How many completions go through the policy at once: a step's, cut over processes and updates."""

from dataclasses import dataclass

from speciarl.config import Grpo, Sft
from speciarl.errors import TrainingError


@dataclass(frozen=True)
class BatchPlan:
    """How one generation batch is cut into the steps of TRL (1.16)."""

    per_device: int
    steps_per_generation: int
    gradient_accumulation: int


def plan_batches(settings: Grpo, rollouts: int, processes: int) -> BatchPlan:
    """Cut `prompts_per_step` x `rollouts` completions over processes, micro-batches, updates.

    Raises:
        TrainingError: the numbers do not divide, or a group would be split over processes, which
            would make group-relative rewards silently wrong. The line names numbers that do.
    """
    prompts, updates = settings.prompts_per_step, settings.updates_per_step
    if prompts % processes:
        lower = prompts // processes * processes
        near = " or ".join(str(n) for n in (lower, lower + processes) if n)
        raise TrainingError(
            f"grpo.prompts_per_step {prompts} does not divide over {processes} processes, and a "
            f"group of rollouts must not be split: take {near}, or training.devices "
            f"{_listed(prompts, below=processes)}"
        )
    local = prompts // processes * rollouts
    micro = min(settings.per_device_batch_size, local)
    if local % updates:
        raise TrainingError(
            f"grpo.updates_per_step {updates} does not divide the {local} completions that each of "
            f"{processes} processes has in a step: take {_listed(local)}"
        )
    if local % (micro * updates):
        raise TrainingError(
            f"grpo.per_device_batch_size {micro} x updates_per_step {updates} does not divide the "
            f"{local} completions that each of {processes} processes has in a step: take a "
            f"per_device_batch_size of {_listed(local // updates)}"
        )
    steps = local // micro
    return BatchPlan(micro, steps, steps // updates)


def plan_supervised(settings: Sft, processes: int) -> tuple[int, int]:
    """Examples in one forward pass of a process, and how many passes make an optimizer step.

    Raises:
        TrainingError: the numbers do not divide; the line names numbers that do.
    """
    batch = settings.batch_size
    if batch % processes:
        raise TrainingError(
            f"sft.batch_size {batch} does not divide over {processes} processes: take a multiple "
            f"of {processes}, or training.devices {_listed(batch, below=processes)}"
        )
    local = batch // processes
    micro = min(settings.per_device_batch_size, local)
    if local % micro:
        raise TrainingError(
            f"sft.per_device_batch_size {micro} does not divide the {local} examples that each of "
            f"{processes} processes has in a step: take {_listed(local)}"
        )
    return micro, local // micro


def _listed(number: int, below: int | None = None) -> str:
    """Divisors of a number, the largest first, the last ones left out where there are many."""
    found = [n for n in range(number, 0, -1) if number % n == 0 and n < (below or number + 1)]
    return ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
