from pathlib import Path

import polars as pl

from speciarl.evaluation.studies import rollouts, wrong_where_ambiguous
from speciarl.files import write_csv
from speciarl.stage import stage

with stage(snakemake.log[0]):
    params = snakemake.params
    tables = [
        rollouts(
            count,
            params["rollouts"],
            pl.read_parquet(f"{folder}/results/scores.parquet"),
            wrong_where_ambiguous(Path(folder), params["unseen"]),
            params["trained_on"],
        )
        for count, folder in params["folders"].items()
    ]
    write_csv(pl.concat(tables), Path(snakemake.output[0]))
