from pathlib import Path

from speciarl.datasets.manifest import build_manifest
from speciarl.files import write_parquet
from speciarl.stage import stage

with stage(snakemake.log[0]):
    dataset, split = snakemake.wildcards.dataset, snakemake.params["datasets.splits.{dataset}"]
    manifest = build_manifest(dataset, Path(snakemake.input.raw).parent, split)
    counts = manifest.group_by("split").len().sort("split").rows()
    print(f"{manifest.height} pictures of {manifest['class_name'].n_unique()} classes: {counts}")
    write_parquet(manifest, Path(snakemake.output[0]))
