"""The sections on images: which datasets take part, what is rendered, and what is trained on."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, model_validator

from speciarl.config.base import Count, Name, ProjectPath, Section, Seed, Share, one_of

DATASETS = (
    "cub200", "flowers102", "food101", "oxford_pets", "stanford_cars", "fgvc_aircraft",
    "caltech101",
)  # fmt: skip

Benchmark = Annotated[str, one_of(DATASETS)]


class Folder(Section):
    """A custom dataset, a folder of images per class; its facts, if there are any, stand in
    data/taxonomies/NAME.yaml."""

    path: ProjectPath
    """The folder, absolute or relative to the project."""
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of each class's images for the test; null where `path` holds train/ and test/."""
    seed: Seed = 0
    """Picks the images for the test."""
    bad_images: Literal["leave_out", "refuse"] = "leave_out"
    """What becomes of images that cannot be opened, or are too large or too thin: the others are
    used and these counted, or the dataset is refused."""


class Datasets(Section):
    mirror: Literal["miniature", "real"] = "miniature"
    """Which rows of data/sources.csv to fetch."""
    mixed_scale: bool = False
    """Allow drawings for a model of full size, or photographs for the miniature policy."""
    offline_dir: ProjectPath | None = None
    """A folder of archives that is looked at before any URL."""
    splits: dict[Benchmark, Literal["official", "coop"]] = Field(default_factory=dict)
    """The benchmarks that take part, and which division into train, val and test."""
    folders: dict[Name, Folder] = Field(default_factory=dict)
    """Custom datasets that take part."""

    @property
    def names(self) -> list[str]:
        """All datasets that take part."""
        return [*self.splits, *self.folders]

    @property
    def judged_together(self) -> list[list[str]]:
        """The benchmarks, whose facts every verifier knows, then each custom dataset by itself: so
        that another one does not change by what the rest is judged."""
        return [list(group) for group in (self.splits, *([name] for name in self.folders)) if group]

    def known_to(self, judged: Collection[str]) -> list[str]:
        """The datasets that a verifier of some datasets knows, in the order of all."""
        return [name for name in self.names if name in self.splits or name in judged]

    @model_validator(mode="after")
    def _each_dataset_once(self) -> "Datasets":
        if not self.names:
            raise ValueError("expected at least one dataset in splits or folders")
        if taken := [name for name in self.folders if name in (*DATASETS, "common")]:
            raise ValueError(f"folders.{taken[0]}: the name is taken, choose another")
        return self


class Miniature(Section):
    """The images that stand in for the benchmarks, and that the miniature policy learns from."""

    train_per_class: Annotated[int, Field(ge=1, le=4000)] = 20
    test_per_class: Annotated[int, Field(ge=1, le=3999)] = 10
    ambiguous_share: Share = 0.5
    """Share of the images whose class cannot be seen, only its group."""
    classes_per_group: Annotated[int, Field(ge=2, le=8)] = 8
    """Most classes of a group, among which a guess is right by luck one time in as many."""
    image_size: Annotated[int, Field(ge=28, le=336, multiple_of=28)] = 56
    """Edge in pixels; 28 is one visual token."""
    seed: Seed = 0


class TrainingSet(Section):
    datasets: list[str] = Field(min_length=1)
    splits: list[Literal["train", "val", "test"]] = Field(default=["train"], min_length=1)
    """What to draw from, of each dataset."""
    size: Count | None = None
    """How many images, in equal shares of the datasets; all where not given."""
    balanced: bool = False
    """Equal shares of the classes, too."""
    seed: Seed = 0
