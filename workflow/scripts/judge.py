from pathlib import Path

from speciarl.cache.exchange import own_store
from speciarl.config import Run, VerifierConfig
from speciarl.evaluation.judge import check_predictions, judge_folder
from speciarl.stage import section, stage
from speciarl.verifiers.cached import open_cached

run = snakemake.wildcards.run
with (
    stage(snakemake.log[0], gpus=snakemake.resources.gpu),
    own_store(snakemake.params.store, run, f"judge-{run}") as store,
):
    predictions = Path(snakemake.input.predictions)
    manifests = [Path(path) for path in snakemake.input.manifests]
    check_predictions(predictions, section(snakemake.params, "settings", Run), manifests)
    settings = section(snakemake.params, "judge", VerifierConfig)
    source = open_cached(
        settings,
        [Path(path) for path in snakemake.input.verdicts],
        snakemake.params["classes"],
        Path(snakemake.input.facts[0]).parent,
        store,
        run=run,
    )
    judge_folder(predictions, Path(snakemake.output[0]), source, max_failures=settings.max_failures)
