import sys
from pathlib import Path

from speciarl.config.data import Folder
from speciarl.datasets.manifest import accounted, summary
from speciarl.datasets.readers.folders import build_folder_manifest
from speciarl.files import content_hash, write_parquet
from speciarl.stage import section, stage

with stage(snakemake.log[0]):
    name = snakemake.wildcards.folder
    folder = section(snakemake.params, "datasets.folders.{folder}", Folder)
    values = folder.model_dump(exclude={"path"})
    manifest, left_out = build_folder_manifest(
        name, Path(folder.path), **values, threads=snakemake.threads
    )
    print(summary(manifest))
    print(accounted(manifest, left_out))
    if left_out:  # on the terminal, too: nobody looks for it in the log of a stage that ended well
        print(f"{name}: {accounted(manifest, left_out)}; see {snakemake.log[0]}",
              file=sys.__stderr__)  # fmt: skip
    # An image replaced in its place is another dataset, for whatever reads the manifest.
    images = content_hash(map(Path, manifest["image"]))
    write_parquet(manifest, Path(snakemake.output[0]), {"images": images})
