"""Opening pictures: from files and from parquet rows, whatever they hold."""

import io
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from speciarl.datasets.images import open_image
from speciarl.errors import DataError


def encoded(shade: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, shade, shade)).convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """100 pictures, each of another shade."""
    records = [{"image": {"bytes": encoded(n), "path": None}} for n in range(100)]
    path = tmp_path / "p.parquet"
    pl.DataFrame(records).write_parquet(path, row_group_size=10)
    return path


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("GIF", "P"), ("PNG", "1")],
)
def test_any_kind_of_picture_becomes_rgb(kind: str, mode: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(255, kind, mode))
    picture = open_image("a.jpg", tmp_path)
    assert (picture.mode, picture.size) == ("RGB", (4, 3))
    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_rows_of_a_parquet_file_open(parquet: Path, tmp_path: Path) -> None:
    for row in (99, 0, 31, 32, 64, 0):
        assert open_image(f"p.parquet#{row}", tmp_path).getpixel((0, 0)) == (row, row, row)


def test_a_replaced_parquet_file_is_read_anew(parquet: Path, tmp_path: Path) -> None:
    open_image("p.parquet#0", tmp_path)
    pl.DataFrame([{"image": {"bytes": encoded(200), "path": None}}]).write_parquet(parquet)
    assert open_image("p.parquet#0", tmp_path).getpixel((0, 0)) == (200, 200, 200)


@pytest.mark.parametrize("row", ["100", "-1", "x", ""])
def test_a_row_that_does_not_exist_is_named(row: str, parquet: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"p.parquet#{row}"):
        open_image(f"p.parquet#{row}", tmp_path)


@pytest.mark.parametrize("reference", ["none.jpg", "none.parquet#0"])
def test_a_missing_picture_is_named(reference: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{reference}: .* is missing; download"):
        open_image(reference, tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>", encoded(9, "JPEG")[:300], encoded(9)[:50]])
def test_a_damaged_picture_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"^a.jpg: expected a picture"):
        open_image("a.jpg", tmp_path)


def test_a_parquet_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"version https://git-lfs")
    with pytest.raises(DataError, match=r"^p.parquet#0: expected parquet with image.bytes"):
        open_image("p.parquet#0", tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    (tmp_path / "a.jpg").write_bytes(encoded(9))
    with pytest.raises(DataError, match=r"^a.jpg: refused to decode"):
        open_image("a.jpg", tmp_path)
