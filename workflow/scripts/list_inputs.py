from pathlib import Path

from speciarl.files import atomic_directory, content_hash, write_json
from speciarl.stage import stage

with stage(snakemake.log[0]), atomic_directory(Path(snakemake.output[0])) as into:
    for run, paths in snakemake.params["settings"].items():
        files = {path: content_hash([Path(path)]) for path in paths}
        write_json(files, into / f"{run}.json")
        write_json({"files": content_hash([], files)}, into / f"{run}.digest.json")
