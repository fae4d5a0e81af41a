"""Gets the files of a dataset onto the disk: from a local folder or a URL, verified, then unpacked.

A file gets its final name only after its size and checksum were verified, so that whatever
stands under that name can be trusted. A download that breaks off leaves a .part beside it, from
which the next try goes on.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import requests

from speciarl.datasets.sources import PUBLISHED, UNKNOWN, Source, choose_layout, offline_files
from speciarl.datasets.unpack import is_archive, unpack
from speciarl.disk import room_for
from speciarl.errors import DataError, one_line
from speciarl.progress import Progress

TIMEOUT = 60  # seconds without a byte from the server
TRIES = 5  # of one place
MEGA = 10**6
CHUNK = 1 << 20  # bytes; what a connection sent of a chunk before it broke is lost


def download(
    dataset: str, sources: Sequence[Source], into: Path, root: Path, offline_dir: Path | None
) -> list[Path]:
    """Fetch the files of a dataset into its raw folder, and unpack the archives there.

    Archives that lie in an archive (Caltech-101) are unpacked too, beside themselves. Of `sources`
    those of other datasets are ignored, and all layouts but one.

    Args:
        root: the project root, to which file:// URLs are relative.
        offline_dir: folder with DATASET/FILE or FILE, looked into first; None if there is none.

    Returns:
        The fetched files, in the order of `sources`.
    """
    paths = []
    mine = [source for source in sources if source.dataset == dataset]
    for source in choose_layout(mine, into, offline_dir):
        paths.append(fetch(source, into, root, offline_dir))
        if is_archive(paths[-1]):
            folders = [entry for entry in unpack(paths[-1], into) if entry.is_dir()]
            for inner in sorted(path for folder in folders for path in folder.iterdir()):
                if is_archive(inner):
                    unpack(inner, inner.parent)
    return paths


def fetch(source: Source, into: Path, root: Path, offline_dir: Path | None) -> Path:
    """`into`/FILE as its source states: from the offline folder or else the URLs, in their order.

    Raises:
        DataError: no place had the file as stated; the message lists what each had instead.
    """
    target = into / source.file
    failures = []
    if target.exists():
        if not (fault := _fault(target, source, root)):
            return target
        failures.append(f"{target}: {fault}")

    into.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    places: list[str | Path] = [*offline_files(source, offline_dir), *source.urls]
    for place in places:
        if not (fault := _try(place, part, source, root)):
            part.replace(target)
            return target
        failures.append(f"{place}: {fault}")
    raise DataError(
        f"{source.name} could not be fetched ({'; '.join(failures) or 'it is not online'}); "
        f"check the network, or put the file into {into} or the offline folder"
    )


def _try(place: str | Path, part: Path, source: Source, root: Path) -> str | None:
    """Fetch from one place into `part`; what is wrong with that, or None if it is as stated.

    A try that broke off but gained something is repeated from there, a wrong end of a download
    that was gone on with from the beginning; both a bounded number of times.
    """
    fault = None
    for _ in range(TRIES):
        before = _size(part)
        try:
            with room_for(part, source.size):
                _get(place, part, root)
        except OSError as error:  # those of requests are OSErrors too
            fault = _reason(error)
            if _size(part) > before:
                continue
            if not _size(part):
                part.unlink(missing_ok=True)
            return fault
        fault = _fault(part, source, root)
        if fault is None:
            return None
        part.unlink()
        if before == 0 or isinstance(place, Path) or place.startswith("file://"):
            return fault
    return fault


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: BaseException) -> str:
    """The first cause in one line: what came of it on the way up repeats the address."""
    while error.__context__ is not None:
        error = error.__context__
    return one_line(error)


def _get(place: str | Path, part: Path, root: Path) -> None:
    if isinstance(place, Path):
        shutil.copyfile(place, part)
    elif place.startswith("file://"):
        shutil.copyfile(root / place.removeprefix("file://"), part)
    else:
        _download(place, part)


def _download(url: str, part: Path) -> None:
    """Fetch a URL into `part`, going on after what stands there if the server can do that."""
    there = _size(part)
    # Some servers declare .tar.gz as encoded, and requests would then decompress it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with requests.get(url, headers=headers, timeout=TIMEOUT, stream=True) as response:
        if there and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is left to fetch
        response.raise_for_status()
        goes_on = response.status_code == requests.codes.partial_content
        total = int(response.headers.get("Content-Length", 0))  # 0 where the server is silent
        progress = Progress(f"MB of {part.name.removesuffix('.part')}", total // MEGA)
        with part.open("ab" if goes_on else "wb") as file:
            start = file.tell()
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                if total:
                    progress.reached((file.tell() - start) // MEGA)


def _fault(path: Path, source: Source, root: Path) -> str | None:
    """What is wrong with a file, or None if it is as its source states."""
    size, expected = path.stat().st_size, source.checksum
    if source.size is not None and size != source.size:
        return f"expected {source.size} bytes, found {size}"
    if expected == UNKNOWN:
        return None if size else "expected some content, found an empty file"
    if expected == PUBLISHED:
        expected = _published(source, root)
    algorithm = expected.partition(":")[0]
    with path.open("rb") as file:
        found = f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"
    return None if found == expected else f"expected {expected}, found {found}"


def _published(source: Source, root: Path) -> str:
    """The checksum that stands in the SHA256SUMS beside the file's first URL."""
    listing = (root / source.urls[0].removeprefix("file://")).with_name(PUBLISHED)
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
