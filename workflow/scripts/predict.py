from pathlib import Path

from speciarl.config import Evaluation, Run
from speciarl.evaluation.parts import Prediction, gather
from speciarl.evaluation.predict import predict_parts
from speciarl.paths import PROJECT, WORK
from speciarl.stage import code_of_job, section, stage

with stage(snakemake.log[0], gpus=snakemake.resources.gpu):
    prediction = Prediction(
        Path(snakemake.input.base),
        Path(snakemake.input.model),
        [Path(path) for path in snakemake.input.manifests],
        section(snakemake.params, "settings", Run),
        section(snakemake.params, "evaluation", Evaluation),
        WORK / "predict" / snakemake.wildcards.run,
        {Path(file).parent.name: Path(file) for file in snakemake.input.raw},
        code_of_job(snakemake.params),
    )
    shard = snakemake.wildcards.get("shard")
    if shard:
        parts = prediction.shard(int(shard))
        predict_parts(prediction, parts, PROJECT, snakemake.threads)
        Path(snakemake.output[0]).touch()
    else:
        if prediction.settings.shards == 1:
            predict_parts(prediction, prediction.parts(), PROJECT, snakemake.threads)
        gather(prediction, Path(snakemake.output[0]))
