"""params.yaml as typed sections: the one place that owns names, defaults and limits.

The sections on images stand in `data`, on learning in `learning`, on verifiers in `verifiers`, on
what is made of a trained policy in `evaluation`.

Unknown keys and impossible values are refused with one line that names the key. Nothing else
reads the file: rules pass values on to plain functions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from speciarl.config.base import Name, Section
from speciarl.config.data import Datasets, Miniature, TrainingSet
from speciarl.config.evaluation import Evaluation, Measures, Weights
from speciarl.config.learning import Grpo, Lora, Policy, Sft, Training
from speciarl.config.reading import merged, read, require_plain
from speciarl.config.resources import Job, Resources
from speciarl.config.runs import SECTIONS, Run, in_full
from speciarl.config.verifiers import (
    DirectoryModel,
    TrainingVerifierConfig,
    Verdicts,
    VerifierConfig,
)
from speciarl.errors import ConfigError

OWN = "custom datasets"  # the group of those that are in no other

PARAMS_FIRST = ": name params.yaml first, then what overrides it"

RENAMED = {
    "generations": "steps", "prompts_per_generation": "prompts_per_step",
    "updates_per_generation": "updates_per_step", "micro_batch": "per_device_batch_size",
    "kl": "beta", "clip": "epsilon", "clip_high": "epsilon_high", "dual_clip": "delta",
    "loss": "loss_type", "rollouts": "num_generations", "knowing_steps": "pretrain_steps",
    "pictures_per_class": "images_per_class", "undecidable": "ambiguous_share",
    "seed": "seeds, of a run",
}  # fmt: skip
"""Keys by their former names."""


class Params(Section):
    workspace: Name | None = Field(default=None, exclude=True)
    """Folder under workspaces/ for all that comes of the run; needed by whatever overrides
    params.yaml, whose own artifacts lie in the project itself and are versioned by DVC."""
    datasets: Datasets
    groups: dict[str, list[str]] = Field(default_factory=dict)
    """Datasets whose scores are averaged, in the order of the report. Custom datasets that are
    in none make a group together."""
    miniature: Miniature = Miniature()
    training_sets: dict[Name, TrainingSet] = Field(min_length=1)
    verifier: TrainingVerifierConfig = TrainingVerifierConfig()
    judge: VerifierConfig = VerifierConfig()
    policy: Policy = Policy()
    lora: Lora = Lora()
    grpo: Grpo = Grpo()
    sft: Sft = Sft()
    training: Training = Training()
    runs: dict[Name, Run] = Field(min_length=1)
    """A row without values (`sft:`) is left out, with those that are like it: so a preset drops
    one of params.yaml."""
    evaluation: Evaluation = Evaluation()
    specificity: Weights = Weights()
    measures: Measures = Measures()
    verdicts: Verdicts = Field(default=Verdicts(), exclude=True)
    """Excluded, as the next one, from what the stages watch: neither changes any result."""
    resources: Resources = Field(default=Resources(), exclude=True)

    def in_full(self) -> dict[str, Any]:
        """All values, those that no stage watches too: for a process that goes on with the job."""
        unwatched = {name: getattr(self, name).model_dump() for name in ("verdicts", "resources")}
        return self.model_dump(mode="json") | unwatched

    def section_of(self, run: str, name: str) -> Any:
        """A section of `runs.SECTIONS`, typed as that, with what the row of a run overrides."""
        section = getattr(self, name)
        return type(section)(**merged(section.model_dump(), getattr(self.runs[run], name)))

    def job(self, stage: str, run: str | None = None) -> Job:
        """What a job of a stage takes, its GPUs counted where its row leaves that open."""
        rows = self.section_of(run, "resources") if run else self.resources
        row: Job = getattr(rows, stage)
        if stage == "train" and run:
            if self.runs[run].method == "none":
                return Job(gpu=0)
            row = row.model_copy(update={"threads": max(row.threads, self.training.devices)})
        gpu = self._gpus(stage, run) if row.gpu is None else row.gpu
        return row.model_copy(update={"gpu": gpu})

    def _gpus(self, stage: str, run: str | None) -> int:
        real = self.policy.source != "miniature" and self.policy.device != "cpu"
        if stage == "train" and run:
            training = self.training
            served = training.starts_server(self.runs[run].method)
            return training.devices * (real or served) + training.server_devices * served
        if stage == "predict":
            wide = self.evaluation.tensor_parallel
            return wide * (real or self.evaluation.engine == "vllm")
        asked = {"judge": self.judge.model, "score": self.measures.model}
        if stage == "score" and self.measures.embedding_model:
            return int(real)
        if self.verifier.precompute_model:
            asked["precompute_verdicts"] = self.verifier.model
        return int(real and isinstance(asked.get(stage), DirectoryModel))

    @model_validator(mode="before")
    @classmethod
    def _rows_in_full(cls, values: Any) -> Any:
        rows = values.get("runs")
        return {**values, "runs": in_full(rows)} if isinstance(rows, Mapping) else values

    @property
    def unseen(self) -> list[str]:
        """Datasets that no run is trained on, of the groups in their order.

        Runs that are like another, the ablations, leave it as it is: a run that is trained on
        another domain is scored on the same datasets as the others.
        """
        own = (run for run in self.runs.values() if run.method != "none" and run.like is None)
        trained = {run.training_set for run in own}
        seen = {dataset for name in trained for dataset in self.training_sets[name].datasets}
        return [name for names in self.groups.values() for name in names if name not in seen]

    @property
    def sampled_base(self) -> str | None:
        """The run that draws the most samples of the base policy; None where none draws several."""
        drawn = {name: run.best_of for name, run in self.runs.items()
                 if run.method == "none" and run.best_of > 1}  # fmt: skip
        return max(drawn, key=drawn.__getitem__, default=None)

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        chosen = {f"groups.{name}": names for name, names in self.groups.items()}
        chosen |= {f"training_sets.{n}.datasets": s.datasets for n, s in self.training_sets.items()}
        for key, names in chosen.items():
            for name in names:
                if name not in self.datasets.names:
                    raise ValueError(
                        f"{key}: {name!r} is neither in datasets.splits nor in datasets.folders"
                    )
        if self.datasets.splits and not self.groups:
            raise ValueError(f"groups is missing{PARAMS_FIRST}")
        grouped = [name for names in self.groups.values() for name in names]
        for name in self.datasets.names:
            if grouped.count(name) != 1 and (name in self.datasets.splits or name in grouped):
                raise ValueError(f"groups: {name!r} is in {grouped.count(name)} groups, not one")
        if "base" in self.runs:
            raise ValueError("runs.base: the name is taken by models/base, choose another")
        for name, run in self.runs.items():
            if run.training_set not in self.training_sets:
                raise ValueError(
                    f"runs.{name}.training_set: {run.training_set!r} is not one of "
                    f"{sorted(self.training_sets)}"
                )
        return self

    @model_validator(mode="after")
    def _overrides_are_valid(self) -> "Params":
        for run in self.runs:
            for name in SECTIONS:
                try:
                    self.section_of(run, name)
                except ValidationError as error:
                    inner = _one_line(error.errors()[0]).removeprefix("params: ")
                    raise ValueError(f"runs.{run}.{name}.{inner}") from None
        return self

    @model_validator(mode="after")
    def _scales_fit(self) -> "Params":
        images, policy = self.datasets.mirror, self.policy.source
        same = (images == "miniature") == (policy == "miniature")
        if same or self.datasets.mixed_scale or not self.datasets.splits:
            return self
        other = "policy.source: hub" if images == "real" else "datasets.mirror: real"
        raise ValueError(
            f"datasets.mirror is {images} and policy.source {policy}: set {other}, or "
            "datasets.mixed_scale: true where that is meant"
        )

    @model_validator(mode="after")
    def _splits_exist(self) -> "Params":
        for key, chosen in self.training_sets.items():
            for name in chosen.datasets:
                folder = self.datasets.folders.get(name)
                if folder and folder.test_share is not None and chosen.splits == ["val"]:
                    raise ValueError(
                        f"training_sets.{key}.splits: expected train, found val, which {name!r} "
                        "does not have: its test_share divides it into train and test"
                    )
        return self

    @model_validator(mode="after")
    def _own_group(self) -> "Params":
        grouped = [name for names in self.groups.values() for name in names]
        own = [name for name in self.datasets.folders if name not in grouped]
        if not own:
            return self
        if OWN in self.groups:
            raise ValueError(f"groups.{OWN}: the name is taken, choose another")
        return self.model_copy(update={"groups": {**self.groups, OWN: own}})


def parse(values: Mapping[str, Any], project: Path | None = None) -> Params:
    """Typed parameters.

    Args:
        values: sections of params.yaml.
        project: what relative paths are put behind; they stay relative where there is none.

    Raises:
        ConfigError: one line that names the first key at fault and what was expected.
    """
    try:
        require_plain(values)
        return Params.model_validate(dict(values), context={"project": project})
    except ValidationError as error:
        raise ConfigError(_one_line(error.errors()[0])) from None
    except RecursionError:
        raise ConfigError("params: nest too deeply") from None


def load(
    files: Sequence[Path], over: Mapping[str, Any] | None = None, project: Path | None = None
) -> Params:
    """Typed parameters from YAML files: later ones override earlier ones key by key, `over` all.

    Raises:
        ConfigError: a file cannot be read, or `parse` refuses the whole.
    """
    values: dict[str, Any] = {}
    for path in files:
        values = merged(values, read(path))
    return parse(merged(values, over or {}), project)


def check_paths(params: Params, project: Path) -> None:
    """See that the folders from outside that parameters name are there.

    Raises:
        ConfigError: one line that names the first key whose folder is not.
    """
    folders = {f"datasets.folders.{n}.path": f.path for n, f in params.datasets.folders.items()}
    folders["policy.path"] = params.policy.path or "."
    folders["measures.embedding_model"] = params.measures.embedding_model or "."
    models = {name: getattr(params, name).model for name in ("verifier", "judge", "measures")}
    for run in params.runs:
        models[f"runs.{run}.verifier"] = params.section_of(run, "verifier").model
    for name, model in models.items():
        if isinstance(model, DirectoryModel):
            folders.setdefault(f"{name}.model.path", model.path)
    for key, folder in folders.items():
        if not (project / folder).is_dir():
            raise ConfigError(
                f"params: {key}: there is no folder {folder!r}: put it there or mend the path"
            )


def _one_line(fault: ErrorDetails) -> str:
    loc = fault["loc"]
    # pydantic puts the kind of a model between it and its keys
    parts = [p for before, p in zip(("", *loc), loc, strict=False) if before != "model"]
    key = ".".join(str(part) for part in parts if part != "[key]")
    if fault["type"] == "extra_forbidden" and parts[-1] in RENAMED:
        return f"params: {key} is now called {RENAMED[parts[-1]]}: rename it"
    if fault["type"] == "extra_forbidden":
        return f"params: {key} is not a parameter: remove it or mend its name"
    if fault["type"] == "missing":
        first = PARAMS_FIRST if len(parts) == 1 else ""
        return f"params: {key} is missing{first}"
    message = fault["msg"].removeprefix("Value error, ")
    secret = parts[-1:] in (["base_url"], ["api_key_env"])  # a key may stand there by mistake
    if secret or not isinstance(fault["input"], str | int | float | None):
        return f"params: {key}: {message}" if key else f"params: {message}"
    return f"params: {key} is {fault['input']!r}: {message[0].lower()}{message[1:]}"
