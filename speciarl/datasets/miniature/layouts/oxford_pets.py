"""images.tar.gz and annotations.tar.gz, with all that makes the originals awkward.

Both are plain tars in spite of their names, hold leftovers of MATLAB and macOS, and one image
is a PNG with transparency under the name of a JPEG.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from speciarl.datasets.miniature.layouts import MiniatureImage, text, write_coop_split, write_tar

HAS_VAL = False


def write(into: Path, images: Sequence[MiniatureImage]) -> None:
    """Write both archives and split_coop.csv, whose folders exist in no archive."""
    first, *others = images
    write_tar(
        into / "images.tar.gz",
        [
            ("._images", b"macOS"),
            (f"images/{_name(first)}.jpg", _transparent_png(first.jpeg)),
            *((f"images/{_name(p)}.jpg", p.jpeg) for p in others),
            (f"images/{first.underscored}_100.mat", b"MATLAB"),
        ],
        packed=False,
    )
    training = text(_line(p) for p in images if p.split == "train")
    test = text(_line(p) for p in images if p.split == "test")
    comments = text(["#Image CLASS-ID SPECIES BREED ID", "#SPECIES: 1:Cat 2:Dog"])
    write_tar(
        into / "annotations.tar.gz",
        [
            ("annotations/._trimaps", b"macOS"),
            ("annotations/README", text(["A rendered stand-in for Oxford-IIIT Pets."])),
            ("annotations/list.txt", comments + training + test),
            ("annotations/trainval.txt", training),
            ("annotations/test.txt", test),
        ],
        packed=False,
    )
    write_coop_split(
        into, images, lambda p: f"{p.underscored}/{_name(p)}.jpg", val_share=0.2, mixed=False
    )


def _name(image: MiniatureImage) -> str:
    return f"{image.underscored}_{image.number}"


def _line(image: MiniatureImage) -> str:
    # The catalogue shows dogs only: species 2, breeds numbered like the classes.
    return f"{_name(image)} {image.class_id + 1} 2 {image.class_id + 1}"


def _transparent_png(jpeg: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        image.convert("RGBA").save(buffer, "PNG")
    return buffer.getvalue()
