"""Unpacks tar and zip archives that nobody vouches for.

Refused, with the member's name: absolute paths, `..`, devices, links to anything but an earlier
file of the same archive (which is then copied: no link is ever made), and more content than the
limits below. macOS leftovers (`._x`, `__MACOSX`) are skipped. An archive is unpacked beside its
target and renamed when complete, so that a folder that exists is whole.
"""

import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from speciarl.errors import DataError, one_line

MAX_MEMBERS = 500_000  # Food-101, the largest by count, has 101,000
MAX_BYTES = 32 << 30  # Food-101, the largest by size, has 5 GB
MAX_RATIO = 100  # unpacked to packed size; images have 1, text 10
RATIO_FLOOR = 64 << 20  # bytes below which the ratio does not matter
_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_CHUNK = 1 << 20
_DAMAGE = (  # what the standard library raises on damaged or unknown content
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
)


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive."""
    return path.name.endswith(_SUFFIXES)


def unpack(archive: Path, into: Path) -> list[Path]:
    """Unpack an archive's top-level entries into a folder; nothing is done if that was done.

    What was unpacked is remembered in `into`/.unpacked/ARCHIVE by the archive's checksum, so
    that a changed archive replaces what an earlier one left.

    Returns:
        The top-level entries, sorted.

    Raises:
        DataError: a member is refused, or the archive is damaged; `into` is left as it was.
    """
    marker = into / ".unpacked" / archive.name
    with archive.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    if (done := _unpacked_before(marker, checksum, into)) is not None:
        return done

    temporary = into / f".unpacking-{archive.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _extract(archive, temporary)
        tops = sorted(entry.name for entry in temporary.iterdir())
        marker.unlink(missing_ok=True)
        for top in tops:
            _replace(temporary / top, into / top, archive)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    marker.parent.mkdir(exist_ok=True)
    marker.write_text("\n".join([checksum, *tops]) + "\n")
    return [into / top for top in tops]


def _unpacked_before(marker: Path, checksum: str, into: Path) -> list[Path] | None:
    if not marker.exists():
        return None
    found, *tops = marker.read_text().splitlines()
    paths = [into / top for top in tops]
    return paths if found == checksum and all(path.exists() for path in paths) else None


def _replace(source: Path, target: Path, archive: Path) -> None:
    if target.is_file() and is_archive(target):
        raise DataError(f"{archive.name}: member {target.name!r} would overwrite an archive")
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


@dataclass
class _Budget:
    """What may still be written, counted as it is written: headers are not believed."""

    archive: Path
    members: int = 0
    written: int = 0

    def __post_init__(self) -> None:
        self.packed = self.archive.stat().st_size

    def count_member(self, name: str) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise _refusal(self.archive, name, f"more than {MAX_MEMBERS} members")

    def count_bytes(self, name: str, size: int) -> None:
        self.written += size
        if self.written > MAX_BYTES:
            raise _refusal(self.archive, name, f"more than {MAX_BYTES} bytes unpacked")
        if self.written > max(RATIO_FLOOR, MAX_RATIO * self.packed):
            raise _refusal(self.archive, name, f"unpacks to over {MAX_RATIO} times its size")


def _extract(archive: Path, into: Path) -> None:
    extract = _extract_zip if archive.name.endswith(".zip") else _extract_tar
    try:
        extract(archive, into, _Budget(archive))
    except _DAMAGE as error:
        raise DataError(
            f"{archive.name}: could not be unpacked ({one_line(error)}); "
            f"if it is damaged, delete {archive} and fetch it again"
        ) from error
    if not any(into.iterdir()):
        raise DataError(f"{archive.name}: expected files in the archive, found none")


def _extract_tar(archive: Path, into: Path, budget: _Budget) -> None:
    # "r:*" recognizes the compression by content: the Pets archives are plain tars named .tar.gz.
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            budget.count_member(member.name)
            target = _target(archive, member.name, into)
            if target is None:
                continue
            try:
                tarfile.data_filter(member, str(into))
            except tarfile.FilterError as error:
                raise _refusal(archive, member.name, one_line(error)) from None
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None  # a regular file has content
                _write(content, target, member.name, budget)
            else:
                with _linked(archive, member, into).open("rb") as earlier:
                    _write(earlier, target, member.name, budget)


def _extract_zip(archive: Path, into: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            budget.count_member(member.filename)
            target = _target(archive, member.filename, into)
            if target is None:
                continue
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(archive, member.filename, "is a link or device")
            if member.flag_bits & 1:
                raise _refusal(archive, member.filename, "is encrypted")
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                with zipped.open(member) as content:
                    _write(content, target, member.filename, budget)


def _target(archive: Path, name: str, into: Path) -> Path | None:
    """Where a member goes; None for what is skipped."""
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or "\0" in name:
        raise _refusal(archive, name, "is not a plain relative path")
    if ".." in path.parts:
        raise _refusal(archive, name, "leaves the archive's folder")
    if not path.parts or "__MACOSX" in path.parts or path.name.startswith("._"):
        return None
    return into.joinpath(*path.parts)


def _linked(archive: Path, member: tarfile.TarInfo, into: Path) -> Path:
    """The unpacked file that a link stands for; one that is not there is refused."""
    # A symbolic link starts at its own folder, a hard link at the archive's root.
    base = os.path.dirname(member.name) if member.issym() else ""  # noqa: PTH120
    path = os.path.normpath(os.path.join(base, member.linkname))  # noqa: PTH118
    if not (into / path).is_file():
        raise _refusal(archive, member.name, f"links to no earlier file, {member.linkname!r}")
    return into / path


def _write(content: IO[bytes], target: Path, name: str, budget: _Budget) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while chunk := content.read(_CHUNK):
            budget.count_bytes(name, len(chunk))
            file.write(chunk)


def _refusal(archive: Path, name: str, reason: str) -> DataError:
    return DataError(f"{archive.name}: member {name!r} refused: {reason}; do not use this archive")
