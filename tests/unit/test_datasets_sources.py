"""data/sources.csv: complete, well-formed, and malformed tables refused."""

from pathlib import Path

import pytest

from speciarl.datasets.manifest import READERS
from speciarl.datasets.miniature.mirror import LAYOUTS
from speciarl.datasets.sources import COLUMNS, choose_layout, read_sources
from speciarl.errors import DataError

TABLE = Path(__file__).resolve().parents[2] / "data" / "sources.csv"
GOOD = {
    "mirror": "real",
    "dataset": "cub200",
    "layout": "archives",
    "file": "a.tgz",
    "role": "images",
    "urls": "https://one/a.tgz https://two/a.tgz",
    "size": "12",
    "checksum": f"md5:{'0' * 32}",
}


def write(folder: Path, *rows: dict[str, str]) -> Path:
    lines = [",".join(COLUMNS), *(",".join(row[column] for column in COLUMNS) for row in rows)]
    path = folder / "sources.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("dataset", READERS)
def test_every_dataset_has_real_sources(dataset: str) -> None:
    for source in read_sources(TABLE, "real", dataset):
        assert all(url.startswith(("https://", "http://")) for url in source.urls)
        # The Cars copy is the only one of which nobody published a checksum.
        assert (source.checksum == "unknown") == (source.layout == "parquet")
        # Only the original Cars archives are no longer online.
        assert bool(source.urls) != ((dataset, source.layout) == ("stanford_cars", "archives"))
        assert source.size or source.layout == "parquet"


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_every_rendered_dataset_has_local_sources(dataset: str) -> None:
    for source in read_sources(TABLE, "miniature", dataset):
        assert source.urls and all(url.startswith("file://") for url in source.urls)
        assert source.checksum == "SHA256SUMS"


def test_real_facts_equal_the_reference_table() -> None:
    reference = TABLE.parents[2] / "shared" / "data" / "sources.csv"
    if not reference.exists():
        pytest.skip("no reference table beside this checkout")
    stated = reference.read_text()
    for dataset in READERS:
        for source in read_sources(TABLE, "real", dataset):
            if source.checksum != "unknown":
                assert source.checksum.removeprefix("sha256:") in stated
                assert all(url in stated for url in source.urls[:1])


def test_a_row_is_read(tmp_path: Path) -> None:
    (source,) = read_sources(write(tmp_path, GOOD), "real", "cub200")
    assert source.urls == ("https://one/a.tgz", "https://two/a.tgz")
    assert (source.size, source.name) == (12, "cub200/a.tgz")


def test_a_file_that_is_no_longer_online_has_no_urls(tmp_path: Path) -> None:
    (source,) = read_sources(write(tmp_path, {**GOOD, "urls": ""}), "real", "cub200")
    assert source.urls == ()


def test_the_layout_at_hand_is_chosen_or_else_the_first(tmp_path: Path) -> None:
    cars = read_sources(TABLE, "real", "stanford_cars")
    raw, offline = tmp_path / "raw", tmp_path / "offline"

    def layout(offline_dir: Path | None) -> set[str]:
        return {source.layout for source in choose_layout(cars, raw, offline_dir)}

    assert layout(None) == layout(offline) == {"parquet"}
    original = [source.file for source in cars if source.layout == "archives"]
    (offline / "stanford_cars").mkdir(parents=True)
    for name in original[:-1]:
        (offline / "stanford_cars" / name).touch()
    assert layout(offline) == {"parquet"}
    raw.mkdir()
    (raw / original[-1]).touch()
    assert layout(offline) == {"archives"}
    assert len(choose_layout(cars, raw, offline)) == len(original) == 4


def test_an_empty_size_is_unknown(tmp_path: Path) -> None:
    (source,) = read_sources(write(tmp_path, {**GOOD, "size": ""}), "real", "cub200")
    assert source.size is None


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("mirror", "reel", "expected the mirror miniature or real, found 'reel'"),
        ("dataset", "../x", "expected a plain name as dataset, found '../x'"),
        ("file", "a/b.tgz", "expected a plain name as file, found 'a/b.tgz'"),
        ("file", ".hidden", "expected a plain name as file"),
        ("urls", "ftp://one/a.tgz", "found 'ftp://one/a.tgz'"),
        ("urls", "https://a  https://b", "found ''"),
        ("size", "12.5", "expected a size in bytes or nothing, found '12.5'"),
        ("checksum", "", "expected a value of checksum"),
        ("checksum", "md5:abc", "found 'md5:abc'"),
        ("checksum", "SHA256SUMS", "for file:// URLs only"),
    ],
)
def test_a_malformed_field_is_named_with_its_line(
    column: str, value: str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, GOOD, {**GOOD, "file": "b.tgz", column: value})
    with pytest.raises(DataError, match=message) as raised:
        read_sources(path, "real", "cub200")
    assert str(raised.value).startswith(f"{path}:3: ")
    assert "\n" not in str(raised.value)


def test_a_short_row_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    path.write_text(path.read_text() + "real,cub200\n")
    with pytest.raises(DataError, match=r"sources.csv:3: expected 8 fields"):
        read_sources(path, "real", "cub200")


def test_a_repeated_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected every file once, found .*cub200/a.tgz"):
        read_sources(write(tmp_path, GOOD, GOOD), "real", "cub200")


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sources.csv"
    path.write_text("dataset,url\n")
    with pytest.raises(DataError, match="expected the columns mirror, dataset, layout, file"):
        read_sources(path, "real", "cub200")


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'near' is unknown; expected one of miniature, real"):
        read_sources(TABLE, "near", "cub200")
    with pytest.raises(DataError, match=r"'mnist' is not at the real mirror.*caltech101, cub200"):
        read_sources(TABLE, "real", "mnist")
    with pytest.raises(DataError, match="cannot be read"):
        read_sources(tmp_path / "none.csv", "real", "cub200")
