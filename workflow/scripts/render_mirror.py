from pathlib import Path

from speciarl.config.data import Miniature
from speciarl.datasets.miniature.mirror import render_mirror
from speciarl.files import atomic_directory
from speciarl.stage import section, stage

with stage(snakemake.log[0]), atomic_directory(Path(snakemake.output[0])) as into:
    settings = section(snakemake.params, "miniature", Miniature)
    values = settings.model_dump(exclude={"image_size"})
    render_mirror(snakemake.wildcards.dataset, into, size=settings.image_size, **values)
