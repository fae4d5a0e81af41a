from pathlib import Path

from speciarl.config import Evaluation, Run
from speciarl.evaluation.predict import predict_datasets
from speciarl.stage import stage

with stage(snakemake.log[0]):
    predict_datasets(
        Path(snakemake.input.base),
        Path(snakemake.input.model),
        [Path(path) for path in snakemake.input.manifests],
        Path(snakemake.output[0]),
        run=Run(**snakemake.params["settings"]),
        settings=Evaluation(**snakemake.params["evaluation"]),
        images=Path(),
        work=Path("work/predict") / snakemake.wildcards.run,
        threads=snakemake.threads,
    )
