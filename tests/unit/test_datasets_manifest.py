"""Manifests: the rendered archives read back, and contradictions refused."""

import csv
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from speciarl.config.data import Miniature
from speciarl.datasets.fetch import download
from speciarl.datasets.images import open_image
from speciarl.datasets.manifest import READERS, build_manifest, check_manifest
from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.datasets.miniature.mirror import LAYOUTS, render_mirror
from speciarl.datasets.readers import SCHEMA, Field, frame
from speciarl.datasets.sources import read_sources
from speciarl.errors import ConfigError, DataError

PROJECT = Path(__file__).resolve().parents[2]
SHARED = PROJECT.parent / "shared" / "data"
KINDS = [(name, kind) for name in LAYOUTS for kind in READERS[name].SPLIT_KINDS]

needs_shared = pytest.mark.skipif(
    not SHARED.exists(), reason="the reference data is not beside this checkout"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project root in which every miniature dataset is rendered and downloaded."""
    root = tmp_path_factory.mktemp("project")
    small = Miniature(train_per_class=2, test_per_class=2, image_size=28)
    for dataset in LAYOUTS:
        render_mirror(dataset, root / "data" / "mirror" / dataset, small)
        sources = read_sources(PROJECT / "data" / "sources.csv", "miniature", dataset)
        download(dataset, sources, root / "data" / "raw" / dataset, root, None)
    return root


def manifest(root: Path, dataset: str, kind: str = "official") -> pl.DataFrame:
    return build_manifest(dataset, Path("data/raw") / dataset, kind, root)


def display_names(dataset: str) -> list[str]:
    with (SHARED / "classes" / f"{dataset}.csv").open(newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(("dataset", "kind"), KINDS)
def test_a_rendered_archive_reads_back(dataset: str, kind: str, root: Path) -> None:
    found = manifest(root, dataset, kind)
    names = sorted(shown.name for shown in catalogue()[dataset])

    assert dict(found.schema) == SCHEMA
    assert found["sample_id"].is_sorted()
    classes = found.select("class_id", "class_name").unique().sort("class_id")
    assert classes["class_name"].to_list() == names
    assert classes["class_id"].to_list() == list(range(len(names)))
    counts = Counter(found["split"])
    assert counts["test"] == 2 * len(names)
    has_val = kind == "coop" or dataset in ("fgvc_aircraft", "flowers102")
    assert counts["val"] == (len(names) if has_val else 0)
    for row in found.group_by("class_name", maintain_order=True).first().iter_rows(named=True):
        assert row["image"].startswith(f"data/raw/{dataset}/")
        assert open_image(row["image"], root).size == (28, 28)


@needs_shared
@pytest.mark.parametrize("dataset", LAYOUTS)
def test_the_rendered_classes_are_classes_of_the_benchmark(dataset: str, root: Path) -> None:
    assert set(manifest(root, dataset)["class_name"]) <= set(display_names(dataset))


def test_a_manifest_does_not_depend_on_where_the_project_lies(root: Path) -> None:
    assert str(root) not in manifest(root, "cub200").write_csv()


def test_a_missing_image_is_counted_and_named(root: Path) -> None:
    found = manifest(root, "food101")
    image = root / found["image"][3]
    hidden = image.rename(image.with_suffix(".hidden"))
    with pytest.raises(DataError) as raised:
        manifest(root, "food101")
    hidden.rename(image)
    expected = f"food101: expected {len(found)} image files, found {len(found) - 1}"
    assert str(raised.value).startswith(f"{expected}; first missing {found['image'][3]}")


def test_unknown_names_are_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="'mnist' is unknown; expected one of caltech101"):
        manifest(root, "mnist")
    with pytest.raises(ConfigError, match="cub200 has no split 'coop'; expected official"):
        manifest(root, "cub200", "coop")


@pytest.mark.parametrize("dataset", READERS)
def test_an_empty_folder_is_answered_with_what_is_missing(dataset: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "raw" / dataset).mkdir(parents=True)
    with pytest.raises(DataError, match=r"(missing|expected).*download"):
        manifest(tmp_path, dataset, READERS[dataset].SPLIT_KINDS[0])


def row(line: int, split: str, key: str, image: str, class_id: int, name: str | None) -> tuple:
    return split, Field(key, f"list.txt:{line}"), image, class_id, name


GOOD = row(1, "train", "1", "1.jpg", 0, "gull")
ALSO_GOOD = row(2, "train", "2", "2.jpg", 0, "gull")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(3, "train", "1", "3.jpg", 0, "gull"), "every sample_id once, found 'a/train/1'"),
        (row(3, "test", "1", "1.jpg", 0, "gull"), "every image once, found 'a/test/1'"),
        (row(3, "train", "3", "3.jpg", 1, "gull"), "one class_id of each class_name, found"),
        (row(3, "train", "3", "3.jpg", 0, "tern"), "one class_name of each class_id, found"),
        (row(3, "trainval", "3", "3.jpg", 0, "gull"), "a split of train, val, test, found"),
        (row(3, "train", "3", "3.jpg", 0, None), "a value everywhere, found 'a/train/3'"),
        (row(3, "train", "3", "3.jpg", -1, "gull"), "a class id from 0, and a name, found"),
        (row(3, "train", "3", "3.jpg", 1, ""), "a class id from 0, and a name, found"),
    ],
)
def test_a_row_that_contradicts_others_is_named_with_its_place(bad: tuple, message: str) -> None:
    for rows in ([GOOD, ALSO_GOOD, bad], [GOOD, bad, ALSO_GOOD]):
        with pytest.raises(DataError) as raised:
            check_manifest(frame("a", rows), "a")
        assert str(raised.value).startswith(f"list.txt:3: expected {message}")


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="a: expected images, found none"):
        check_manifest(frame("a", []), "a")
