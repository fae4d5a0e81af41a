"""params.yaml as typed sections: the one place that owns names, defaults and limits.

Unknown keys and impossible values are refused with one line that names the key. Nothing else
reads the file: rules pass values on to plain functions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from speciarl.config.base import Count, Positive, Section, Seed, Share, one_of
from speciarl.config.judges import Verifier
from speciarl.errors import ConfigError
from speciarl.policy.prompts import prompt_names
from speciarl.rewards import REWARDS
from speciarl.verdicts import SPECIFICITY_WEIGHTS, Verdict

DATASETS = (
    "cub200", "flowers102", "food101", "oxford_pets", "stanford_cars", "fgvc_aircraft",
    "caltech101",
)  # fmt: skip

OWN = "own pictures"  # the group of datasets of one's own that are in no other

Benchmark = Annotated[str, one_of(DATASETS)]
RewardName = Annotated[str, one_of(REWARDS)]
PromptName = Annotated[str, one_of(prompt_names())]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""Of a run, a training set or a dataset of one's own: it becomes part of file names."""


class Folder(Section):
    """A dataset of one's own, a folder of pictures per class; its facts, if there are any, stand in
    data/taxonomies/NAME.yaml."""

    path: str
    """The folder, absolute or relative to the project."""
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of each class's pictures for the test; null where `path` holds train/ and test/."""
    seed: Seed = 0
    """Picks the pictures for the test."""


class Datasets(Section):
    mirror: Literal["miniature", "real"] = "miniature"
    """Which rows of data/sources.csv to fetch."""
    offline_dir: str | None = None
    """A folder of archives that is looked at before any URL."""
    splits: dict[Benchmark, Literal["official", "coop"]] = Field(default_factory=dict)
    """The benchmarks that take part, and which division into train, val and test."""
    folders: dict[Name, Folder] = Field(default_factory=dict)
    """Datasets of one's own that take part."""

    @property
    def names(self) -> list[str]:
        """All datasets that take part."""
        return [*self.splits, *self.folders]

    @model_validator(mode="after")
    def _each_dataset_once(self) -> "Datasets":
        if not self.names:
            raise ValueError("expected at least one dataset in splits or folders")
        if taken := [name for name in self.folders if name in (*DATASETS, "common")]:
            raise ValueError(f"folders.{taken[0]}: the name is taken, choose another")
        return self


class Miniature(Section):
    """The pictures that stand in for the benchmarks, and that the miniature policy learns from."""

    train_per_class: Count = 20
    test_per_class: Count = 5
    undecidable: Share = 0.4
    """Share of the pictures whose class cannot be seen, only its group."""
    image_size: Annotated[int, Field(ge=28, le=336, multiple_of=28)] = 56
    """Edge in pixels; 28 is one visual token."""
    seed: Seed = 0


class TrainingSet(Section):
    datasets: list[str] = Field(min_length=1)
    splits: list[Literal["train", "val", "test"]] = Field(default=["train"], min_length=1)
    """What to draw from, of each dataset."""
    size: Count | None = None
    """How many pictures, in equal shares of the datasets; all where not given."""
    balanced: bool = False
    """Equal shares of the classes, too."""
    seed: Seed = 0


class Policy(Section):
    source: Literal["miniature", "directory"] = "miniature"
    """Train the miniature policy, or take a model directory."""
    path: str | None = None
    """The model directory, for `source: directory`."""
    pictures_per_class: Count = 40
    knowing_steps: Count = 900
    """Optimiser steps on specific names."""
    habit_steps: Count = 400
    """Optimiser steps on answers of mixed levels."""
    batch_size: Count = 48
    learning_rate: Positive = 2e-3
    seed: Seed = 0

    @model_validator(mode="after")
    def _path_with_directory(self) -> "Policy":
        if (self.source == "directory") != (self.path is not None):
            raise ValueError("path goes with source: directory, and only with it")
        return self


