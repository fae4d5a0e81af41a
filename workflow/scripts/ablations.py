from pathlib import Path

import polars as pl

from speciarl.evaluation.studies import ablations
from speciarl.files import atomic_write
from speciarl.stage import stage

with stage(snakemake.log[0]):
    tables = [pl.read_parquet(snakemake.input[name]) for name in ("scores", "differences")]
    with atomic_write(Path(snakemake.output[0])) as partial:
        ablations(snakemake.params["runs"], *tables).write_csv(partial, float_precision=4)
