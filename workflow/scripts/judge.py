from pathlib import Path

from speciarl.config import Verifier
from speciarl.evaluation.judge import judge_folder
from speciarl.judging import open_cached
from speciarl.stage import section, stage

with stage(snakemake.log[0]):
    settings = Verifier(**section(snakemake.params, "judge"))
    source = open_cached(
        settings,
        [Path(path) for path in snakemake.input.verdicts],
        snakemake.params["classes"],
        Path(snakemake.input.facts[0]).parent,
        Path(snakemake.params["store"]),
        run=snakemake.wildcards.run,
    )
    judge_folder(
        Path(snakemake.input.predictions),
        Path(snakemake.output[0]),
        source,
        max_failures=settings.max_failures,
    )
