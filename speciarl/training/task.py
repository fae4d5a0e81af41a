"""The training of a run from the parameters alone: by hand it is the same as by its rule."""

from dataclasses import replace
from pathlib import Path

from speciarl.config import Params
from speciarl.errors import DataError
from speciarl.paths import FACTS, LIVE, MODELS, PRECOMPUTED, PROJECT, SAMPLES, STORE, TRAINING, WORK
from speciarl.training.job import Inputs, Settings
from speciarl.training.run import Outputs

READ_BY_METHOD = {"none": ("seeds",), "sft": ("prompt", "training_set", "seeds")}
"""What of a run's row its training reads."""
READ_BY_METHOD["grpo"] = (
    *READ_BY_METHOD["sft"], "reward", "noise", "num_generations", "answer_tag",
)  # fmt: skip

WATCHED = ("backend", "model", "max_failures")
"""What of the verifier trains a run again; how a server is reached does not."""


def training_settings(params: Params, run: str) -> dict:
    """The parameters that the training of a run reads, and no others, as plain values."""
    row = params.runs[run]
    settings: dict = {"run": row.model_dump(include={"method", *READ_BY_METHOD[row.method]})}
    if row.method != "none":
        for name in (row.method, "lora"):
            settings[name] = params.section_of(run, name).model_dump()
    if row.method == "grpo":
        verifier = params.section_of(run, "verifier")
        settings["verifier"] = verifier.model_dump(include=set(WATCHED))
    return settings


def settings_of(params: Params, run: str) -> Settings:
    """`training_settings` with what trains nothing again: who is asked where, on which devices."""
    of_run = training_settings(params, run)
    told = {"verifier": params.section_of(run, "verifier"), "training": params.training}
    return Settings(**of_run | told)


def inputs_of(params: Params, run: str) -> Inputs:
    """The files that the training of a run reads, where the stages before it leave them."""
    row = params.runs[run]
    if row.method == "none":
        return Inputs(images=PROJECT)
    inputs = Inputs(PROJECT, MODELS / "base", SAMPLES / f"{row.training_set}.parquet")
    if row.method != "grpo":
        return inputs
    datasets = params.training_sets[row.training_set].datasets
    mine, precomputed = params.section_of(run, "verifier"), params.verifier
    same = (mine.backend, mine.model) == (precomputed.backend, precomputed.model)
    return replace(
        inputs,
        # those of another verifier would be of no use
        verdicts=[PRECOMPUTED / f"{name}.parquet" for name in datasets if same],
        classes=classes_to_name(params),
        facts=FACTS,
        store=Path(params.verdicts.store or STORE),
    )


def outputs_of(run: str) -> Outputs:
    made = {
        name: TRAINING / run / f"{name}.parquet" for name in ("metrics", "verdicts", "predictions")
    }
    return Outputs(model=MODELS / run, work=WORK / "train" / run, live=LIVE / run, **made)


def classes_to_name(params: Params) -> dict[str, list[str]]:
    """The datasets in use, and of those without facts the classes, by the names of their folders.

    Not by their manifests: one more image would then judge, and train, everything again.
    """
    classes: dict[str, list[str]] = {name: [] for name in sorted(params.datasets.names)}
    for name, folder in sorted(params.datasets.folders.items()):
        if not (FACTS / f"{name}.yaml").is_file():
            from speciarl.datasets.readers.folders import class_names  # takes its time

            classes[name] = class_names(Path(folder.path), folder.test_share)
    return classes


def require_inputs(inputs: Inputs) -> None:
    """See that the stages before have run.

    Raises:
        DataError: the line names what is missing, and the command that makes it.
    """
    read = [path for path in (inputs.base, inputs.samples, *inputs.verdicts) if path]
    if missing := [str(path) for path in read if not path.exists()]:
        raise DataError(
            f"{', '.join(missing)}: not there: `snakemake --cores all -- {' '.join(missing)}` "
            "makes what a training begins with"
        )
