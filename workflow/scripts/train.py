from pathlib import Path

from speciarl.stage import section, stage
from speciarl.training.run import Inputs, Outputs, Settings, train

with stage(snakemake.log[0]):
    row = snakemake.params["runs.{run}"]
    train(
        snakemake.wildcards.run,
        Settings.parse(
            row,
            **{key: snakemake.params[key] for key in ("grpo", "sft", "lora")},
            verifier=section(snakemake.params, "verifier"),
        ),
        Inputs(
            base=Path(snakemake.input.base),
            samples=Path(snakemake.input.samples),
            verdicts=Path(snakemake.input.verdicts),
            taxonomy=Path(snakemake.input.taxonomy),
            facts=Path(snakemake.input.facts[0]).parent,
            images=Path(),
        ),
        Outputs(
            model=Path(snakemake.output.model),
            metrics=Path(snakemake.output.metrics),
            verdicts=Path(snakemake.output.verdicts),
            answers=Path(snakemake.output.answers),
            work=Path("work/train") / snakemake.wildcards.run,
        ),
        threads=snakemake.threads,
    )
