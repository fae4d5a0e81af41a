from pathlib import Path

from speciarl.datasets.manifest import build_folder_manifest, summary
from speciarl.files import write_parquet
from speciarl.stage import stage

with stage(snakemake.log[0]):
    settings = dict(snakemake.params["datasets.folders.{folder}"])
    manifest = build_folder_manifest(
        snakemake.wildcards.folder, Path(settings.pop("path")), **settings
    )
    print(summary(manifest))
    write_parquet(manifest, Path(snakemake.output[0]))
