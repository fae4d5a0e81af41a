"""`speciarl compare`: two runs on the same images."""

from pathlib import Path
from typing import Annotated

import typer

from speciarl.cli.train import Files
from speciarl.errors import ConfigError
from speciarl.paths import MANIFESTS, VERDICTS


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A row of runs that was judged.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another one.")],
    dataset: Annotated[
        str | None, typer.Option(metavar="D", help="This dataset alone, not all and their groups.")
    ] = None,
    params_files: Files = [Path("params.yaml")],  # noqa: B006  # never changed
) -> None:
    """What one run is ahead of another, and the ten images that tell them apart the most.

    Differences are first minus second on the same images, with the 95 % interval of the
    paired bootstrap over images and seeds, and the p of there being none. Of the ten images
    the first run is ahead on half, by so many steps of the ladder, and behind on the others.
    """
    import polars as pl

    from speciarl.config import load
    from speciarl.evaluation.comparison import counts, judged_folders, paired_table, telling_images
    from speciarl.evaluation.scores import Area, areas_of, best_of_all, read_judged
    from speciarl.report.terminal import print_table
    from speciarl.verdicts import Verdict

    params, runs = load(params_files), (first, second)
    areas = areas_of(params.groups, params.unseen)
    datasets = [area.name for area in areas if area.level == "dataset"]
    if dataset is not None:
        if dataset not in datasets:
            raise ConfigError(f"--dataset: {dataset!r} is not one of {', '.join(datasets)}")
        datasets, areas = [dataset], [Area("dataset", dataset, [dataset])]
    judged = read_judged(judged_folders(VERDICTS, runs))
    best = best_of_all(judged, runs, datasets)
    weights = {Verdict[name.upper()]: weight for name, weight in params.specificity}
    print_table(paired_table(best, runs, areas, weights))
    print(counts(best, runs))
    shown = telling_images(judged, best, runs)
    files = [pl.scan_parquet(MANIFESTS / f"{name}.parquet") for name in shown["dataset"].unique()]
    if not files:
        print(f"\n{first} and {second} have equal verdicts on every image")
        return
    listed = pl.concat(files).select("dataset", "sample_id", "image").collect()
    shown = shown.join(listed, on=("dataset", "sample_id"), how="left", maintain_order="left")
    print()
    print_table(shown.select("image", pl.col("class_name").alias("class"), "steps", *runs))
