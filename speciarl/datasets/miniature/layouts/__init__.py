"""What the archive writers share: images to place, archives whose bytes never vary.

One module per benchmark, with `HAS_VAL` (whether the official split has a val part) and
`write(into, images)`, which writes the benchmark's files in their true layout. Parts of the
originals that no reader opens (attributes, landmarks, masks) are left out.
"""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import scipy.io

# Where a split's file numbers start, so that they do not shift with the other splits' counts, which
# config.data limits.
FIRST_NUMBER = {"train": 1, "val": 4001, "test": 6001}


@dataclass(frozen=True)
class MiniatureImage:
    """One rendered image, and what the archive should say about it."""

    class_id: int  # from 0, in the order of the names
    class_name: str
    group: str
    split: str  # of the official split
    index: int  # from 0, within class and split
    ambiguous: bool
    size: int  # edge in pixels
    jpeg: bytes

    @property
    def number(self) -> int:
        """Unique within the class, at most four digits."""
        return FIRST_NUMBER[self.split] + self.index

    @property
    def underscored(self) -> str:
        """The class name as archives write it in file names."""
        return self.class_name.replace(" ", "_")


def class_names(images: Iterable[MiniatureImage]) -> list[str]:
    """The display names in the order of their ids."""
    return [name for _, name in sorted({(p.class_id, p.class_name) for p in images})]


def text(lines: Iterable[str]) -> bytes:
    """Lines as the content of a text file."""
    return "".join(f"{line}\n" for line in lines).encode()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], *, packed: bool = True) -> None:
    """Write (name, content) pairs as a tar, gzipped or plain, without times and owners."""
    with (
        path.open("wb") as file,
        # At a low level: the images are compressed already.
        gzip.GzipFile("", "wb", 1, file, mtime=0) if packed else nullcontext(file) as target,
        tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for name, content in members:
            info = tarfile.TarInfo(name)  # mtime, uid and gid are 0
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def matlab(**variables: np.ndarray) -> bytes:
    """A MATLAB 5 file; the time in its header is replaced by a fixed text."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    header = b"MATLAB 5.0 MAT-file".ljust(116)
    return header + buffer.getvalue()[116:]


def coop_split(
    images: Sequence[MiniatureImage], *, val_share: float, mixed: bool
) -> list[tuple[str, MiniatureImage]]:
    """A split in the manner of CoOp: a val part cut from training, and perhaps a test of its own.

    Args:
        images: sorted by class.
        val_share: val images among the non-test ones; at least one a class.
        mixed: exchange half of each class's test images for training ones that are as
            decidable, since CoOp divided all images of some benchmarks anew.
    """
    parts: dict[str, list[MiniatureImage]] = {"train": [], "val": [], "test": []}
    for _, of_class in groupby(images, key=attrgetter("class_id")):
        members = list(of_class)
        test = [p for p in members if p.split == "test"]
        training = [p for p in members if p.split != "test"]
        if mixed:
            _exchange(test, training)
        cut = len(training) - max(1, round(val_share * len(training)))
        parts["train"] += training[:cut]
        parts["val"] += training[cut:]
        parts["test"] += test
    return [(split, p) for split, members in parts.items() for p in members]


def _exchange(ours: list[MiniatureImage], theirs: list[MiniatureImage]) -> None:
    for ambiguous in (False, True):
        here = [i for i, p in enumerate(ours) if p.ambiguous == ambiguous][::2]
        there = [i for i, p in enumerate(theirs) if p.ambiguous == ambiguous]
        for i, j in zip(here, there, strict=False):
            ours[i], theirs[j] = theirs[j], ours[i]


def write_coop_split(
    into: Path, images: Sequence[MiniatureImage], file_of: Callable[[MiniatureImage], str],
    *, val_share: float, mixed: bool,
) -> None:  # fmt: skip
    """Write split_coop.csv, of the `coop_split` and the file name of each image."""
    rows = coop_split(images, val_share=val_share, mixed=mixed)
    lines = text(["split,filename", *(f"{split},{file_of(p)}" for split, p in rows)])
    (into / "split_coop.csv").write_bytes(lines)
