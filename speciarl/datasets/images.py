"""Opens the picture that a manifest refers to: a file, or a row of a parquet file."""

import io
import struct
from functools import lru_cache
from pathlib import Path

import polars as pl
from PIL import Image

from speciarl.errors import DataError

_BLOCK = 32  # rows read at once: neighbours are mostly asked for next
_BLOCKS = 4  # blocks kept; at 130 kB a picture, 17 MB


def open_image(reference: str, root: Path) -> Image.Image:
    """Open a picture and decode it as RGB.

    Args:
        reference: the manifest's `image`, a path relative to `root` or PATH.parquet#ROW.
        root: the project root.

    Raises:
        DataError: the picture is missing, or its bytes are not a picture.
    """
    path, _, row = reference.partition(".parquet#")
    place: Path | io.BytesIO = root / reference
    if row:
        place = io.BytesIO(_parquet_bytes(root / f"{path}.parquet", row, reference))
    try:
        with Image.open(place) as picture:
            return picture.convert("RGB")
    except FileNotFoundError:
        raise DataError(f"{reference}: picture is missing; download its dataset again") from None
    # What Pillow's decoders raise on damaged files; UnidentifiedImageError is an OSError.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{reference}: expected a picture ({reason}); fetch it again") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{reference}: refused to decode ({error})") from error


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
        reason = " ".join(str(error).split())
        raise DataError(f"{reference}: expected parquet with image.bytes ({reason})") from error


@lru_cache(maxsize=_BLOCKS)
def _block(path: Path, mtime_ns: int, size: int, number: int) -> list[bytes]:
    return (
        pl.scan_parquet(path)
        .select(pl.col("image").struct.field("bytes"))
        .slice(number * _BLOCK, _BLOCK)
        .collect()["bytes"]
        .to_list()
    )
