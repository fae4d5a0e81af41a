"""The section on runs: rows of the tables, each of which names only what it has otherwise."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from speciarl.config.base import Count, Section, Seed, Share, one_of, path_of_project
from speciarl.config.reading import merged
from speciarl.prompts import FOR_THE_POLICY, names_in
from speciarl.rewards import REWARDS

SECTIONS = ("grpo", "sft", "lora", "verifier", "resources")
"""Sections of params.yaml of which a row can have keys of its own, by the same name."""

RewardName = Annotated[str, one_of(REWARDS)]
PromptName = Annotated[str, one_of(names_in(FOR_THE_POLICY))]


class Run(Section):
    """One row of the main table: what differs from these defaults, or from the row it is like."""

    like: str | None = None
    """A row that this one is like in all that it does not name: it is an ablation of that."""
    method: Literal["none", "sft", "grpo"] = "none"
    reward: RewardName = "dynamic"
    noise: Share = 0.0
    """Share of the verdicts in training that are moved one level up or down (`rewards.Noise`)."""
    num_generations: Annotated[int, Field(ge=2, lt=2**31)] = 5
    """Completions per image in training, the group of the reward; docs/method.md says how many."""
    prompt: PromptName = "plain"
    training_set: str = "cub200"
    seeds: list[Seed] = Field(default=[42], min_length=1)
    """The run is trained and evaluated once with each; its scores are the means over them."""
    grpo: dict[str, Any] = Field(default_factory=dict)
    """What this run has otherwise than the section of the name; so for the next three."""
    sft: dict[str, Any] = Field(default_factory=dict)
    lora: dict[str, Any] = Field(default_factory=dict)
    verifier: dict[str, Any] = Field(default_factory=dict)
    """Another model or prompt has no precomputed verdicts: it is asked, and remembered."""
    resources: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """Likewise, of the rows of the section."""
    best_of: Count = 1
    """Completions per image in evaluation, of which the best verdict counts."""
    answer_tag: Literal["first", "last"] = "first"
    """Of several tagged predictions in a completion, the one that counts (authors: first)."""

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"expected different seeds, found {seeds}")
        return seeds

    @field_validator("verifier")
    @classmethod
    def _path_of_project(cls, verifier: dict, info: ValidationInfo) -> dict:
        path = model.get("path") if isinstance(model := verifier.get("model"), Mapping) else None
        if not isinstance(path, str):
            return verifier
        return merged(verifier, {"model": {"path": path_of_project(path, info)}})


def in_full(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Rows with all that they take over from those they are like.

    A row without values is left out, and so are those that are like it.

    Raises:
        ValueError: a row is like one that nobody has named, or like itself.
    """

    def whole(name: str, above: tuple[str, ...]) -> Any:
        row = rows[name]
        like = row.get("like") if isinstance(row, Mapping) else None
        if not isinstance(like, str):
            return row
        if like not in rows or like in above:
            why = "leads back to the row" if like in above else f"is not one of {sorted(rows)}"
            raise ValueError(f"runs.{name}.like: {like!r} {why}")
        other = whole(like, (*above, like))
        return merged(other, row) if isinstance(other, Mapping) else other

    full = {name: whole(name, (name,)) for name in rows}
    return {name: row for name, row in full.items() if row is not None}


def differing(row: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a row has otherwise than another, by key; within a section, by section and key."""
    for key in (*row, *(key for key in other if key not in row)):
        here, there = row.get(key), other.get(key)
        if key != "like" and here != there:
            if isinstance(here, Mapping) and isinstance(there, Mapping):
                yield from ((f"{key}.{name}", v) for name, v in differing(here, there))
            else:
                yield key, here
