"""A dataset of one's own: class folders, divided by a seeded share or by folders of splits."""

import logging
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from speciarl import config
from speciarl.datasets.images import open_image
from speciarl.datasets.manifest import build_folder_manifest
from speciarl.datasets.readers import SCHEMA
from speciarl.errors import DataError, TaxonomyError
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import Verdict
from speciarl.verifiers.base import Pair
from speciarl.verifiers.build import build_verifier

FACTS = Path(__file__).resolve().parents[2] / "data" / "taxonomies"


def put(folder: Path, **classes: int) -> None:
    """Pictures of each class, one of them in a folder of its own."""
    for name, count in classes.items():
        for i in range(count):
            path = folder / name / ("more" if i == 1 else "") / f"{i}.{'PNG' if i else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)


def build(folder: Path, test_share: float | None = None, seed: int = 0) -> pl.DataFrame:
    return build_folder_manifest("garden", folder, test_share=test_share, seed=seed)


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    put(tmp_path / "train", red_rose=3, Tulip=2)
    put(tmp_path / "test", Tulip=1)
    found = build(tmp_path)
    assert dict(found.schema) == SCHEMA
    assert found.group_by("split", "class_name").len().sort("split", "class_name").rows() == [
        ("test", "Tulip", 1), ("train", "Tulip", 2), ("train", "red rose", 3)
    ]  # fmt: skip
    assert found["class_id"].n_unique() == 2
    assert "garden/train/red_rose/more/1.PNG" in found["sample_id"].to_list()
    assert all(open_image(reference, Path()).size == (4, 4) for reference in found["image"])


def test_a_share_of_every_class_is_kept_for_the_test(tmp_path: Path) -> None:
    put(tmp_path, a=10, b=3, c=2, d=1)
    found = build(tmp_path, test_share=0.2)
    tests = dict(found.filter(split="test").group_by("class_name").len().iter_rows())
    assert tests == {"a": 2, "b": 1, "c": 1}
    assert found.height == 16 == found["sample_id"].n_unique()
    assert found.filter(split="train")["class_name"].n_unique() == 4
    assert all(row["sample_id"].startswith(f"garden/{row['split']}/") for row in found.to_dicts())


def test_the_seed_picks_the_test_and_nothing_else_does(tmp_path: Path) -> None:
    put(tmp_path / "x", a=20)
    put(tmp_path / "y", a=20)
    chosen = [
        set(build(tmp_path / place, 0.5, seed).filter(split="test")["sample_id"])
        for place, seed in (("x", 0), ("y", 0), ("x", 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_what_is_no_picture_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, a=2)
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "a" / "._0.jpg").touch()
    (tmp_path / ".cache").mkdir()
    with caplog.at_level(logging.INFO):
        assert build(tmp_path, 0.5).height == 2
    assert "left out 1 of 3 files" in caplog.text


@pytest.mark.parametrize(
    ("made", "share", "message"),
    [
        ([], 0.5, "expected pictures, found none"),
        (["a"], 0.5, "a: expected pictures of a class, found none"),
        (
            ["rose", "tulip"],
            None,
            "found rose, tulip; if these are classes, state datasets.folders",
        ),
        ([], None, "found none"),
        (["test", "rose"], None, "expected only folders named train, val, test"),
        (None, 0.5, "is no folder; correct datasets.folders.garden.path"),
    ],
)
def test_other_forms_are_refused(
    tmp_path: Path, made: list[str] | None, share: float | None, message: str
) -> None:
    folder = tmp_path / "pictures"
    if made is not None:
        folder.mkdir()
        for name in made:
            (folder / name).mkdir()
    with pytest.raises(DataError, match=message):
        build(folder, share)


def test_a_dataset_without_pictures_for_the_test_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "divided" / "train", a=2)
    put(tmp_path / "shared", a=1, b=1)
    for folder, share in (("divided", None), ("shared", 0.5)):
        with pytest.raises(DataError, match="expected pictures for the test in"):
            build(tmp_path / folder, share)


def test_names_in_any_script_are_known(tmp_path: Path) -> None:
    classes = {"animals": ["猫", "犬", "кошка"]}
    verifier = build_verifier(config.Verifier(), FACTS, classes)
    judged = dict(verifier.judge([Pair("猫", "猫"), Pair("猫", "犬"), Pair("кошка", "кошка")]))
    assert [j.verdict for j in judged.values()] == [
        Verdict.SPECIFIC, Verdict.WRONG, Verdict.SPECIFIC
    ]  # fmt: skip


def test_names_that_are_read_as_one_are_refused() -> None:
    with pytest.raises(TaxonomyError, match="pets: the classes 'cat' and 'cats' are one"):
        Taxonomy.of_classes(FACTS, {"pets": ["cat", "cats"]})


def test_without_facts_only_the_names_of_the_classes_are_known() -> None:
    classes = {"cub200": ["Herring Gull"], "garden": ["red rose", "tulip"]}
    verifier = build_verifier(config.Verifier(), FACTS, classes)
    answers = ("red rose", "a photo of a Red Rose", "tulip", "flower", "none")
    judged = dict(verifier.judge([Pair("red rose", answer.lower()) for answer in answers]))
    verdicts = {pair.answer: j.verdict for pair, j in judged.items()}
    assert verdicts["red rose"] is verdicts["a photo of a red rose"] is Verdict.SPECIFIC
    assert verdicts["tulip"] is Verdict.WRONG
    by = {pair.answer: j.decided_by for pair, j in judged.items()}
    assert by["flower"] == "undecided"
    assert by["red rose"] == by["tulip"] == "taxonomy"


def test_with_facts_it_is_judged_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text((FACTS / "common.yaml").read_text())
    (tmp_path / "garden.yaml").write_text(
        "dataset: garden\nroot: [flower]\nterms: {rose: {}}\n"
        "classes: {red rose: {near: [rose]}, tulip: {}}\n"
    )
    taxonomy = Taxonomy.of_classes(tmp_path, {"garden": ["red rose", "tulip"]})
    assert taxonomy.relation("red rose", "rose").verdict is Verdict.LESS_SPECIFIC
    assert taxonomy.relation("red rose", "flower").verdict is Verdict.GENERIC
