from pathlib import Path

import polars as pl

from speciarl.datasets.sampling import sample_training
from speciarl.files import write_parquet
from speciarl.stage import stage

with stage(snakemake.log[0]):
    chosen = snakemake.params["training_sets.{name}"]
    manifests = dict(zip(chosen["datasets"], map(pl.read_parquet, snakemake.input), strict=True))
    write_parquet(sample_training(manifests, **chosen), Path(snakemake.output[0]))
