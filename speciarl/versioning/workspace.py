"""A run with other parameters than params.yaml has a folder of its own, and a record of its own."""

import os
from contextlib import suppress
from pathlib import Path

from speciarl.config import Params, load
from speciarl.errors import ConfigError

FOLDER = "workspaces"
LINKED = (
    "dvc.yaml", "data/sources.csv", "data/counts.csv", "data/taxonomies", "speciarl", "workflow",
)  # fmt: skip


def open_workspace(params: Params, project: Path) -> Path | None:
    """Make the folder that a run's artifacts go into, with links to what it reads of the project.

    Returns:
        The folder; None where params.yaml is all there is, whose artifacts lie in the project
        itself and whose record is dvc.lock.

    Raises:
        ConfigError: other values than those of params.yaml and no name for their folder, or
            params.yaml names one itself.
    """
    default = load([project / "params.yaml"])
    if default.workspace is not None:
        raise ConfigError(
            "params.yaml: workspace is for what overrides this file: name it in a preset, or with "
            f"`--config workspace={default.workspace}`"
        )
    if params.workspace is None:
        if params.model_dump() != default.model_dump():  # what jobs take needs no folder
            raise ConfigError(
                "other parameters than those of params.yaml need a folder of their own: add "
                "`--config workspace=NAME` (for workspaces/NAME), or edit params.yaml"
            )
        return None
    folder = project / FOLDER / params.workspace
    for name in LINKED:
        link = folder / name
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # several processes of one training begin at once
                link.symlink_to(os.path.relpath(project / name, link.parent))
    return folder
