"""`speciarl compare`: two runs on the same images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciarl.cli.train import Files
from speciarl.errors import ConfigError
from speciarl.paths import MANIFESTS, VERDICTS

if TYPE_CHECKING:
    from speciarl.config import Params
    from speciarl.evaluation.scores import Area


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A row of runs that was judged.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another one.")],
    dataset: Annotated[
        str | None, typer.Option(metavar="D", help="This dataset alone, not all and their groups.")
    ] = None,
    params_files: Files = [Path("params.yaml")],  # noqa: B006  # never changed
    verdicts: Annotated[Path, typer.Option(help="What was judged, by run.")] = VERDICTS,
    manifests: Annotated[Path, typer.Option(help="Manifests.")] = MANIFESTS,
) -> None:
    """What one run is ahead of another, and the ten images that tell them apart the most.

    Differences are first minus second on the same images, with the 95 % interval of the
    paired bootstrap over images and seeds, and the p of there being none. Of the ten images
    the first run is ahead on half, by so many steps of the ladder, and behind on the others.
    """
    import polars as pl

    from speciarl.config import load
    from speciarl.evaluation.comparison import judged_folders, paired_table, telling_images
    from speciarl.evaluation.scores import best_of_all, read_judged
    from speciarl.report.terminal import print_table
    from speciarl.verdicts import Verdict

    params, runs = load(params_files), (first, second)
    areas = _areas(params, dataset)
    judged = read_judged(judged_folders(verdicts, runs))
    best = best_of_all(judged, runs, [area.name for area in areas if area.level == "dataset"])
    weights = {Verdict[name.upper()]: weight for name, weight in params.specificity}
    print_table(paired_table(best, runs, areas, weights))
    shown = telling_images(judged, best, runs)
    files = [pl.scan_parquet(manifests / f"{name}.parquet") for name in shown["dataset"].unique()]
    if not files:
        print(f"\n{first} and {second} have equal verdicts on every image")
        return
    listed = pl.concat(files).select("dataset", "sample_id", "image").collect()
    shown = shown.join(listed, on=("dataset", "sample_id"), how="left", maintain_order="left")
    print()
    print_table(shown.select("image", pl.col("class_name").alias("class"), "steps", *runs))


def _areas(params: "Params", dataset: str | None) -> "list[Area]":
    from speciarl.evaluation.scores import areas_of

    areas = areas_of(params.groups, params.unseen)
    names = [area.name for area in areas if area.level == "dataset"]
    if dataset is None:
        return areas
    if dataset not in names:
        raise ConfigError(f"--dataset: {dataset!r} is not one of {', '.join(names)}")
    return [area for area in areas if area.level == "dataset" and area.name == dataset]
