"""data/sources.csv as typed rows: which files a dataset consists of, and where they come from.

Columns: mirror (real, or miniature), dataset, layout, file, role, urls (separated by one space,
tried in order; empty where it is no longer online), size (bytes, empty where unknown), checksum.
`file://` URLs are relative to the project root. A dataset that exists in several layouts needs
the files of one of them. A checksum is one of

- `sha256:HEX` or `md5:HEX`;
- `SHA256SUMS`, for file:// URLs: as listed in the SHA256SUMS published beside the file;
- `unknown`: nobody has published one, so that only the size and the content can be checked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciarl.errors import DataError
from speciarl.files import read_csv

COLUMNS = ["mirror", "dataset", "layout", "file", "role", "urls", "size", "checksum"]
MIRRORS = ("miniature", "real")
PUBLISHED = "SHA256SUMS"
UNKNOWN = "unknown"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_FORMS = {
    "mirror": ("|".join(MIRRORS), "the mirror miniature or real"),
    "dataset": (_NAME, "a plain name as dataset"),
    "layout": (_NAME, "a plain name as layout"),
    "file": (_NAME, "a plain name as file"),
    "urls": (r"(https?|file)://.*", "http(s):// or file:// URLs"),
    "size": (r"[0-9]*", "a size in bytes or nothing"),
    "checksum": (
        rf"sha256:[0-9a-f]{{64}}|md5:[0-9a-f]{{32}}|{PUBLISHED}|{UNKNOWN}",
        f"the checksum sha256:HEX, md5:HEX, {PUBLISHED} or {UNKNOWN}",
    ),
}
"""Of each field, and of each URL, its pattern and how messages call it."""


@dataclass(frozen=True)
class Source:
    """One file of a dataset."""

    mirror: str
    dataset: str
    layout: str  # which of the dataset's forms the file belongs to
    file: str  # name in the dataset's raw folder
    role: str  # what it holds, for the reader of the table
    urls: tuple[str, ...]
    size: int | None  # bytes
    checksum: str  # see the module's docstring

    @property
    def name(self) -> str:
        """How messages call the file."""
        return f"{self.dataset}/{self.file}"


def read_sources(path: Path, mirror: str, dataset: str) -> list[Source]:
    """The files of a dataset at a mirror, in the table's order.

    Raises:
        DataError: no such mirror or dataset, or a table that is missing or malformed.
    """
    if mirror not in MIRRORS:
        raise DataError(f"mirror {mirror!r} is unknown; expected one of {', '.join(MIRRORS)}")
    rows = read_csv(path, COLUMNS, may_be_empty=("role", "urls", "size"))[1]
    sources = [_parse(row, place) for place, row in rows]
    keys = [(source.mirror, source.name) for source in sources]
    if repeated := {key for key in keys if keys.count(key) > 1}:
        raise DataError(f"{path}: expected every file once, found {sorted(repeated)} repeated")
    there = [source for source in sources if source.mirror == mirror]
    found = [source for source in there if source.dataset == dataset]
    if not found:
        known = ", ".join(sorted({source.dataset for source in there}))
        raise DataError(
            f"dataset {dataset!r} is not at the {mirror} mirror of {path}; expected one of {known}"
        )
    return found


def offline_files(source: Source, offline_dir: Path | None) -> list[Path]:
    """Where the offline folder has a file of that name, as DATASET/FILE or FILE."""
    if offline_dir is None:
        return []
    candidates = (offline_dir / source.name, offline_dir / source.file)
    return [path for path in candidates if path.is_file()]


def choose_layout(sources: Sequence[Source], into: Path, offline_dir: Path | None) -> list[Source]:
    """The files of one layout of a dataset: the first that is at hand as a whole, in its raw folder
    `into` or offline, or else the first of the table."""
    layouts: dict[str, list[Source]] = {}
    for source in sources:
        layouts.setdefault(source.layout, []).append(source)
    for files in layouts.values():
        if all((into / s.file).is_file() or offline_files(s, offline_dir) for s in files):
            return files
    return next(iter(layouts.values()), [])


def _parse(row: dict[str, str], where: str) -> Source:
    urls = tuple(row["urls"].split(" ")) if row["urls"] else ()
    for name, (pattern, expected) in _FORMS.items():
        for value in urls if name == "urls" else (row[name],):
            if not re.fullmatch(pattern, value):
                raise DataError(f"{where}: expected {expected}, found {value!r}")
    local = bool(urls) and all(url.startswith("file://") for url in urls)
    if row["checksum"] == PUBLISHED and not local:
        raise DataError(f"{where}: the checksum {PUBLISHED} is for file:// URLs only")
    values: dict[str, Any] = {name: row[name] for name in COLUMNS}
    return Source(**values | {"urls": urls, "size": int(row["size"]) if row["size"] else None})
