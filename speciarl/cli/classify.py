"""`speciarl classify`: a trained policy on custom images."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciarl.cli.train import Files
from speciarl.errors import ConfigError
from speciarl.paths import FACTS, MODELS

if TYPE_CHECKING:
    from speciarl.evaluation.classify import Classified


def classify(
    paths: Annotated[list[Path], typer.Argument(metavar="IMAGE|FOLDER...", help="Any number.")],
    run: Annotated[str, typer.Option(help="The row of runs that was trained.")] = "speciarl",
    n: Annotated[int, typer.Option("--n", min=1, help="Samples of each image; 1 is greedy.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    params_files: Files = [Path("params.yaml")],  # noqa: B006  # never changed
) -> None:
    """Say what is in images: a line each, with how far the samples agree.

    They agree on the narrowest thing that more than half of them name, or name a kind of;
    the share of them that do is the confidence. Of a run with several seeds the first one
    answers. An image that cannot be read is named, and then the exit code is 1.
    """
    from speciarl.config import load
    from speciarl.evaluation.classify import classify as classified
    from speciarl.evaluation.classify import images_in
    from speciarl.taxonomy import Taxonomy
    from speciarl.training.task import classes_to_name

    params = load(params_files)
    if run not in params.runs:
        raise ConfigError(f"{run} is not one of the runs: {', '.join(params.runs)}")
    row = params.runs[run].model_copy(update={"best_of": n})
    images = images_in(paths)
    taxonomy = Taxonomy.of_classes(FACTS, classes_to_name(params)) if n > 1 else None
    unread = 0
    trained = MODELS / run / str(row.seeds[0])
    for one in classified(images, MODELS / "base", trained, row, params.evaluation, taxonomy):
        unread += one.error is not None
        _say(one, as_json)
    if unread:
        print(f"{unread} of {len(images)} images could not be read", file=sys.stderr)
        raise typer.Exit(1)


def _say(one: "Classified", as_json: bool) -> None:
    from speciarl.report.visible import json_line, visible

    if as_json:
        print(json_line(one._asdict()), flush=True)
    elif one.error:
        print(visible(f"error: {one.error}"), file=sys.stderr)
    else:
        agreed = "" if one.confidence is None else f" ({one.confidence:.0%} agree on {one.agreed})"
        print(visible(f"{one.image}: {one.answer or 'no answer'}{agreed}"), flush=True)
