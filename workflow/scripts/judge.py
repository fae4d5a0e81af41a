from pathlib import Path

from speciarl.config import VerifierConfig
from speciarl.evaluation.judge import judge_folder
from speciarl.paths import STORE
from speciarl.stage import section, stage
from speciarl.verifiers.cached import open_cached

with stage(snakemake.log[0], gpus=snakemake.resources.gpu):
    settings = section(snakemake.params, "judge", VerifierConfig)
    source = open_cached(
        settings,
        [Path(path) for path in snakemake.input.verdicts],
        snakemake.params["classes"],
        Path(snakemake.input.facts[0]).parent,
        STORE,
        run=snakemake.wildcards.run,
    )
    judge_folder(
        Path(snakemake.input.predictions),
        Path(snakemake.output[0]),
        source,
        max_failures=settings.max_failures,
    )
