"""`speciarl record`: what came out of a run, compared by stage."""

from pathlib import Path
from typing import Annotated

import typer

record = typer.Typer(help="What came out of a run, compared by stage.", no_args_is_help=True)


@record.command()
def diff(
    old: Annotated[Path, typer.Argument(help="A dvc.lock, or a workspace's record.json.")],
    new: Annotated[Path, typer.Argument(help="Another one.")],
) -> None:
    """List the stages with differing artifacts; exit code 1 where there are any."""
    from speciarl.versioning.record import differences, read_record

    found = differences(read_record(old), read_record(new))
    for one in found:
        print(f"{one.stage}{' (made with something else)' * one.edited}")
        for path in one.artifacts:
            print(f"  {path}")
    count = sum(len(stage.artifacts) for stage in read_record(new).values())
    differing = sum(len(one.artifacts) for one in found)
    print(f"{differing} of {count} artifacts differ")
    raise typer.Exit(bool(found))


@record.command()
def committed(
    file: Annotated[Path, typer.Argument(help="The record as it is now.")] = Path("dvc.lock"),
) -> None:
    """Say in one line whether the record is the committed one, else what differs and why."""
    from speciarl.versioning.record import against_committed

    print(against_committed(file))
