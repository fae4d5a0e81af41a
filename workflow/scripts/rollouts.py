from pathlib import Path

import polars as pl

from speciarl.evaluation.studies import rollouts, wrong_where_ambiguous
from speciarl.files import atomic_write
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
    with atomic_write(Path(snakemake.output[0])) as partial:
        pl.concat(tables).write_csv(partial, float_precision=4)
