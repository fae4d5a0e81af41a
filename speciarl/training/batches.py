"""How many completions go through the policy at once: a step's, cut over processes and updates."""

from typing import Any

from speciarl.config import Grpo, Sft
from speciarl.errors import TrainingError


def plan_batches(settings: Grpo, rollouts: int, processes: int) -> dict[str, Any]:
    """Cut `prompts_per_step` x `rollouts` completions over processes, micro-batches, updates.

    Returns:
        TRL's arguments (1.16), whole numbers by their names.

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
    return {
        "per_device_train_batch_size": micro,
        "steps_per_generation": steps,
        "gradient_accumulation_steps": steps // updates,
    }


def plan_supervised(settings: Sft, processes: int) -> dict[str, Any]:
    """Cut the `batch_size` examples of an optimizer step likewise.

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
    return {
        "per_device_train_batch_size": micro, "gradient_accumulation_steps": local // micro
    }  # fmt: skip


def _listed(number: int, below: int | None = None) -> str:
    """Divisors of a number, the largest first, the last ones left out where there are many."""
    found = [n for n in range(number, 0, -1) if number % n == 0 and n < (below or number + 1)]
    return ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
