"""What the sections of params.yaml are made of: their base class and the types of their values."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo

from speciarl.config.reading import NAME_LENGTH

Count = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy takes
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=NAME_LENGTH)]
"""Of a run, a training set or a custom dataset: it becomes part of file names."""


def path_of_project(path: str, info: ValidationInfo) -> str:
    """A path behind the project's, where the validation knows one."""
    project = (info.context or {}).get("project")
    return str(project / path) if project else path


ProjectPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(path_of_project)]
"""Absolute, or relative to the project, also where a run has a folder of its own."""


def one_of(names: Iterable[str]) -> AfterValidator:
    """Refuses what is none of the names, and lists them."""
    known = tuple(names)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return value

    return AfterValidator(check)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
