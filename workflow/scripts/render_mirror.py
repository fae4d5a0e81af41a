from pathlib import Path

from speciarl.datasets.miniature.mirror import render_mirror
from speciarl.files import atomic_directory
from speciarl.stage import stage

with stage(snakemake.log[0]), atomic_directory(Path(snakemake.output[0])) as into:
    settings = dict(snakemake.params["miniature"])
    size = settings.pop("image_size")
    render_mirror(snakemake.wildcards.dataset, into, size=size, **settings)
