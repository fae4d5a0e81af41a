from pathlib import Path

import polars as pl

from speciarl.evaluation.studies import ablations
from speciarl.files import write_csv
from speciarl.stage import stage

with stage(snakemake.log[0]):
    tables = [pl.read_parquet(snakemake.input[name]) for name in ("scores", "differences")]
    write_csv(ablations(snakemake.params["runs"], *tables), Path(snakemake.output[0]))
