from pathlib import Path

from speciarl.files import content_hash, whole_folder, write_json
from speciarl.stage import stage

with stage(snakemake.log[0]), whole_folder(Path(snakemake.output[0])) as into:
    for run, paths in snakemake.params["settings"].items():
        write_json({path: content_hash([Path(path)]) for path in paths}, into / f"{run}.json")
