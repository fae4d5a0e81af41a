"""Gets the files of a dataset onto the disk: from a local folder or a URL, verified, then unpacked.

A file gets its final name only after its size and checksum were verified, so that whatever
stands under that name can be trusted, and an interrupted download leaves no trace but a .part.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pooch

from speciarl.datasets.sources import PUBLISHED, UNKNOWN, Source
from speciarl.datasets.unpack import is_archive, unpack
from speciarl.errors import DataError

TIMEOUT = 60  # seconds without a byte from the server


def download(
    dataset: str, sources: Sequence[Source], into: Path, root: Path, offline_dir: Path | None
) -> list[Path]:
    """Fetch all files of a dataset into its raw folder, and unpack the archives there.

    Args:
        dataset: the dataset whose sources to take.
        sources: files to fetch; those of other datasets are ignored.
        into: the dataset's raw folder, made if need be.
        root: the project root, to which file:// URLs are relative.
        offline_dir: folder with DATASET/FILE or FILE, looked into first; None if there is none.

    Returns:
        The fetched files, in the order of `sources`.
    """
    paths = []
    for source in sources:
        if source.dataset == dataset:
            paths.append(fetch(source, into, root, offline_dir))
            if is_archive(paths[-1]):
                unpack(paths[-1], into)
    return paths


def fetch(source: Source, into: Path, root: Path, offline_dir: Path | None) -> Path:
    """Fetch one file, unless it is already there and as its source states.

    The places are tried in order: the offline folder, then each URL.

    Returns:
        `into`/FILE, verified.

    Raises:
        DataError: no place had the file as stated; the message lists what each had instead.
    """
    target = into / source.file
    failures = []
    if target.exists():
        fault = _fault(target, source, root)
        if fault is None:
            return target
        failures.append(f"{target}: {fault}")

    into.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for place in _places(source, offline_dir):
        try:
            _get(place, part, root)
            fault = _fault(part, source, root)
            if fault is None:
                part.replace(target)
                return target
        except OSError as error:  # pooch's errors, those of requests, are OSErrors too
            fault = " ".join(str(error).split())
        finally:
            part.unlink(missing_ok=True)
        failures.append(f"{place}: {fault}")
    raise DataError(
        f"{source.name} could not be fetched ({'; '.join(failures)}); "
        f"check the network, or put the file into {into} or the offline folder"
    )


def _places(source: Source, offline_dir: Path | None) -> Iterator[str | Path]:
    if offline_dir is not None:
        for candidate in (offline_dir / source.name, offline_dir / source.file):
            if candidate.is_file():
                yield candidate
    yield from source.urls


def _get(place: str | Path, part: Path, root: Path) -> None:
    if isinstance(place, Path):
        shutil.copyfile(place, part)
    elif place.startswith("file://"):
        shutil.copyfile(_local(place, root), part)
    else:
        downloader = pooch.HTTPDownloader(
            progressbar=True,
            chunk_size=1 << 20,
            timeout=TIMEOUT,
            # Some servers declare .tar.gz as encoded, and requests would then decompress it.
            headers={"Accept-Encoding": "identity"},
        )
        downloader(place, str(part), None)


def _local(url: str, root: Path) -> Path:
    return root / url.removeprefix("file://")


def _fault(path: Path, source: Source, root: Path) -> str | None:
    """What is wrong with a file, or None if it is as its source states."""
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return f"expected {source.size} bytes, found {size}"
    if source.checksum == UNKNOWN:
        return None if size else "expected some content, found an empty file"
    expected = source.checksum
    if expected == PUBLISHED:
        expected = _published(source, root)
    algorithm = expected.partition(":")[0]
    with path.open("rb") as file:
        found = f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"
    return None if found == expected else f"expected {expected}, found {found}"


def _published(source: Source, root: Path) -> str:
    """The checksum that stands in the SHA256SUMS beside the file's first URL."""
    listing = _local(source.urls[0], root).with_name(PUBLISHED)
    if not listing.exists():
        raise DataError(
            f"{source.name}: expected its checksum in {listing}, which is missing; "
            f"render the {source.mirror} mirror first"
        )
    for line in listing.read_text(encoding="utf-8").splitlines():
        checksum, _, file = line.partition("  ")
        if file == source.file:
            return f"sha256:{checksum}"
    raise DataError(f"{source.name}: {listing} does not list it; render the mirror again")
