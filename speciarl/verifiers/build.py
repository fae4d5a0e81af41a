"""The verifier that the parameters ask for."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from speciarl.taxonomy import Taxonomy
from speciarl.text import normalise
from speciarl.verifiers.cascade import Cascade
from speciarl.verifiers.rules import Rules
from speciarl.verifiers.taxonomic import Taxonomic


def build_verifier(taxonomies: Path, classes: Mapping[str, Sequence[str]]) -> Cascade:
    """Rules, then the taxonomy; what neither decides is wrong and marked undecided.

    Args:
        taxonomies: folder of the YAML facts.
        classes: class names by dataset.
    """
    taxonomy = Taxonomy.of_classes(taxonomies, classes)
    return Cascade([rules_for(taxonomy, classes), Taxonomic(taxonomy)])


def rules_for(taxonomy: Taxonomy, datasets: Iterable[str]) -> Rules:
    """The rules, told which known names only look like several answers."""
    return Rules({normalise(term) for name in datasets for term in taxonomy.terms(name)})


def classes_of(taxonomy: pl.DataFrame) -> dict[str, list[str]]:
    """Class names by dataset, as in the relations of data/taxonomy.parquet."""
    pairs = taxonomy.select("dataset", "class_name").unique().sort("dataset", "class_name")
    return {
        name: rows["class_name"].to_list()
        for (name,), rows in pairs.group_by("dataset", maintain_order=True)
    }
