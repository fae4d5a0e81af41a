from pathlib import Path

from speciarl.cache.exchange import own_store
from speciarl.config import Run, VerifierConfig
from speciarl.evaluation.judge import check_predictions, judge_folder
from speciarl.stage import section, stage
from speciarl.verifiers.cached import open_cached
from speciarl.verifiers.factory import build_model

run = snakemake.wildcards.run
with (
    stage(snakemake.log[0], gpus=snakemake.resources.gpu),
    own_store(snakemake.params.store, run, f"judge-{run}") as store,
):
    predictions = Path(snakemake.input.predictions)
    manifests = [Path(path) for path in snakemake.input.manifests]
    check_predictions(predictions, section(snakemake.params, "settings", Run), manifests)
    settings = section(snakemake.params, "judge", VerifierConfig)
    model = build_model(settings.model, settings.server) if settings.model else None
    sources = {}
    for datasets, classes in snakemake.params["classes"]:
        verdicts = [p for p in map(Path, snakemake.input.verdicts) if p.stem in datasets]
        facts = Path(snakemake.input.facts[0]).parent
        source = open_cached(settings, verdicts, classes, facts, store, run, model)
        sources |= dict.fromkeys(datasets, source)
    judge_folder(predictions, Path(snakemake.output[0]), sources, settings.max_failures)
