from pathlib import Path

from speciarl.config.data import Miniature
from speciarl.datasets.miniature.mirror import render_mirror
from speciarl.stage import section, stage

with stage(snakemake.log[0]):
    settings = section(snakemake.params, "miniature", Miniature)
    render_mirror(snakemake.wildcards.dataset, Path(snakemake.output[0]), settings)
