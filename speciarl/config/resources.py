"""The section on resources: what a job of each heavy stage takes of a machine or a cluster."""

from typing import Annotated

from pydantic import Field

from speciarl.config.base import Count, Section


class Job(Section):
    """What one job takes; nothing here makes a stage run again."""

    gpu: Annotated[int, Field(ge=0)] | None = None
    """GPUs; null takes what the sections of the stage need (`Params.job`), 0 hides all."""
    threads: Count = 1
    """Processors; where several processes train, of all of them together."""
    memory: Count = 4
    """GB, of which a cluster lets it have no more."""
    runtime: Count = 60
    """Minutes, likewise."""


class Resources(Section):
    """A row for each stage that is worth a job of a cluster; the others run where Snakemake does.

    A run can have its own in `runs.RUN.resources`.
    """

    manifest: Job = Job()
    manifest_folder: Job = Job(threads=8)
    build_taxonomy: Job = Job()
    precompute_verdicts: Job = Job()
    build_policy: Job = Job(threads=2)
    train: Job = Job()
    predict: Job = Job()
    judge: Job = Job()
    score: Job = Job()
    report: Job = Job()
