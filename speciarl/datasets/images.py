"""Opens the image that a manifest refers to, a file or a row of a parquet file, as upright RGB.

Training, prediction and the check of custom datasets all open images here, so that what passes the
check is what they see.
"""

import importlib
import importlib.util
import io
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from speciarl.errors import DataError, one_line

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What an image may be inside, whatever its name; no other decoder of Pillow is ever started."""
MAX_PIXELS = 89_478_485  # 256 MiB as RGB; Pillow's own limit
MAX_RATIO = 200  # of the longer side to the shorter: beyond it Qwen's image processor refuses

_BLOCK = 32  # rows read at once: neighbors are mostly asked for next
_BLOCKS = 4  # blocks kept; at 130 kB an image, 17 MB

# What Pillow's decoders raise on damaged files; UnidentifiedImageError is an OSError.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error)

if importlib.util.find_spec("pillow_heif"):
    importlib.import_module("pillow_heif").register_heif_opener()
    FORMATS += ("HEIF",)


class BadImage(DataError):
    """An image that cannot be used: one line with what is the matter and what to do."""

    def __init__(self, reference: str, kind: str, detail: str) -> None:
        # A benchmark's images come from its archives; any other image is the user's own.
        unpacked = reference.startswith("data/raw/") or ".parquet#" in reference
        todo = "download its dataset again" if unpacked else "replace or remove it"
        super().__init__(f"{reference}: {kind} ({detail}); {todo}")
        self.kind = kind  # missing, unreadable, oversized or too thin
        self.detail = detail


def open_image(reference: str, root: Path) -> Image.Image:
    """Open an image and decode it: the first frame, upright, on white where transparent.

    Args:
        reference: the manifest's `image`, a path relative to `root` or PATH.parquet#ROW.
        root: the project root.

    Returns:
        8-bit RGB.

    Raises:
        BadImage: it is missing, damaged, of no known format, too large or too thin.
        DataError: the parquet file is missing or not of images.
    """
    try:
        return _decode(io.BytesIO(image_bytes(reference, root)), reference)
    except FileNotFoundError:
        raise BadImage(reference, "missing", "no such file") from None
    except Image.DecompressionBombError:
        raise BadImage(reference, "oversized", f"over {2 * MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise BadImage(reference, "unreadable", f"expected {', '.join(FORMATS)} inside") from None
    except _DAMAGED as error:
        raise BadImage(reference, "unreadable", one_line(error)) from error


def image_bytes(reference: str, root: Path) -> bytes:
    """The file of an image, undecoded; `open_image` tells the arguments.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the parquet file is missing or not of images.
    """
    path, _, row = reference.partition(".parquet#")
    if row:
        return _parquet_bytes(root / f"{path}.parquet", row, reference)
    return (root / reference).read_bytes()


def find_bad(references: Iterable[str], root: Path, threads: int) -> dict[str, BadImage]:
    """Open every image and say what is the matter with those that cannot be used.

    Args:
        references: as `open_image` takes them.
        root: the project root.
        threads: as `look_at` takes them.
    """
    found = look_at(references, lambda reference: open_image(reference, root), threads)
    return {reference: one for reference, one in found.items() if isinstance(one, BadImage)}


def look_at(
    references: Iterable[str], open_one: Callable[[str], Image.Image], threads: int
) -> dict[str, tuple[int, int] | BadImage]:
    """Open every image: its width and height in pixels, or what is the matter with it.

    Args:
        threads: how many to decode side by side; the largest takes 1 GB.
    """

    def seen(reference: str) -> tuple[int, int] | BadImage:
        try:
            return open_one(reference).size
        except BadImage as bad:
            return bad

    references = list(references)
    with ThreadPoolExecutor(threads) as pool:
        found = zip(references, pool.map(seen, references), strict=True)
        return dict(tqdm(found, "open", len(references), unit="image", mininterval=30))


def _decode(file: BinaryIO, reference: str) -> Image.Image:
    _recognize(file.read(16), reference)
    file.seek(0)
    with Image.open(file, formats=FORMATS) as image:
        _check_size(image.size, reference)
        image.load()
        _check_size(image.size, reference)  # the header of a damaged file may say another
        return _upright(_rgb(image), _orientation(image))


def _recognize(head: bytes, reference: str) -> None:
    """Refuse what deserves a better reason than that no decoder knows it."""
    if not head:
        raise BadImage(reference, "unreadable", "the file is empty")
    heic = head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"hevc")
    if heic and "HEIF" not in FORMATS:
        detail = "HEIC is read where pillow-heif is installed: pip install pillow-heif"
        raise BadImage(reference, "unreadable", detail)


def _check_size(size: tuple[int, int], reference: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        detail = f"{width} x {height} pixels, at most {MAX_PIXELS:,} in all"
        raise BadImage(reference, "oversized", detail)
    if max(size) > MAX_RATIO * min(size):
        detail = f"{width} x {height} pixels, one side at most {MAX_RATIO} times the other"
        raise BadImage(reference, "too thin", detail)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # 16-bit grey: the upper byte, as Pillow reads 16-bit colors
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no fixed range: save it with 8 bits")
    if image.has_transparency_data:
        shown = Image.new("RGB", image.size, "white")
        seen = image.convert("RGBA")
        shown.paste(seen, mask=seen.getchannel("A"))
        return shown
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where the metadata are damaged, as viewers take it."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGED:
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    image.info.clear()  # else `exif_transpose` writes all metadata anew, and fails on damaged ones
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(image)


def _parquet_bytes(path: Path, row: str, reference: str) -> bytes:
    try:
        status = path.stat()
        if not row.isdecimal():
            raise IndexError(row)
        index = int(row)
        # Size and time are part of the key, so that a replaced file is read anew.
        block = _block(path, status.st_mtime_ns, status.st_size, index // _BLOCK)
        return block[index % _BLOCK]
    except FileNotFoundError:
        raise DataError(
            f"{reference}: {path.name} is missing; download its dataset again"
        ) from None
    except IndexError:
        raise DataError(f"{reference}: {path.name} has no row {row}") from None
    except pl.exceptions.PolarsError as error:
        detail = one_line(error)
        raise DataError(f"{reference}: expected parquet with image.bytes ({detail})") from error


@lru_cache(maxsize=_BLOCKS)
def _block(path: Path, mtime_ns: int, size: int, number: int) -> list[bytes]:
    return (
        pl.scan_parquet(path)
        .select(pl.col("image").struct.field("bytes"))
        .slice(number * _BLOCK, _BLOCK)
        .collect()["bytes"]
        .to_list()
    )
