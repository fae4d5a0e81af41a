"""food-101.tar.gz with its meta lists, and split_coop.csv beside it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from speciarl.datasets.miniature.layouts import (
    MiniatureImage,
    class_names,
    text,
    write_coop_split,
    write_tar,
)

HAS_VAL = False


def write(into: Path, images: Sequence[MiniatureImage]) -> None:
    """Write the archive; its lists name images without their extension."""
    write_tar(
        into / "food-101.tar.gz",
        [
            ("food-101/README.txt", text(["A rendered stand-in for Food-101."])),
            *_meta(images),
            *((f"food-101/images/{_key(p)}.jpg", p.jpeg) for p in images),
        ],
    )
    write_coop_split(into, images, lambda p: f"{_key(p)}.jpg", val_share=2 / 7, mixed=True)


def _meta(images: Sequence[MiniatureImage]) -> Iterator[tuple[str, bytes]]:
    names = class_names(images)
    folders = [name.replace(" ", "_") for name in names]
    yield "food-101/meta/classes.txt", text(folders)
    yield "food-101/meta/labels.txt", text(name.capitalize() for name in names)
    for split in ("train", "test"):
        keys = [_key(p) for p in images if p.split == split]
        by_folder = {f: [key for key in keys if key.startswith(f"{f}/")] for f in folders}
        yield f"food-101/meta/{split}.txt", text(keys)
        yield f"food-101/meta/{split}.json", json.dumps(by_folder).encode()


def _key(image: MiniatureImage) -> str:
    return f"{image.underscored}/{(image.class_id + 1) * 10_000 + image.number}"
