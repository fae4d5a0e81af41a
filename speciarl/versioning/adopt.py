"""After `git clone` and `dvc pull`: tells Snakemake what has made the files that DVC put there.

Snakemake goes by its own notes, which no clone has, and by times, which DVC does not keep. dvc.lock
names the parameters and the content that every file was made with: where they still hold,
Snakemake's own --touch makes the notes anew; where they do not, the stage runs again.
"""

import copy
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from speciarl.versioning.record import remove_damaged, value_of

ADOPTING = "SPECIARL_ADOPTING"  # set in the process that makes the notes
TOUCH = ("--cores", "1", "--touch", "--forceall", "--quiet", "all", "--replace-workflow-config")


def adopt(project: Path) -> None:
    """Make Snakemake's notes of what dvc.lock vouches for, where Snakemake has none at all."""
    notes, lock = project / ".snakemake/metadata", project / "dvc.lock"
    remove_damaged(project)
    if ADOPTING in os.environ or not lock.is_file() or (notes.is_dir() and any(notes.iterdir())):
        return
    stages = yaml.load(lock.read_bytes(), yaml.CSafeLoader).get("stages", {})
    made = (out["path"] for stage in stages.values() for out in stage.get("outs", []))
    kept = (path for path in made if not path.startswith("results/"))  # where git keeps some itself
    if not any((project / path).exists() for path in kept):
        return  # nothing was pulled
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    params = recorded_params(stages)
    try:
        intact = _intact(project, stages, params)
    except (DvcException, SCMError) as error:  # without git, say; then nothing was pulled either
        print(f"dvc.lock is left aside: {error}", file=sys.stderr)
        return
    targets = [stages[name]["cmd"].partition(" -- ")[2] for name in intact]
    if targets and len(targets) == len(stages):
        targets.append(lock.name)
    if targets:
        _touch(project, params, targets)


def recorded_params(stages: Mapping[str, Mapping]) -> dict[str, Any]:
    """Sections of params.yaml as dvc.lock has them; of two values the one that stands last."""
    params: dict[str, Any] = {}
    for key, value in (item for stage in stages.values() for item in _params_of(stage)):
        *above, last = key.split(".")
        section = reduce(lambda within, name: within.setdefault(name, {}), above, params)
        section[last] = copy.deepcopy(value)
    return params


def _params_of(stage: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return stage.get("params", {}).get("params.yaml", {}).items()


def _intact(project: Path, stages: Mapping[str, Mapping], params: Mapping[str, Any]) -> list[str]:
    """Stages whose files, sources and parameters are those of dvc.lock, as of all before them.

    A source that was edited is made newer than what came of it before.
    """
    import networkx
    from dvc.repo import Repo

    def changed(entry: Any) -> bool:
        return not entry.exists or entry.changed_checksum()

    intact: dict[Any, bool] = {}
    with Repo(str(project)) as repo:
        graph = repo.index.graph  # leads from each stage to those that it depends on
        for stage in reversed(list(networkx.topological_sort(graph))):
            recorded = stages.get(stage.addressing)
            files = [dep for dep in stage.deps if not hasattr(dep, "params")]
            digests = [dep for dep in stage.deps if dep.fs_path.endswith("digest.json")]
            edited = [dep for dep in files if dep.exists and dep.changed_checksum()]
            for dep in edited:
                os.utime(dep.fs_path)
            intact[stage] = (
                recorded is not None
                and not stage.cmd_changed
                and all(intact[before] for before in graph.successors(stage))
                and all(value_of(params, key) == value for key, value in _params_of(recorded))
                and not any(dep.workspace_status() for dep in digests)
                and not any(map(changed, [*files, *stage.outs]))
            )
        return [stage.addressing for stage, kept in intact.items() if kept]


def _touch(project: Path, params: Mapping[str, Any], targets: list[str]) -> None:
    """Let Snakemake pretend that it has made these files, with these parameters."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(params, file, sort_keys=False)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *TOUCH, "--configfile", file.name, "--", *targets],
            cwd=project, env={**os.environ, ADOPTING: "1"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    if done.returncode:
        print(f"what DVC put here is taken as new and made again: {done.stdout}", file=sys.stderr)
