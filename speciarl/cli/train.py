"""`speciarl train`: the training of one run, as its rule starts it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from speciarl.paths import LOGS, PROJECT

Files = Annotated[
    list[Path],
    typer.Option("--params", help="params.yaml, then what overrides it, an option each."),
]


def train(
    run: Annotated[str, typer.Argument(help="A row of runs.")],
    params_files: Files = [Path("params.yaml")],  # noqa: B006  # never changed
    threads: Annotated[int, typer.Option(min=1, help="Of each process.")] = 1,
    here: Annotated[
        bool, typer.Option("--here", help="The artifacts lie here, not in a workspace.")
    ] = False,
) -> None:
    """Train a run, on as many devices as training.devices says.

    What it begins with is there after the stages before it. `accelerate launch ...
    -m speciarl.cli.main train RUN` makes each process of the launcher one of the training.
    """
    from speciarl.config import load
    from speciarl.errors import ConfigError
    from speciarl.stage import stage
    from speciarl.training.launch import start
    from speciarl.versioning.workspace import open_workspace

    params = load(params_files)
    if run not in params.runs:
        raise ConfigError(f"{run} is not one of the runs: {', '.join(params.runs)}")
    workspace = None if here else open_workspace(params, PROJECT)
    if workspace:
        params = load([path.absolute() for path in params_files], None, Path("../.."))
        os.chdir(workspace)
    with stage(str(LOGS / "train" / f"{run}.log"), alone="RANK" not in os.environ):
        start(run, params, threads)
