from pathlib import Path

from speciarl.datasets.fetch import download
from speciarl.datasets.sources import read_sources
from speciarl.files import content_hash, write_json
from speciarl.paths import PROJECT
from speciarl.stage import stage

with stage(snakemake.log[0]):
    dataset, offline = snakemake.wildcards.dataset, snakemake.params["datasets.offline_dir"]
    sources = read_sources(
        Path(snakemake.input.sources), snakemake.params["datasets.mirror"], dataset
    )
    done = Path(snakemake.output[0])
    files = download(dataset, sources, done.parent, PROJECT, Path(offline) if offline else None)
    for path in files:
        print(f"{path}: verified, {path.stat().st_size} bytes")
    write_json({path.name: content_hash([path]) for path in files}, done)
