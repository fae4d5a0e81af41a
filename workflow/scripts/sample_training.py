from pathlib import Path

import polars as pl

from speciarl.config.data import TrainingSet
from speciarl.datasets.sampling import sample_training
from speciarl.files import write_parquet
from speciarl.stage import section, stage

with stage(snakemake.log[0]):
    chosen = section(snakemake.params, "training_sets.{name}", TrainingSet)
    manifests = dict(zip(chosen.datasets, map(pl.read_parquet, snakemake.input), strict=True))
    write_parquet(sample_training(manifests, **chosen.model_dump()), Path(snakemake.output[0]))
