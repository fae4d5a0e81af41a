"""images.tar.gz and annotations.tar.gz, with all that makes the originals awkward.

Both are plain tars in spite of their names, hold leftovers of MATLAB and macOS, and one picture
is a PNG with transparency under the name of a JPEG.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from speciarl.datasets.miniature.layouts import Picture, coop_csv, coop_split, text, write_tar

HAS_VAL = False


def write(into: Path, pictures: Sequence[Picture]) -> None:
    """Write both archives and split_coop.csv, whose folders exist in no archive."""
    first, *others = pictures
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
    training = text(_line(p) for p in pictures if p.split == "train")
    test = text(_line(p) for p in pictures if p.split == "test")
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
    rows = coop_split(pictures, val_share=0.2, mixed=False)
    (into / "split_coop.csv").write_bytes(
        coop_csv((split, f"{p.underscored}/{_name(p)}.jpg") for split, p in rows)
    )


def _name(picture: Picture) -> str:
    return f"{picture.underscored}_{picture.number}"


def _line(picture: Picture) -> str:
    # The catalogue shows dogs only: species 2, breeds numbered like the classes.
    return f"{_name(picture)} {picture.class_id + 1} 2 {picture.class_id + 1}"


def _transparent_png(jpeg: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.convert("RGBA").save(buffer, "PNG")
    return buffer.getvalue()
