"""The training of a run from the parameters alone: by hand it is the same as by its rule."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from speciarl.config import Params
from speciarl.errors import DataError
from speciarl.paths import (
    FACTS,
    LIVE,
    MODELS,
    PRECOMPUTED,
    PROJECT,
    RAW,
    SAMPLES,
    STORE,
    TRAINING,
    WORK,
)
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
    datasets = params.training_sets[row.training_set].datasets
    archives = [RAW / name / "files.json" for name in datasets if name in params.datasets.splits]
    samples = SAMPLES / f"{row.training_set}.parquet"
    inputs = Inputs(PROJECT, MODELS / "base", samples, archives)
    if row.method != "grpo":
        return inputs
    mine, precomputed = params.section_of(run, "verifier"), params.verifier
    same = (mine.backend, mine.model) == (precomputed.backend, precomputed.model)
    known_to = params.datasets.known_to
    # those of another verifier would be of no use
    useful = [name for name in datasets if same and known_to([name]) == known_to(datasets)]
    return replace(
        inputs,
        verdicts=[PRECOMPUTED / f"{name}.parquet" for name in useful],
        classes=classes_to_name(params, datasets),
        facts=FACTS,
        store=Path(params.verdicts.store or STORE),
    )


def outputs_of(run: str) -> Outputs:
    made = {
        name: TRAINING / run / f"{name}.parquet" for name in ("metrics", "verdicts", "predictions")
    }
    return Outputs(model=MODELS / run, work=WORK / "train" / run, live=LIVE / run, **made)


def classes_to_name(params: Params, judged: Collection[str] | None = None) -> dict[str, list[str]]:
    """The datasets that a verifier knows, and of those without facts the classes, by the names of
    their folders.

    Not by their manifests: one more image would then judge, and train, everything again.

    Args:
        judged: what it judges; all datasets in use, if not given.
    """
    known = params.datasets.known_to(params.datasets.names if judged is None else judged)
    classes: dict[str, list[str]] = {name: [] for name in sorted(known)}
    for name, folder in params.datasets.folders.items():
        if name in known and not (FACTS / f"{name}.yaml").is_file():
            from speciarl.datasets.readers.folders import class_names  # takes its time

            classes[name] = class_names(Path(folder.path), folder.test_share)
    return classes


def require_inputs(inputs: Inputs) -> None:
    """See that the stages before have run.

    Raises:
        DataError: the line names what is missing, and the command that makes it.
    """
    read = [inputs.base, inputs.samples, *inputs.archives, *inputs.verdicts]
    if missing := [str(path) for path in read if path and not path.exists()]:
        raise DataError(
            f"{', '.join(missing)}: not there: `snakemake --cores all -- {' '.join(missing)}` "
            "makes what a training begins with"
        )
