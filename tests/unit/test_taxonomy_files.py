"""The facts in data/taxonomies: complete, small, and true of the miniature's groups."""

import csv
from functools import cache
from pathlib import Path

import pytest
import yaml

from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "taxonomies"
REFERENCE = ROOT.parent / "shared" / "data"
CLASSES = {
    "cub200": 200,
    "fgvc_aircraft": 100,
    "flowers102": 102,
    "food101": 101,
    "oxford_pets": 37,
    "stanford_cars": 196,
    "caltech101": 100,
}
CATALOGUE = yaml.safe_load(
    (ROOT / "speciarl" / "datasets" / "miniature" / "catalogue.yaml").read_text()
)
CARRIERS = ["{}", "a photo of a {}", "The image shows a {}.", "It appears to be a {}", "answer: {}"]


@cache
def taxonomy() -> Taxonomy:
    return Taxonomy.load(FOLDER, list(CLASSES))


@cache
def class_names(dataset: str) -> tuple[str, ...]:
    path = REFERENCE / "classes" / f"{dataset}.csv"
    if not path.exists():
        pytest.skip(f"the reference class list {path} is not here")
    with path.open(encoding="utf-8") as lines:
        return tuple(row["display_name"] for row in csv.DictReader(lines))


@pytest.mark.parametrize("dataset", [*CLASSES, "common"])
def test_each_file_stays_readable_by_hand(dataset: str) -> None:
    assert (FOLDER / f"{dataset}.yaml").stat().st_size < 300_000


@pytest.mark.parametrize(("dataset", "count"), CLASSES.items())
def test_every_class_of_the_benchmark_is_described(dataset: str, count: int) -> None:
    names = class_names(dataset)
    assert len(names) == count
    taxonomy().require(dataset, names)


@pytest.mark.parametrize("dataset", CLASSES)
def test_every_class_has_a_parent_of_use(dataset: str) -> None:
    table = taxonomy().table({dataset: class_names(dataset)})
    broad = table.filter(table["verdict"].is_in(["generic", "less specific"]))
    assert set(broad["class_name"]) == set(class_names(dataset))


@pytest.mark.parametrize("dataset", CLASSES)
def test_every_class_is_known_by_its_own_name_in_any_carrier(dataset: str) -> None:
    for name in class_names(dataset):
        for carrier in CARRIERS:
            found = taxonomy().relation(name, carrier.format(name), dataset)
            assert found.verdict is Verdict.SPECIFIC, (name, carrier, found)


def groups() -> list[tuple[str, str, str]]:
    return [
        (dataset, group, name)
        for dataset, entry in CATALOGUE.items()
        for group, members in entry["groups"].items()
        for name in members
    ]


def test_groups_of_the_miniature_are_near_and_its_generic_terms_far() -> None:
    for dataset, group, name in groups():
        near = taxonomy().relation(name, group, dataset)
        far = taxonomy().relation(name, CATALOGUE[dataset]["generic"], dataset)
        assert near.verdict is Verdict.LESS_SPECIFIC, (name, group, near)
        assert far.verdict is Verdict.GENERIC, (name, far)


@pytest.mark.parametrize("dataset", CATALOGUE)
def test_siblings_of_the_miniature_are_wrong(dataset: str) -> None:
    names = [name for own, _, name in groups() if own == dataset]
    for name in names:
        for other in names:
            if name != other:
                found = taxonomy().relation(name, other, dataset)
                assert found.verdict is Verdict.WRONG, (name, other, found)


def test_birds_agree_with_the_reference_hierarchy() -> None:
    path = REFERENCE / "hierarchy" / "cub200.csv"
    if not path.exists():
        pytest.skip(f"the reference hierarchy {path} is not here")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        family = taxonomy().relation(row["display_name"], row["family"], "cub200")
        assert family.verdict is Verdict.LESS_SPECIFIC, (row["display_name"], row["family"])
        name = taxonomy().relation(row["display_name"], row["scientific_name"], "cub200")
        expected = {Verdict.SPECIFIC, Verdict.MORE_SPECIFIC}
        assert name.verdict in expected, (row["display_name"], row["scientific_name"], name)


def test_aircraft_agree_with_the_reference_hierarchy() -> None:
    path = REFERENCE / "hierarchy" / "fgvc_aircraft.csv"
    if not path.exists():
        pytest.skip(f"the reference hierarchy {path} is not here")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        maker = taxonomy().relation(row["variant"], row["manufacturer"], "fgvc_aircraft")
        assert maker.verdict in (Verdict.GENERIC, Verdict.SPECIFIC), (row["variant"], maker)


def test_the_fingerprint_is_stable() -> None:
    assert taxonomy().fingerprint == Taxonomy.load(FOLDER, list(CLASSES)).fingerprint
    assert taxonomy().fingerprint != Taxonomy.load(FOLDER, ["cub200"]).fingerprint
