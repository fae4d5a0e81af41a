from pathlib import Path

from speciarl.evaluation.judge import judge_folder
from speciarl.judging import open_cached
from speciarl.stage import stage

with stage(snakemake.log[0]):
    source = open_cached(
        Path(snakemake.input.verdicts),
        Path(snakemake.input.taxonomy),
        Path(snakemake.input.facts[0]).parent,
        run=snakemake.wildcards.run,
    )
    judge_folder(
        Path(snakemake.input.predictions),
        Path(snakemake.output[0]),
        source,
        max_failures=snakemake.params["judge"]["max_failures"],
    )
