"""Custom datasets: class folders, divided by a seeded share or by folders of splits."""

import logging
import unicodedata
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from speciarl import config
from speciarl.datasets.images import open_image
from speciarl.datasets.manifest import accounted
from speciarl.datasets.readers import SCHEMA
from speciarl.datasets.readers.folders import build_folder_manifest
from speciarl.errors import DataError, TaxonomyError
from speciarl.files import write_parquet
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import Pair, Verdict
from speciarl.verifiers.factory import build_verifier

FACTS = Path(__file__).resolve().parents[2] / "data" / "taxonomies"


def put(folder: Path, **classes: int) -> None:
    """Images of each class, of two kinds."""
    for name, count in classes.items():
        for i in range(count):
            path = folder / name / f"{i}.{'PNG' if i else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)


def build(folder: Path, test_share: float | None = None, seed: int = 0) -> pl.DataFrame:
    return build_folder_manifest("garden", folder, test_share=test_share, seed=seed)[0]


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    put(tmp_path / "train", red_rose=3, Tulip=2)
    put(tmp_path / "test", Tulip=1)
    found = build(tmp_path)
    assert dict(found.schema) == SCHEMA
    assert found.group_by("split", "class_name").len().sort("split", "class_name").rows() == [
        ("test", "Tulip", 1), ("train", "Tulip", 2), ("train", "red rose", 3)
    ]  # fmt: skip
    assert found["class_id"].n_unique() == 2
    assert "garden/train/red_rose/1.PNG" in found["sample_id"].to_list()
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
    put(tmp_path / "x", a=20, b=2)
    put(tmp_path / "y", a=20, b=2)
    chosen = [
        set(build(tmp_path / place, 0.5, seed).filter(split="test")["sample_id"])
        for place, seed in (("x", 0), ("y", 0), ("x", 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def put_files(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_every_file_is_in_the_manifest_or_counted_as_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, a=3, b=2)
    Image.new("RGB", (1, 300)).save(tmp_path / "a" / "thin.png")
    whole = (tmp_path / "a" / "0.jpg").read_bytes()
    put_files(
        tmp_path,
        **{
            "a/empty.jpg": b"", "a/cut.jpg": whole[:-30], "b/text.png": b"a text",
            "b/notes.txt": b"", "b/notes/more.txt": b"",
            "b/line\nbreak.jpg": whole, "b/{run}.jpg": whole,
            "stray.jpg": whole, "about.md": b"",
            # what is hidden is nobody's image
            "a/._0.jpg": b"", ".cache/x/0.jpg": b"", "a/.checkpoints/0.jpg": whole,
        },
    )  # fmt: skip
    (tmp_path / "a" / "broken.jpg").symlink_to("nowhere.jpg")
    with caplog.at_level(logging.INFO):
        manifest, left_out = build_folder_manifest("garden", tmp_path, test_share=0.5, seed=0)
    assert manifest.height == 5
    assert left_out == Counter(
        {"no images by name": 4, "unreadable": 3, "ill named": 2, "too thin": 1,
         "outside class folders": 1}
    )  # fmt: skip
    assert accounted(manifest, left_out) == (
        "16 files: 5 images, 11 left out (2 ill named, 4 no images by name, "
        "1 outside class folders, 1 too thin, 3 unreadable)"
    )
    assert "garden: left out 4 of 9 images that cannot be used: " in caplog.text
    assert f"{tmp_path}/a/empty.jpg: unreadable (the file is empty)" in caplog.text


def test_the_other_images_of_a_class_stay_in_their_splits(tmp_path: Path) -> None:
    put(tmp_path / "x", a=9, b=9)
    before = build(tmp_path / "x", 0.5).filter(class_name="b")
    (tmp_path / "x" / "a" / "3.PNG").write_bytes(b"")
    found = build(tmp_path / "x", 0.5)
    assert found.height == 17
    assert found.filter(class_name="b").equals(before)


def test_bad_images_can_be_refused(tmp_path: Path) -> None:
    put(tmp_path, a=9, b=2)
    for i in range(1, 9):
        (tmp_path / "a" / f"{i}.PNG").write_bytes(b"")
    with pytest.raises(DataError) as refused:
        build_folder_manifest("garden", tmp_path, test_share=0.5, seed=0, bad_images="refuse")
    message = str(refused.value)
    assert message.startswith(f"garden: 8 of 11 images cannot be used: {tmp_path}/a/1.PNG: ")
    assert message.count("the file is empty") == 5 and "and 3 more" in message
    assert message.endswith("or set datasets.folders.garden.bad_images: leave_out")
    assert "fetch" not in message and "download" not in message


def test_ten_thousand_names_are_never_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, a=2, b=2)
    for i in range(200):
        (tmp_path / "a" / f"bad_{i}.jpg").touch()
    with caplog.at_level(logging.INFO):
        build(tmp_path, 0.5)
    assert "left out 200 of 204" in caplog.text and "and 195 more" in caplog.text
    assert caplog.text.count("bad_") == 5


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_change_nothing(tmp_path: Path, threads: int) -> None:
    put(tmp_path, a=20, b=20)
    (tmp_path / "a" / "7.PNG").write_bytes(b"")
    one = build_folder_manifest("garden", tmp_path, test_share=0.5, seed=0)
    other = build_folder_manifest("garden", tmp_path, test_share=0.5, seed=0, threads=threads)
    assert one[0].equals(other[0]) and one[1] == other[1] == Counter({"unreadable": 1})


def test_a_class_without_a_single_good_image_is_refused(tmp_path: Path) -> None:
    put(tmp_path, a=2, b=2, c=1)
    (tmp_path / "c" / "0.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of 'c' can be used: .*c/0.jpg: unreadable"):
        build(tmp_path, 0.5)


@pytest.mark.parametrize(
    ("made", "share", "message"),
    [
        (["a/x.jpg"], 0.5, "expected folders of at least two classes .*, found .*/a: state"),
        (["train/a/x", "test/a/x"], 0.5, "found test, train; if these are splits, remove .*share$"),
        (["Train/a/x", "Val/a/x"], 0.5, "found Train, Val; if these are splits, remove"),
        (["train/a/x", "test/a/x", "more/x"], 0.5, "found more, test, train; if these are splits"),
        (["a/x", "b/dogs/x", "b/cats/y"], 0.5, "b: .* found a folder of images, cats: .* nested"),
        (["a/x", "b/x", "b/deep/est/y"], 0.5, "b: .* found a folder of images, deep: .* nested"),
        (
            ["train/a/b/x", "test/a/x", "test/c/x"],
            None,
            "a: .* found a folder of images, b: .* nested",
        ),
        (["red_rose/x", "red rose/y"], 0.5, "red_rose are one class but for the spelling: merge"),
        (["Rose/x", "rose/y"], 0.5, "Rose and .*rose are one class but for the spelling"),
        (["train/Rose/x", "test/rose/y"], None, "train/Rose and .*test/rose are one class"),
        (["a/x", "_/y"], 0.5, "_' is no name for a class: rename it"),
        (["a/x", "b\nc/y"], 0.5, r"b\\nc' is no name for a class: rename it"),
        (["a/x", "{b}/y"], 0.5, "{b}' is no name for a class: rename it"),
        (["x", "y"], 0.5, "expected folders of at least two classes .*, found none"),
        (["x", "y"], None, "found none; if these are classes"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    tmp_path: Path, made: list[str], share: float | None, message: str
) -> None:
    put(tmp_path, one=1)
    image = (tmp_path / "one" / "0.jpg").read_bytes()
    folder = tmp_path / "images"
    put_files(folder, **{name.removesuffix(".jpg") + ".jpg": image for name in made})
    with pytest.raises(DataError, match=f"(?s){message}") as refused:
        build(folder, share)
    assert "\n" not in str(refused.value)


def test_any_name_that_a_table_can_hold_is_a_class(tmp_path: Path) -> None:
    names = [
        "Coca-Cola can (330 ml)", "Fox Terrier (Smooth)", "Unknown", "none", "Löwe", "猫", "train",
        "Rock'n'Roll", "100 %", "a, b; c", "null", "1",
    ]  # fmt: skip
    for name in names:
        put(tmp_path, **{unicodedata.normalize("NFD", name): 2})
    found = build(tmp_path, 0.5)
    assert sorted(found["class_name"].unique()) == sorted(names)
    assert found.filter(split="test").height == len(names)
    write_parquet(found, tmp_path / "manifest.parquet")
    assert pl.read_parquet(tmp_path / "manifest.parquet").equals(found)


@pytest.mark.parametrize(
    ("made", "share", "message"),
    [
        ([], 0.5, "expected folders of at least two classes .*, found none"),
        (["a", "b"], 0.5, "a: expected images of a class, found none"),
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
    folder = tmp_path / "images"
    if made is not None:
        folder.mkdir()
        for name in made:
            (folder / name).mkdir()
    with pytest.raises(DataError, match=message):
        build(folder, share)


def test_a_dataset_without_images_for_the_test_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "divided" / "train", a=2, b=1)
    put(tmp_path / "shared", a=1, b=1)
    for folder, share in (("divided", None), ("shared", 0.5)):
        with pytest.raises(DataError, match="expected images for the test in"):
            build(tmp_path / folder, share)


def test_names_in_any_script_are_known(tmp_path: Path) -> None:
    classes = {"animals": ["猫", "犬", "кошка"]}
    verifier = build_verifier(config.VerifierConfig(), FACTS, classes)
    judged = dict(verifier.judge([Pair("猫", "猫"), Pair("猫", "犬"), Pair("кошка", "кошка")]))
    assert [j.verdict for j in judged.values()] == [
        Verdict.SPECIFIC, Verdict.WRONG, Verdict.SPECIFIC
    ]  # fmt: skip


def test_names_that_are_read_as_one_are_refused() -> None:
    with pytest.raises(TaxonomyError, match="pets: the classes 'cat' and 'cats' are one"):
        Taxonomy.of_classes(FACTS, {"pets": ["cat", "cats"]})


def test_without_facts_only_the_names_of_the_classes_are_known() -> None:
    classes = {"cub200": ["Herring Gull"], "garden": ["red rose", "tulip"]}
    verifier = build_verifier(config.VerifierConfig(), FACTS, classes)
    predictions = ("red rose", "a photo of a Red Rose", "tulip", "flower", "none")
    judged = dict(verifier.judge([Pair("red rose", said.lower()) for said in predictions]))
    verdicts = {pair.prediction: j.verdict for pair, j in judged.items()}
    assert verdicts["red rose"] is verdicts["a photo of a red rose"] is Verdict.SPECIFIC
    assert verdicts["tulip"] is Verdict.WRONG
    by = {pair.prediction: j.decided_by for pair, j in judged.items()}
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
