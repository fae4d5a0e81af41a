"""Renders a mirror of one benchmark: the files its source lists, in their true layout.

The same arguments give the same bytes. An image depends on the seed, its dataset, class,
split and index alone, so that other counts leave it as it is.
"""

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from speciarl.config.data import Miniature
from speciarl.datasets.miniature.catalogue import MiniatureClass, catalogue
from speciarl.datasets.miniature.layouts import (
    MiniatureImage,
    cub200,
    fgvc_aircraft,
    flowers102,
    food101,
    oxford_pets,
    stanford_cars,
)
from speciarl.datasets.miniature.render import render
from speciarl.errors import ConfigError
from speciarl.files import atomic_directory

AMBIGUOUS = "marking hidden"

LAYOUTS: dict[str, ModuleType] = {
    "cub200": cub200,
    "fgvc_aircraft": fgvc_aircraft,
    "flowers102": flowers102,
    "food101": food101,
    "oxford_pets": oxford_pets,
    "stanford_cars": stanford_cars,
}


def render_mirror(dataset: str, into: Path, settings: Miniature) -> None:
    """Write a dataset's files and their SHA256SUMS into a folder, which is replaced.

    A val split, where there is one, has half as many images of each class as the test.

    Raises:
        ConfigError: the dataset is none of `LAYOUTS`.
    """
    if dataset not in LAYOUTS:
        raise ConfigError(f"dataset {dataset!r} is unknown; expected one of {', '.join(LAYOUTS)}")
    counts = {"train": settings.train_per_class, "test": settings.test_per_class}
    if LAYOUTS[dataset].HAS_VAL:
        counts["val"] = max(1, settings.test_per_class // 2)
    classes = catalogue(settings.classes_per_group)[dataset]
    share, size, seed = settings.ambiguous_share, settings.image_size, settings.seed
    images = list(_images(classes, counts, share, size, seed))
    with atomic_directory(into) as folder:
        LAYOUTS[dataset].write(folder, images)
        _write_checksums(folder)


def _images(
    classes: Sequence[MiniatureClass], counts: dict[str, int], share: float, size: int, seed: int
) -> Iterator[MiniatureImage]:
    """Every image, sorted by class, then train, val, test, then index."""
    for class_id, shown in enumerate(sorted(classes, key=lambda shown: shown.name)):
        for split in ("train", "val", "test"):
            for index in range(counts.get(split, 0)):
                ambiguous = _is_ambiguous(index, share)
                jpeg = _jpeg(shown, split, index, ambiguous, size, seed)
                yield MiniatureImage(
                    class_id, shown.name, shown.group, split, index, ambiguous, size, jpeg
                )


def _is_ambiguous(index: int, share: float) -> bool:
    """Spread evenly, so that the first n images hold round(share * n) ambiguous ones."""
    before, after = (math.floor(round(share * n, 9) + 0.5) for n in (index, index + 1))
    return after > before


def _jpeg(
    shown: MiniatureClass, split: str, index: int, ambiguous: bool, size: int, seed: int
) -> bytes:
    key = "\0".join((str(seed), shown.dataset, shown.name, split, str(index)))
    rng = np.random.default_rng(
        int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest())
    )
    buffer = io.BytesIO()
    image = render(shown, rng, ambiguous=ambiguous, size=size)
    comment = AMBIGUOUS if ambiguous else ""  # for those who check; no stage reads it
    image.save(buffer, "JPEG", quality=95, subsampling=0, comment=comment)
    return buffer.getvalue()


def _write_checksums(folder: Path) -> None:
    listing = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    )
    (folder / "SHA256SUMS").write_text(listing, "utf-8")
