"""Opening images: from files and from parquet rows, whatever they hold."""

import io
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from speciarl.datasets import images
from speciarl.datasets.images import FORMATS, MAX_RATIO, BadImage, find_bad, open_image
from speciarl.errors import DataError

HANDED = Path(__file__).resolve().parents[3] / "shared" / "inputs" / "images"


def encoded(shade: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, shade, shade)).convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """100 images, each of another shade."""
    records = [{"image": {"bytes": encoded(n), "path": None}} for n in range(100)]
    path = tmp_path / "p.parquet"
    pl.DataFrame(records).write_parquet(path, row_group_size=10)
    return path


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("GIF", "P"), ("PNG", "1")],
)
def test_any_kind_of_image_becomes_rgb(kind: str, mode: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(255, kind, mode))
    image = open_image("a.jpg", tmp_path)
    assert (image.mode, image.size) == ("RGB", (4, 3))
    assert image.getpixel((0, 0)) == (255, 255, 255)


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


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mine/none.jpg", r"missing \(no such file\); replace or remove it$"),
        ("data/raw/d/none.jpg", r"missing \(no such file\); download its dataset again$"),
        ("none.parquet#0", "is missing; download its dataset again$"),
    ],
)
def test_a_missing_image_is_named_with_what_to_do(
    reference: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"^{reference}: .*{message}"):
        open_image(reference, tmp_path)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PLAIN = Image.new("RGB", (60, 30), (200, 10, 30))
JPEG, PNG = saved(PLAIN, "JPEG"), saved(PLAIN, "PNG")
BMP = saved(PLAIN, "BMP")
# Their headers speak of 10,000 and of 60,000 pixels a side.
LARGE, VAST = (BMP[:18] + n.to_bytes(4, "little") * 2 + BMP[26:] for n in (10_000, 60_000))


