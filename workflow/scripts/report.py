from pathlib import Path

import polars as pl

from speciarl.report import build_report
from speciarl.stage import stage

with stage(snakemake.log[0]):
    runs = list(snakemake.params["runs"])
    training, answers = (
        dict(zip(runs, map(pl.read_parquet, files), strict=True))
        for files in (snakemake.input.training, snakemake.input.answers)
    )
    build_report(
        pl.read_parquet(snakemake.input.scores),
        training,
        answers,
        runs=runs,
        weights=snakemake.params["specificity"],
        provenance=dict(snakemake.params.items()),
        miniature=snakemake.params["datasets"]["mirror"] == "miniature",
        into=Path(snakemake.output.page).parent,
    )
