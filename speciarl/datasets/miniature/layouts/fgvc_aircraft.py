"""fgvc-aircraft-2013b.tar.gz: images with seven-digit names, a list per split and level."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from speciarl.datasets.miniature.layouts import MiniatureImage, class_names, text, write_tar

HAS_VAL = True

# The catalogue's groups in the benchmark's own words: family, manufacturer.
_FAMILIES = {
    "Boeing 737": ("Boeing 737", "Boeing"),
    "Boeing 747": ("Boeing 747", "Boeing"),
    "Airbus A320 family": ("A320", "Airbus"),
    "Airbus A340": ("A340", "Airbus"),
}
_LEVELS: dict[str, Callable[[MiniatureImage], str]] = {
    "variant": lambda image: image.class_name,
    "family": lambda image: _FAMILIES[image.group][0],
    "manufacturer": lambda image: _FAMILIES[image.group][1],
}
_LISTS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}


def write(into: Path, images: Sequence[MiniatureImage]) -> None:
    """Write the archive with its lists of variants, families and manufacturers."""
    data = "fgvc-aircraft-2013b/data"
    write_tar(
        into / "fgvc-aircraft-2013b.tar.gz",
        [
            ("fgvc-aircraft-2013b/README.md", text(["A rendered stand-in for FGVC-Aircraft."])),
            *((f"{data}/{name}", content) for name, content in _indexes(images)),
            *((f"{data}/images/{_id(p)}.jpg", p.jpeg) for p in images),
        ],
    )


def _indexes(images: Sequence[MiniatureImage]) -> Iterator[tuple[str, bytes]]:
    yield "variants.txt", text(class_names(images))
    yield "families.txt", text(sorted({_LEVELS["family"](p) for p in images}))
    yield "manufacturers.txt", text(sorted({_LEVELS["manufacturer"](p) for p in images}))
    yield "images_box.txt", text(f"{_id(p)} 1 1 {p.size} {p.size}" for p in images)
    for name, splits in _LISTS.items():
        listed = [p for split in splits for p in images if p.split == split]
        if name != "trainval":
            yield f"images_{name}.txt", text(_id(p) for p in listed)
        for level, of in _LEVELS.items():
            yield f"images_{level}_{name}.txt", text(f"{_id(p)} {of(p)}" for p in listed)


def _id(image: MiniatureImage) -> str:
    return f"{image.class_id:03d}{image.number:04d}"
