"""Gets the files of a dataset onto the disk: from a local folder or a URL, verified, then unpacked.

A file gets its final name only after its size and checksum were verified, so that whatever
stands under that name can be trusted. A download that breaks off leaves a .part beside it, from
which the next try goes on.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

from speciarl.datasets.sources import PUBLISHED, UNKNOWN, Source, choose_layout, offline_files
from speciarl.datasets.unpack import is_archive, unpack
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

    Archives that lie in an archive (Caltech-101) are unpacked too, beside themselves.

    Args:
        dataset: the dataset whose sources to take.
        sources: files to fetch; those of other datasets are ignored, and all layouts but one.
        into: the dataset's raw folder, made if need be.
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
    places: list[str | Path] = [*offline_files(source, offline_dir), *source.urls]
    for place in places:
        fault = _try(place, part, source, root)
        if fault is None:
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
        before = part.stat().st_size if part.exists() else 0
        try:
            _get(place, part, root)
        except OSError as error:  # pooch's errors, those of requests, are OSErrors too
            after = part.stat().st_size if part.exists() else 0
            if after == 0:
                part.unlink(missing_ok=True)
            fault = _reason(error)
            if after > before:
                continue
            return fault
        fault = _fault(part, source, root)
        if fault is None:
            return None
        part.unlink()
        if before == 0 or isinstance(place, Path) or place.startswith("file://"):
            return fault
    return fault


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


class _Megabytes:
    """The progress of a download, as pooch counts it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.total = 0  # bytes, set by pooch before the first update; 0 where the server is silent
        self.reset()

    def reset(self) -> None:
        self.done = 0
        self.progress: Progress | None = None

    close = reset

    def update(self, count: int) -> None:
        if self.progress is None:
            self.progress = Progress(f"MB of {self.file}", self.total // MEGA)
        self.done += count
        if self.total:
            self.progress.reached(min(self.done, self.total) // MEGA)


def _download(url: str, part: Path) -> None:
    """Fetch a URL into `part`, going on after what stands there if the server can do that."""
    with part.open("ab") as file:
        there = file.tell()

        def begin(response: requests.Response, **_: object) -> None:
            if response.status_code == requests.codes.ok:  # all of it, not the part asked for
                file.truncate(0)

        downloader = pooch.HTTPDownloader(
            progressbar=_Megabytes(part.name.removesuffix(".part")),
            chunk_size=CHUNK,
            timeout=TIMEOUT,
            hooks={"response": begin},
            # Some servers declare .tar.gz as encoded, and requests would then decompress it.
            headers={"Accept-Encoding": "identity"}
            | ({"Range": f"bytes={there}-"} if there else {}),
        )
        try:
            downloader(url, file, None)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else None
            if not there or status != requests.codes.requested_range_not_satisfiable:
                raise  # otherwise nothing is left to fetch


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
