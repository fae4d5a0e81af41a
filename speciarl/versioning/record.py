"""What came out of a run, by stage: read from a record, made from files, compared.

A record is DVC's dvc.lock, or the record.json of a workspace, which is written here.
"""

import json
import logging
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from speciarl.errors import DataError
from speciarl.files import content_hash, write_digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageRecord:
    artifacts: Mapping[str, str]
    """Path of each artifact, a file or a folder, and the hash of its content."""
    made_with: Mapping[str, Any] = field(default_factory=dict)
    """Command, parameters, and the hash of each file that no stage makes."""


@dataclass(frozen=True)
class Difference:
    stage: str
    artifacts: list[str]
    edited: bool
    """Whether the stage was made with something else, and did not only follow from others."""


def parse_record(text: str, name: str) -> dict[str, StageRecord]:
    """The stages of a record, in its order; a DataError where `name` is none."""
    try:
        stages = yaml.load(text, yaml.CSafeLoader)["stages"]
        outs = {out["path"] for stage in stages.values() for out in stage.get("outs", [])}
        made = outs | {above for path in outs for above in _above(path)}
        return {key: _stage(stage, outs, made) for key, stage in stages.items()}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{name} is no record: expected dvc.lock or record.json") from error


def _stage(stage: Mapping[str, Any], outs: set[str], made: set[str]) -> StageRecord:
    """Args: made: what stages make, and the folders above it."""

    def is_made(path: str) -> bool:
        return path in made or any(above in outs for above in _above(path))

    sources = {d["path"]: d.get("md5") for d in stage.get("deps", []) if not is_made(d["path"])}
    return StageRecord(
        {out["path"]: out.get("md5") or out["blake2b"] for out in stage.get("outs", [])},
        {"cmd": stage.get("cmd"), "params": stage.get("params"), "sources": sources},
    )


def _above(path: str) -> Iterator[str]:
    return map(str, PurePosixPath(path).parents)


def read_record(path: Path) -> dict[str, StageRecord]:
    """The stages of a record file; a DataError where it cannot be read, or is none."""
    try:
        return parse_record(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def remove_damaged(project: Path) -> None:
    """Remove what DVC writes in place and a full disk, or a kill, has cut: DVC makes it anew.

    The digests that it reads as parameters (`files.write_digest`) are made anew here.
    """
    readers: dict[str, Callable[[Path], object]] = {
        "dvc.lock": read_record,
        ".dvc/tmp/rwlock": lambda path: json.loads(path.read_bytes()),
    }
    for name, read in readers.items():
        if (path := project / name).is_file():
            try:
                read(path)
            except (DataError, ValueError) as error:
                log.warning("%s is removed, to be made anew: %s", path, error)
                path.unlink()
    for path in [*project.glob("models/*/digest.json"), *project.glob("results/*/*/digest.json")]:
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            log.warning("%s is made anew: %s", path, error)
            path.unlink()
            write_digest(path.parent)


def committed_record(path: Path) -> dict[str, StageRecord] | None:
    """The record as the last commit has it; None outside of git, or where no commit has one."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"], cwd=path.absolute().parent, capture_output=True
    )
    return None if shown.returncode else parse_record(shown.stdout.decode(), f"HEAD:{path}")


def differences(old: Mapping[str, StageRecord], new: Mapping[str, StageRecord]) -> list[Difference]:
    """The stages of which an artifact differs or is on one side only, in the order of the new."""
    found = []
    for stage in [*new, *(stage for stage in old if stage not in new)]:
        one, other = (side.get(stage, StageRecord({})) for side in (old, new))
        paths = {**one.artifacts, **other.artifacts}
        if differing := [p for p in paths if one.artifacts.get(p) != other.artifacts.get(p)]:
            found.append(Difference(stage, differing, one.made_with != other.made_with))
    return found


def by_rule(found: list[Difference]) -> str:
    """The stages in one line, those of one rule together: "train (3), score"."""
    counts = Counter(one.stage.partition("@")[0] for one in found)
    return ", ".join(rule if n == 1 else f"{rule} ({n})" for rule, n in counts.items())


def against_committed(path: Path) -> str:
    """One line: whether a record is the committed one, else in which stages not, and why."""
    old = committed_record(path)
    if old is None:
        return f"{path} is not in git: nothing to compare this run with"
    new = read_record(path)
    found = differences(old, new)
    if not found:
        return f"all {sum(len(one.artifacts) for one in new.values())} artifacts as committed"
    edited = [one for one in found if one.edited]
    why = (
        f"{by_rule(edited)} ran with other parameters, code or data than committed"
        if edited
        else "same parameters and code, so this processor rounds otherwise (README: Bytes)"
    )
    return f"differs from the committed record in {by_rule(found)}: {why}"


def artifacts_by_stage(pipeline: Path, params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Outputs of each stage of dvc.yaml, under other parameters than DVC reads."""
    stages = yaml.safe_load(pipeline.read_bytes())["stages"]
    return {
        name if key is None else f"{name}@{key}": [
            path.replace("${key}", str(key)) for path in _outs(stage.get("do", stage))
        ]
        for name, stage in stages.items()
        for key in _items(stage.get("foreach"), params)
    }


def _items(foreach: str | None, params: Mapping[str, Any]) -> Iterable[str | None]:
    """What a stage is repeated for: the keys of "${section.sub}", or once."""
    if foreach is None:
        return [None]
    return value_of(params, foreach.removeprefix("${").removesuffix("}"))


def value_of(params: Any, key: str) -> Any:
    """What stands in parameters under a dotted key."""
    return reduce(getitem, key.split("."), params)


def _outs(stage: Mapping[str, Any]) -> Iterator[str]:
    for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
        yield out if isinstance(out, str) else next(iter(out))


def make_record(pipeline: Path, params: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The record of a workspace: its parameters, and a hash of every artifact in `folder`.

    A stage that this run did not need has no artifacts, and no place in the record.
    """
    stages = {}
    for stage, paths in artifacts_by_stage(pipeline, params).items():
        if there := [path for path in paths if (folder / path).exists()]:
            outs = [{"path": path, "blake2b": content_hash([folder / path])} for path in there]
            stages[stage] = {"outs": outs}
    return {"params": params, "stages": stages}
