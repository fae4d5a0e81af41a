from pathlib import Path

import polars as pl

from speciarl.files import write_parquet
from speciarl.stage import stage
from speciarl.taxonomy import Taxonomy

with stage(snakemake.log[0]):
    manifests = pl.concat([pl.read_parquet(path) for path in snakemake.input.manifests])
    used = (
        manifests.select("dataset", "class_id", "class_name").unique().sort("dataset", "class_id")
    )
    classes = {name: rows["class_name"].to_list() for (name,), rows in used.group_by("dataset")}
    classes = dict(sorted(classes.items()))
    table = Taxonomy.of_classes(Path(snakemake.input.facts[0]).parent, classes).table(classes)
    print(f"{used.height} classes, {table['term'].n_unique()} terms, {table.height} relations")
    write_parquet(table, Path(snakemake.output[0]))
