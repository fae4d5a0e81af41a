from pathlib import Path

from speciarl.datasets.counts import published_counts
from speciarl.datasets.manifest import build_manifest, summary
from speciarl.files import write_parquet
from speciarl.stage import stage

with stage(snakemake.log[0]):
    dataset, split = snakemake.wildcards.dataset, snakemake.params["datasets.splits.{dataset}"]
    mirror = snakemake.params["datasets.mirror"]
    published = published_counts(Path(snakemake.input.counts), mirror, dataset, split)
    manifest = build_manifest(dataset, Path(snakemake.input.raw).parent, split, published=published)
    print(summary(manifest))
    print("as published" if published else f"no counts are published for the {mirror} mirror")
    write_parquet(manifest, Path(snakemake.output[0]))