class Lora(Section):
    rank: Count = 4
    alpha: Count = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Grpo(Section):
    """Group relative policy optimisation through TRL (arXiv 2402.03300)."""

    generations: Count = 80
    """How often rollouts are drawn."""
    prompts_per_generation: Count = 8
    updates_per_generation: Count = 1
    micro_batch: Count = 80
    """Completions in one forward pass, per process."""
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Positive = 1.0
    kl: Annotated[float, Field(ge=0)] = 0.01
    """Weight of the k3 estimate of the divergence from the base policy."""
    clip: Positive = 0.2
    clip_high: Positive | None = None
    """Upper clip where it differs (DAPO: .28)."""
    dual_clip: Positive | None = 3.0
    loss: Literal["bnpo", "grpo", "dr_grpo", "dapo"] = "bnpo"
    """`bnpo` is a mean over tokens, as in the authors' runs."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    temperature: Positive = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_new_tokens: Count = 24
    checkpoint_every: Count = 20
    """Generations between two checkpoints."""


class Sft(Section):
    """Supervised fine-tuning on the class names of the training set."""

    epochs: Positive = 4.0
    batch_size: Count = 40
    micro_batch: Count = 40
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Positive = 1.0


class Run(Section):
    """One row of the main table: what differs from these defaults."""

    method: Literal["none", "sft", "grpo"] = "none"
    reward: RewardName = "dynamic"
    rollouts: Annotated[int, Field(ge=2)] = 10
    """Completions per picture in training: the group of the reward."""
    prompt: PromptName = "plain"
    training_set: str = "cub200"
    seed: Seed = 42
    best_of: Count = 1
    """Completions per picture in evaluation, of which the best verdict counts."""


class Evaluation(Section):
    max_new_tokens: Count = 24
    batch_size: Count = 128
    """Sequences generated together."""
    temperature: Positive = 0.6
    """For runs with `best_of` above 1; the others are greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    seed: Seed = 0


class Weights(Section):
    """Specificity of a correct answer by its level (the authors' evaluator)."""

    generic: Share = SPECIFICITY_WEIGHTS[Verdict.GENERIC]
    less_specific: Share = SPECIFICITY_WEIGHTS[Verdict.LESS_SPECIFIC]
    specific: Share = SPECIFICITY_WEIGHTS[Verdict.SPECIFIC]
    more_specific: Share = SPECIFICITY_WEIGHTS[Verdict.MORE_SPECIFIC]


class Params(Section):
    datasets: Datasets
    groups: dict[str, list[str]] = Field(default_factory=dict)
    """Datasets whose scores are averaged, in the order of the report. Those of one's own that are
    in none make a group together."""
    miniature: Miniature = Miniature()
    training_sets: dict[Name, TrainingSet] = Field(min_length=1)
    verifier: Verifier = Verifier()
    judge: Verifier = Verifier()
    policy: Policy = Policy()
    lora: Lora = Lora()
    grpo: Grpo = Grpo()
    sft: Sft = Sft()
    runs: dict[Name, Run] = Field(min_length=1)
    evaluation: Evaluation = Evaluation()
    specificity: Weights = Weights()

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
    def _own_group(self) -> "Params":
        grouped = [name for names in self.groups.values() for name in names]
        own = [name for name in self.datasets.folders if name not in grouped]
        if not own:
            return self
        if OWN in self.groups:
            raise ValueError(f"groups.{OWN}: the name is taken, choose another")
        return self.model_copy(update={"groups": {**self.groups, OWN: own}})


def parse(values: Mapping[str, Any]) -> Params:
    """Typed parameters.

    Raises:
        ConfigError: one line that names the first key at fault and what was expected.
    """
    try:
        return Params.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_one_line(error.errors()[0])) from None


def load(files: Sequence[Path]) -> Params:
    """Typed parameters from YAML files, later ones overriding earlier ones key by key.

    Raises:
        ConfigError: a file is missing or not YAML, or `parse` refuses the whole.
    """
    values: dict[str, Any] = {}
    for path in files:
        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected sections of parameters")
        values = _merged(values, content)
    return parse(values)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _merged(base[key], value) if nested else value
    return merged


def _one_line(fault: ErrorDetails) -> str:
    loc = fault["loc"]
    # pydantic puts the kind of a model between it and its keys
    parts = [p for before, p in zip(("", *loc), loc, strict=False) if before != "model"]
    key = ".".join(str(part) for part in parts if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return f"params: {key} is not a parameter: remove it or mend its name"
    if fault["type"] == "missing":
        return f"params: {key} is missing"
    message = fault["msg"].removeprefix("Value error, ")
    secret = parts[-1:] in (["base_url"], ["api_key_env"])  # a key may stand there by mistake
    if secret or not isinstance(fault["input"], str | int | float | None):
        return f"params: {key}: {message}" if key else f"params: {message}"
    return f"params: {key} is {fault['input']!r}: {message[0].lower()}{message[1:]}"