@pytest.mark.parametrize(
    ("content", "kind", "detail"),
    [
        (b"", "unreadable", "the file is empty"),
        (b"a text that is called .jpg", "unreadable", "expected JPEG, PNG, WEBP, GIF, BMP, TIFF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unreadable", "expected JPEG, PNG"),
        (saved(PLAIN, "AVIF"), "unreadable", "expected JPEG, PNG"),
        (saved(PLAIN.convert("P"), "BLP"), "unreadable", "expected JPEG, PNG"),
        (saved(PLAIN, "PPM"), "unreadable", "expected JPEG, PNG"),
        (JPEG[:-9], "unreadable", "truncated"),
        (PNG[:60], "unreadable", "."),
        (saved(PLAIN, "GIF")[:40], "unreadable", "."),
        (saved(PLAIN, "WEBP")[:-20], "unreadable", "."),
        (saved(PLAIN, "TIFF")[:200], "unreadable", "."),
        (saved(PLAIN.convert("F"), "TIFF"), "unreadable", "mode F have no fixed range"),
        (saved(PLAIN.convert("I"), "TIFF"), "unreadable", "mode I have no fixed range"),
        (LARGE, "oversized", "10000 x 10000 pixels, at most 89,478,485"),
        (VAST, "oversized", "over 178,956,970 pixels"),
        (saved(PLAIN.resize((1, 300)), "PNG"), "too thin", "1 x 300 pixels"),
        (saved(PLAIN.resize((402, 2)), "PNG"), "too thin", "402 x 2 pixels"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bad_image_is_named_with_the_reason(
    content: bytes, kind: str, detail: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(BadImage, match=rf"^a.jpg: {kind} \(.*{detail}.*\); replace or remove it$"):
        open_image("a.jpg", tmp_path)
    ((reference, bad),) = find_bad(["a.jpg"], tmp_path, threads=2).items()
    assert (reference, bad.kind) == ("a.jpg", kind)


def turned(orientation: int) -> bytes:
    """An image that is red at its upper left corner when it is shown upright."""
    upright = Image.new("RGB", (16, 8), "blue")
    upright.paste((255, 0, 0), (0, 0, 8, 4))
    # Turning it the other way round is what a camera held that way has done.
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # of Image.Transpose
    stored = upright.transpose(Image.Transpose(undone[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return saved(stored, "PNG", exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright(orientation: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(turned(orientation))
    image = open_image("a.png", tmp_path)
    assert image.size == (16, 8)
    corners = [image.getpixel(at) for at in ((0, 0), (15, 0), (0, 7), (15, 7))]
    assert corners == [(255, 0, 0), *[(0, 0, 255)] * 3]


def test_damaged_metadata_do_not_cost_the_image(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03"
    (tmp_path / "a.jpg").write_bytes(saved(PLAIN, "JPEG", exif=exif))
    assert open_image("a.jpg", tmp_path).size == (60, 30)


def with_alpha() -> Image.Image:
    """Red to the left; to the right black that cannot be seen."""
    image = Image.new("RGBA", (60, 30), (0, 0, 0, 0))
    image.paste((200, 10, 30, 255), (0, 0, 30, 30))
    return image


GREY16 = Image.fromarray(np.linspace(0, 65535, 60 * 30).reshape(30, 60).astype(np.uint16))
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (60, 30), "green")]}
RED, WHITE = (200, 10, 30), (255, 255, 255)


@pytest.mark.parametrize(
    ("content", "left", "right"),
    [
        (saved(PLAIN, "BMP"), RED, RED),
        (saved(PLAIN.quantize(4), "PNG"), RED, RED),
        (saved(PLAIN.convert("CMYK"), "JPEG"), RED, RED),
        (saved(PLAIN.convert("CMYK"), "TIFF"), RED, RED),
        (saved(PLAIN.convert("YCbCr"), "TIFF"), RED, RED),
        (saved(with_alpha(), "PNG"), RED, WHITE),
        (saved(with_alpha(), "WEBP", lossless=True), RED, WHITE),
        (saved(with_alpha(), "GIF"), RED, WHITE),
        (saved(with_alpha().quantize(8), "PNG"), RED, WHITE),
        (saved(with_alpha(), "TIFF"), RED, WHITE),
        (saved(with_alpha().convert("LA"), "PNG"), (69, 69, 69), WHITE),
        (saved(PLAIN, "PNG", transparency=RED), WHITE, WHITE),
        (saved(PLAIN.convert("LAB"), "TIFF"), RED, RED),
        (saved(PLAIN.convert("1"), "TIFF"), (0, 0, 0), (0, 0, 0)),
        (saved(GREY16, "PNG"), (0, 0, 0), WHITE),
        (saved(GREY16, "TIFF"), (0, 0, 0), WHITE),
        (saved(PLAIN, "GIF", **FRAMES), RED, RED),
        (saved(PLAIN, "WEBP", lossless=True, **FRAMES), RED, RED),
        (saved(PLAIN, "PNG", **FRAMES), RED, RED),
        (saved(PLAIN, "TIFF", **FRAMES), RED, RED),
        (saved(PLAIN, "MPO", **FRAMES), RED, RED),
    ],
)
def test_every_kind_of_image_is_seen_as_a_viewer_shows_it(
    content: bytes, left: tuple, right: tuple, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    image = open_image("a.jpg", tmp_path)
    assert (image.mode, image.size) == ("RGB", (60, 30))
    assert image.getpixel((0, 0)) == pytest.approx(left, abs=6)  # JPEG and palettes are not exact
    assert image.getpixel((59, 29)) == pytest.approx(right, abs=6)


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(GREY16, "PNG"))
    found = np.asarray(open_image("a.png", tmp_path))[..., 0]
    assert np.array_equal(found, np.asarray(GREY16) >> 8)


@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    opaque=st.booleans(),
)
def test_an_opaque_color_image_keeps_every_pixel(pixels: np.ndarray, opaque: bool) -> None:
    image = Image.fromarray(pixels)
    with tempfile.TemporaryDirectory() as folder:
        (image.convert("RGBA") if opaque else image).save(Path(folder) / "a.png")
        assert np.array_equal(np.asarray(open_image("a.png", Path(folder))), pixels)


@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    kept=st.floats(0, 1),
)
def test_whatever_is_in_a_file_it_opens_or_is_named(
    kind: str, place: float, value: int, kept: float
) -> None:
    content = bytearray(saved(PLAIN, kind, exif=b"Exif\0\0" if kind == "JPEG" else b""))
    content[int(place * len(content))] = value
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").write_bytes(content[: int(kept * len(content)) + 1])
        try:
            assert open_image("a", Path(folder)).mode == "RGB"
        except BadImage as bad:
            assert "\n" not in str(bad) and str(bad).startswith("a: ")


def test_what_passes_is_what_the_policy_s_processor_takes(tmp_path: Path) -> None:
    for size in ((1, 1), (1, 200), (400, 2), (30, 60)):
        PLAIN.resize(size).save(tmp_path / "a.png")
        smart_resize(*open_image("a.png", tmp_path).size)
    with pytest.raises(ValueError, match="aspect ratio"):
        smart_resize(1, MAX_RATIO + 1)


@pytest.mark.parametrize("installed", [True, False])
def test_heic_is_read_or_named(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setattr(images, "FORMATS", FORMATS[:6])
        (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
        with pytest.raises(BadImage, match="HEIC is read where pillow-heif is installed: pip"):
            open_image("a.jpg", tmp_path)
        return
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed here")
    PLAIN.save(tmp_path / "a.jpg", "HEIF")
    assert open_image("a.jpg", tmp_path).getpixel((0, 0)) == pytest.approx(RED, abs=6)


@pytest.mark.skipif(not HANDED.exists(), reason="the handed images are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("exif6.jpg", (30, 60)),
        ("i16.png", (60, 30)),
        ("thin.png", "too thin"),
        ("empty.jpg", "unreadable"),
        ("avif_inside.jpg", "unreadable"),
        ("blp_inside.jpg", "unreadable"),
    ],
)
def test_an_image_that_failed_before(name: str, outcome: object) -> None:
    bad = find_bad([name], HANDED, threads=1)
    assert (bad[name].kind if bad else open_image(name, HANDED).size) == outcome
    if name == "i16.png":
        assert open_image(name, HANDED).getextrema() == ((0, 252),) * 3


def test_a_parquet_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"version https://git-lfs")
    with pytest.raises(DataError, match=r"^p.parquet#0: expected parquet with image.bytes"):
        open_image("p.parquet#0", tmp_path)


def test_images_are_opened_in_one_place_alone() -> None:
    """Upright, in one mode, with their faults named: for training, prediction and report alike."""
    package = Path(images.__file__).parents[1]
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "Image.open(" in path.read_text() and "miniature" not in path.parts
    }
    assert found == {"datasets/images.py"}
