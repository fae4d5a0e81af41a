from pathlib import Path

import polars as pl

from speciarl.config.data import TrainingSet
from speciarl.datasets.sampling import sample_training
from speciarl.files import write_parquet
from speciarl.stage import section, stage

with stage(snakemake.log[0]):
    chosen = section(snakemake.params, "training_sets.{name}", TrainingSet)
    manifests = dict(zip(chosen.datasets, map(pl.read_parquet, snakemake.input), strict=True))
    samples = sample_training(manifests, **chosen.model_dump())
    images = (pl.read_parquet_metadata(path).get("images") for path in snakemake.input)
    about = {name: one for name, one in zip(chosen.datasets, images, strict=True) if one}
    write_parquet(samples, Path(snakemake.output[0]), about)
