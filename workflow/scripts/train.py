from pathlib import Path

from speciarl.config import Training, TrainingVerifierConfig
from speciarl.paths import LIVE, PROJECT, STORE, WORK
from speciarl.stage import section, stage
from speciarl.training.job import Inputs, Settings
from speciarl.training.run import Outputs, train

with stage(snakemake.log[0]):
    given = dict(snakemake.input.items())
    read = {name: Path(given[name]) for name in ("base", "samples") if name in given}
    if "facts" in given:
        read |= {
            "verdicts": [Path(path) for path in given["verdicts"]],
            "classes": snakemake.params["classes"],
            "facts": Path(given["facts"][0]).parent,
            "store": STORE,
        }
    verifier = section(snakemake.params, "verifier", TrainingVerifierConfig)
    training = section(snakemake.params, "training", Training)
    settings = snakemake.params["settings"] | {"verifier": verifier, "training": training}
    train(
        snakemake.wildcards.run,
        Settings(**settings),
        Inputs(images=PROJECT, **read),
        Outputs(
            model=Path(snakemake.output.model),
            metrics=Path(snakemake.output.metrics),
            verdicts=Path(snakemake.output.verdicts),
            predictions=Path(snakemake.output.predictions),
            work=WORK / "train" / snakemake.wildcards.run,
            live=LIVE / snakemake.wildcards.run,
        ),
        threads=snakemake.threads,
    )
