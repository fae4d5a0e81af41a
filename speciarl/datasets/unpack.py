"""Unpacks tar and zip archives that nobody vouches for.

Refused, with the member's name: absolute paths, `..`, devices, links to anything but an earlier
file of the same archive (which is then copied: no link is ever made), and more content than the
limits below. macOS leftovers (`._x`, `__MACOSX`) are skipped. An archive is read to its end, where
checksums stand, and unpacked beside its target and renamed when complete, so that a folder that
exists is whole.
"""

import hashlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Self

from speciarl.disk import full_disk
from speciarl.errors import DataError, one_line
from speciarl.files import read_done, write_done

MAX_MEMBERS = 500_000  # Food-101, the largest by count, has 101,000
MAX_BYTES = 32 << 30  # Food-101, the largest by size, has 5 GB
MAX_RATIO = 100  # unpacked to packed size; images have 1, text 10
RATIO_FLOOR = 64 << 20  # bytes below which the ratio does not matter
_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_CHUNK = 1 << 20
_LONGEST_NAME = 1 << 20  # bytes of what a tar says about one member; it is read as a whole
_DAMAGE = (  # what the standard library raises on damaged or unknown content
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    RuntimeError,  # also a nesting too deep
)

_ABOUT_OTHERS = {
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
}

Member = tuple[str, Callable[[], IO[bytes] | None]]
"""Its name, and what checks it and opens its content; None is a folder's."""


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
    try:
        temporary.mkdir(parents=True)
        _extract(archive, temporary)
        tops = sorted(entry.name for entry in temporary.iterdir())
        marker.unlink(missing_ok=True)
        for top in tops:
            _replace(temporary / top, into / top, archive)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    write_done(marker, [checksum, *tops])
    return [into / top for top in tops]


def _unpacked_before(marker: Path, checksum: str, into: Path) -> list[Path] | None:
    if not (noted := read_done(marker)):
        return None
    found, *tops = noted
    paths = [into / top for top in tops]
    return paths if found == checksum and all(path.exists() for path in paths) else None


def _replace(source: Path, target: Path, archive: Path) -> None:
    if target.is_file() and is_archive(target):
        raise DataError(f"{archive.name}: member {target.name!r} would overwrite an archive")
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


class _Refused(Exception):
    """Why a member may not be unpacked."""


def _extract(archive: Path, into: Path) -> None:
    members = _zip_members if archive.name.endswith(".zip") else _tar_members
    name, packed, written = "", archive.stat().st_size, 0
    try:
        for number, (name, opened) in enumerate(members(archive, into), 1):
            if number > MAX_MEMBERS:
                raise _Refused(f"more than {MAX_MEMBERS} members")
            if (target := _target(name, into)) is None:
                continue
            if (content := opened()) is None:
                target.mkdir(parents=True, exist_ok=True)
            else:
                written = _write(content, target, written, packed)
    except _Refused as refused:
        raise DataError(
            f"{archive.name}: member {name!r} refused: {refused}; do not use this archive"
        ) from None
    except _DAMAGE as error:
        if full := full_disk(error, into):
            raise full from error
        raise DataError(
            f"{archive.name}: could not be unpacked ({one_line(error)}); "
            f"if it is damaged, delete {archive} and fetch it again"
        ) from error
    if not any(into.iterdir()):
        raise DataError(f"{archive.name}: expected files in the archive, found none")


def _tar_members(archive: Path, into: Path) -> Iterator[Member]:
    # "r:*" recognizes the compression by content: the Pets archives are plain tars named .tar.gz.
    with tarfile.open(archive, "r:*", tarinfo=_Header) as tar:
        for member in tar:
            yield member.name, partial(_open_tarred, tar, member, into)
        _read_on(tar, max(RATIO_FLOOR, MAX_RATIO * archive.stat().st_size))


class _Header(tarfile.TarInfo):
    """A header that is what it should be: TarFile takes any other for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # this is the end
            raise tarfile.ReadError(f"cut off, or damaged at a member's header: {error}") from None
        if header.type in _ABOUT_OTHERS and header.size > _LONGEST_NAME:
            raise tarfile.ReadError(f"{header.size} bytes about one member")
        return header


def _read_on(tar: tarfile.TarFile, most: int) -> None:
    """Read what follows the last member, at the end of which the compression has its checksum."""
    read = 0
    while tar.fileobj and (chunk := tar.fileobj.read(_CHUNK)):
        read += len(chunk)
        if read > most:
            raise _Refused(f"over {most} bytes follow it")


def _open_tarred(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> IO[bytes] | None:
    try:
        tarfile.data_filter(member, str(into))
    except tarfile.FilterError as error:
        raise _Refused(one_line(error)) from None
    if member.isdir():
        return None
    return tar.extractfile(member) if member.isfile() else _linked(member, into).open("rb")


def _zip_members(archive: Path, into: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            yield member.filename, partial(_open_zipped, zipped, member)


def _open_zipped(zipped: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes] | None:
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _Refused("is a link or device")
    if member.flag_bits & 1:
        raise _Refused("is encrypted")
    return None if member.is_dir() else zipped.open(member)


def _target(name: str, into: Path) -> Path | None:
    """Where a member goes; None for what is skipped."""
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or "\0" in name:
        raise _Refused("is not a plain relative path")
    if ".." in path.parts:
        raise _Refused("leaves the archive's folder")
    if not path.parts or "__MACOSX" in path.parts or path.name.startswith("._"):
        return None
    return into.joinpath(*path.parts)


def _linked(member: tarfile.TarInfo, into: Path) -> Path:
    """The unpacked file that a link stands for; one that is not there is refused."""
    # A symbolic link starts at its own folder, a hard link at the archive's root.
    base = os.path.dirname(member.name) if member.issym() else ""  # noqa: PTH120
    path = os.path.normpath(os.path.join(base, member.linkname))  # noqa: PTH118
    if not (into / path).is_file():
        raise _Refused(f"links to no earlier file, {member.linkname!r}")
    return into / path


def _write(content: IO[bytes], target: Path, written: int, packed: int) -> int:
    """Write a member after so many bytes; how many that makes, counted: headers may lie."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as file:
        while chunk := content.read(_CHUNK):
            written += len(chunk)
            if written > MAX_BYTES:
                raise _Refused(f"more than {MAX_BYTES} bytes unpacked")
            if written > max(RATIO_FLOOR, MAX_RATIO * packed):
                raise _Refused(f"unpacks to over {MAX_RATIO} times its size")
            file.write(chunk)
    return written
