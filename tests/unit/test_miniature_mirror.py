"""The miniature's archives: complete, reproducible, and stable under other counts."""

import io
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from speciarl.config.data import Miniature
from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.datasets.miniature.layouts import MiniatureImage, coop_split
from speciarl.datasets.miniature.mirror import LAYOUTS, _images, _is_ambiguous, render_mirror
from speciarl.datasets.sources import choose_layout, read_sources
from speciarl.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SMALL = Miniature(train_per_class=2, test_per_class=2, image_size=28, seed=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def images(dataset: str, counts: dict[str, int], seed: int = 3) -> dict[tuple, MiniatureImage]:
    drawn = _images(catalogue()[dataset], counts, share=0.4, size=28, seed=seed)
    return {(p.class_name, p.split, p.index): p for p in drawn}


def test_every_catalogued_dataset_has_a_layout() -> None:
    assert set(LAYOUTS) == set(catalogue())


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_the_files_are_those_of_the_sources_and_the_bytes_repeat(
    dataset: str, tmp_path: Path
) -> None:
    render_mirror(dataset, tmp_path / "one", SMALL)
    render_mirror(dataset, tmp_path / "two", SMALL)
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two")
    for mirror in ("miniature", "real"):
        there = read_sources(ROOT / "data" / "sources.csv", mirror, dataset)
        listed = {source.file for source in choose_layout(there, tmp_path / "raw", None)}
        assert set(one) == listed | {"SHA256SUMS"}


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    render_mirror("cub200", tmp_path / "one", SMALL)
    render_mirror("cub200", tmp_path / "two", SMALL.model_copy(update={"seed": 4}))
    assert contents(tmp_path / "one") != contents(tmp_path / "two")


def test_a_new_rendering_replaces_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "cub200").mkdir()
    (tmp_path / "cub200" / "stale").touch()
    render_mirror("cub200", tmp_path / "cub200", SMALL)
    assert set(contents(tmp_path / "cub200")) == {"CUB_200_2011.tgz", "SHA256SUMS"}
    assert [path.name for path in tmp_path.iterdir()] == ["cub200"]


def test_other_counts_leave_a_image_as_it_is() -> None:
    few = images("flowers102", {"train": 2, "val": 1, "test": 1})
    many = images("flowers102", {"train": 5, "test": 3, "val": 2})
    assert few.items() <= {key: many[key] for key in few}.items()
    assert len({p.jpeg for p in many.values()}) == len(many)


@pytest.mark.parametrize(("count", "share", "expected"), [(8, 0.4, 3), (20, 0.4, 8), (5, 0, 0)])
def test_ambiguous_images_are_the_rounded_share(count: int, share: float, expected: int) -> None:
    assert sum(_is_ambiguous(index, share) for index in range(count)) == expected


def test_ambiguous_images_are_spread_over_every_class() -> None:
    drawn = images("cub200", {"train": 5})
    for shown in catalogue()["cub200"]:
        flags = [p.ambiguous for p in drawn.values() if p.class_name == shown.name]
        assert flags == [False, True, False, True, False]


def test_the_coop_split_keeps_test_counts_and_decidability() -> None:
    drawn = list(images("food101", {"train": 10, "test": 5}).values())
    rows = coop_split(drawn, val_share=0.3, mixed=True)
    assert sorted(id(p) for _, p in rows) == sorted(id(p) for p in drawn)
    official = [(p.class_name, p.ambiguous) for p in drawn if p.split == "test"]
    test = [p for split, p in rows if split == "test"]
    assert sorted(official) == sorted((p.class_name, p.ambiguous) for p in test)
    assert {p.split for p in test} == {"train", "test"}


def test_pets_archives_are_plain_tars_with_the_original_oddities(tmp_path: Path) -> None:
    render_mirror("oxford_pets", tmp_path / "pets", SMALL)
    with tarfile.open(tmp_path / "pets" / "images.tar.gz", "r:") as tar:
        names = tar.getnames()
        odd = tar.extractfile("images/american_bulldog_1.jpg").read()
        owners = {(m.mtime, m.uid, m.gid) for m in tar}
    assert "._images" in names
    assert any(name.endswith(".mat") for name in names)
    with Image.open(io.BytesIO(odd)) as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")
    assert owners == {(0, 0, 0)}


@pytest.mark.parametrize(
    "changed",
    [
        {"ambiguous_share": 1.5}, {"train_per_class": 0}, {"train_per_class": 4001},
        {"test_per_class": 0}, {"test_per_class": 4000},
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused_by_name(changed: dict) -> None:
    (name,) = changed
    with pytest.raises(ValidationError, match=rf"1 validation error for Miniature\n{name}\n"):
        Miniature(**changed)


def test_the_numbers_of_the_largest_splits_are_apart_and_have_four_digits() -> None:
    def numbers(split: str, most: int) -> list[int]:
        return [MiniatureImage(0, "", "", split, i, False, 28, b"").number for i in (0, most - 1)]

    limits = {
        split: Miniature.model_fields[f"{split}_per_class"].metadata[1].le
        for split in ("train", "test")
    }
    most = limits | {"val": limits["test"] // 2}
    found = [number for split, count in most.items() for number in numbers(split, count)]
    assert len({*found}) == len(found) and max(found) <= 9999
    starts = sorted(zip(found[::2], found[1::2], strict=True))
    assert all(last < first for (_, last), (first, _) in pairwise(starts))


def test_an_unknown_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mnist' is unknown; expected one of cub200"):
        render_mirror("mnist", tmp_path, SMALL)


@pytest.mark.parametrize("most", [2, 4, 8])
def test_groups_have_at_most_so_many_classes_the_first_ones(most: int) -> None:
    for dataset, classes in catalogue(most).items():
        by_group: dict[str, list[str]] = {}
        for one in catalogue()[dataset]:
            by_group.setdefault(one.group, []).append(one.name)
        expected = [name for names in by_group.values() for name in names[:most]]
        assert [one.name for one in classes] == expected
