from pathlib import Path

import polars as pl

from speciarl.files import write_parquet
from speciarl.stage import stage
from speciarl.taxonomy import Taxonomy

with stage(snakemake.log[0]):
    dataset = snakemake.wildcards.domain
    classes = pl.read_parquet(snakemake.input.manifest).select("class_id", "class_name").unique()
    names = classes.sort("class_id")["class_name"].to_list()
    common, *described = map(Path, snakemake.input.facts)
    known = {**dict.fromkeys((path.stem for path in described), ()), dataset: names}
    table = Taxonomy.of_classes(common.parent, known).table({dataset: names})
    true = table.drop_nulls().height
    print(f"{len(names)} classes, {table['term'].n_unique()} terms, {true} true relations")
    write_parquet(table, Path(snakemake.output[0]))
