from pathlib import Path

from speciarl.config import Run, VerifierConfig
from speciarl.evaluation.judge import check_predictions, judge_folder
from speciarl.paths import STORE
from speciarl.stage import section, stage
from speciarl.verifiers.cached import open_cached

with stage(snakemake.log[0]):
    predictions = Path(snakemake.input.predictions)
    manifests = [Path(path) for path in snakemake.input.manifests]
    check_predictions(predictions, section(snakemake.params, "settings", Run), manifests)
    settings = section(snakemake.params, "judge", VerifierConfig)
    source = open_cached(
        settings,
        [Path(path) for path in snakemake.input.verdicts],
        snakemake.params["classes"],
        Path(snakemake.input.facts[0]).parent,
        STORE,
        run=snakemake.wildcards.run,
    )
    judge_folder(predictions, Path(snakemake.output[0]), source, max_failures=settings.max_failures)
