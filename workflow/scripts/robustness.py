from pathlib import Path

import polars as pl

from speciarl.evaluation.studies import robustness, wrong_where_ambiguous
from speciarl.files import write_csv
from speciarl.report.tables import load_published
from speciarl.stage import stage

with stage(snakemake.log[0]):
    tables = [
        robustness(
            seed,
            pl.read_parquet(f"{folder}/results/scores.parquet"),
            pl.read_parquet(f"{folder}/results/differences.parquet"),
            wrong_where_ambiguous(Path(folder), snakemake.params["unseen"]),
            load_published().method,
        )
        for seed, folder in snakemake.params["folders"].items()
    ]
    write_csv(pl.concat(tables), Path(snakemake.output[0]))
