"""Which classes the miniature shows, and what of an image tells them apart."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

CATALOGUE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True)
class MiniatureClass:
    """One class: its names at three levels, and the three visual features that show them."""

    dataset: str
    name: str
    group: str
    generic: str
    kind: int  # silhouette, one per dataset: shows the generic term
    hue: int  # color, one per group of the dataset: shows the group
    marking: int  # pattern, one per class of the group: shows the class


@cache
def catalogue(classes_per_group: int | None = None) -> dict[str, tuple[MiniatureClass, ...]]:
    """Classes by dataset, in the order of catalogue.yaml: all, or the first of each group."""
    content = yaml.safe_load(CATALOGUE.read_bytes())
    return {
        dataset: tuple(
            MiniatureClass(dataset, name, group, entry["generic"], kind, hue, marking)
            for hue, (group, names) in enumerate(entry["groups"].items())
            for marking, name in enumerate(names[:classes_per_group])
        )
        for kind, (dataset, entry) in enumerate(content.items())
    }
