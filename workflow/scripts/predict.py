from pathlib import Path

from speciarl.config import Evaluation, Run
from speciarl.evaluation.predict import predict_datasets
from speciarl.paths import PROJECT, WORK
from speciarl.stage import section, stage

with stage(snakemake.log[0], gpus=snakemake.resources.gpu):
    predict_datasets(
        Path(snakemake.input.base),
        Path(snakemake.input.model),
        [Path(path) for path in snakemake.input.manifests],
        Path(snakemake.output[0]),
        run=section(snakemake.params, "settings", Run),
        settings=section(snakemake.params, "evaluation", Evaluation),
        images=PROJECT,
        work=WORK / "predict" / snakemake.wildcards.run,
        threads=snakemake.threads,
    )
