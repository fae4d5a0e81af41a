from pathlib import Path

from speciarl.stage import section, stage
from speciarl.training.run import Inputs, Outputs, Settings, train

with stage(snakemake.log[0]):
    read = {
        name: Path(snakemake.input[name])
        for name in ("base", "samples", "verdicts", "taxonomy")
        if name in dict(snakemake.input.items())
    }
    if "facts" in dict(snakemake.input.items()):
        read["facts"] = Path(snakemake.input.facts[0]).parent
    settings = snakemake.params["settings"] | {"verifier": section(snakemake.params, "verifier")}
    train(
        snakemake.wildcards.run,
        Settings.parse(**settings),
        Inputs(images=Path(), **read),
        Outputs(
            model=Path(snakemake.output.model),
            metrics=Path(snakemake.output.metrics),
            verdicts=Path(snakemake.output.verdicts),
            answers=Path(snakemake.output.answers),
            work=Path("work/train") / snakemake.wildcards.run,
        ),
        threads=snakemake.threads,
    )
