"""Where TRL reports its metrics while it trains, beside the live table (`training.report_to`)."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from speciarl.errors import TrainingError
from speciarl.training.job import Job

PROJECT_NAME = "speciarl"


def require_reporters(names: Sequence[str]) -> None:
    """Refuse a reporter whose package is not there, before anything is loaded."""
    for name in names:
        if find_spec(name) is None:
            raise TrainingError(
                f"training.report_to names {name}, which is not installed: `pip install {name}`, "
                "or leave it out"
            )


def reporting_arguments(job: Job) -> dict[str, Any]:
    """TRL's arguments on the reporters, to which each seed is a run of its own.

    What they write lies beside the live table; TRL knows no other way than the environment.
    """
    names = job.settings.training.report_to
    if names and job.live:
        files = job.live.with_suffix("")
        files.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_PROJECT", PROJECT_NAME)
        os.environ |= {"TENSORBOARD_LOGGING_DIR": str(files), "WANDB_DIR": str(files.parent)}
    if "wandb" in names:
        import wandb

        wandb.finish()  # of the seed before: TRL would go on with its run
    return {
        "report_to": list(names), "run_name": f"{job.name}-{job.seed}", "project": PROJECT_NAME,
    }  # fmt: skip
