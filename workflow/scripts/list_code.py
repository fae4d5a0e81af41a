from pathlib import Path

from speciarl.files import atomic_directory, content_hash, write_json
from speciarl.stage import stage

with stage(snakemake.log[0]), atomic_directory(Path(snakemake.output[0])) as into:
    for job, watched in snakemake.params["lists"].items():
        write_json(watched, into / f"{job}.json")
        digests = {name: content_hash([], value) for name, value in watched.items()}
        write_json(digests, into / f"{job}.digest.json")
