from pathlib import Path

from speciarl.files import whole_folder, write_json
from speciarl.stage import stage

with stage(snakemake.log[0]), whole_folder(Path(snakemake.output[0])) as into:
    for path, watched in snakemake.params["lists"].items():
        write_json(watched, into / Path(path).relative_to(snakemake.output[0]))
