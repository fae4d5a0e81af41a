"""Unpacking: what archives contain, and every kind of hostile member refused by name."""

import hashlib
import io
import json
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speciarl.datasets import unpack as module
from speciarl.datasets.unpack import unpack
from speciarl.errors import DataError

FILE, LINK, HARD, PIPE, DEVICE = (
    tarfile.REGTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
)
Member = tuple[str, bytes, str | bytes]
"""name, type, content of a file or target of a link"""


def tar(path: Path, *members: Member, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, kind, value in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == FILE:
                info.size = len(value)
                archive.addfile(info, io.BytesIO(value))
            else:
                info.linkname = value
                archive.addfile(info)
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_whatever_its_compression(mode: str, tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", ("top/x/1.txt", FILE, b"one"), ("2", FILE, b""), mode=mode)
    assert unpack(archive, tmp_path / "out") == [tmp_path / "out" / "2", tmp_path / "out" / "top"]
    files = unpacked(tmp_path / "out")
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert json.loads(files.pop(".unpacked/a.tar.gz"))["done"] == [checksum, "2", "top"]
    assert files == {"top/x/1.txt": b"one", "2": b""}


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("top/1.txt", "one")
        archive.writestr("top/empty/", "")
        archive.writestr("__MACOSX/top/._1.txt", "macOS")
    assert unpack(tmp_path / "a.zip", tmp_path / "out") == [tmp_path / "out" / "top"]
    assert (tmp_path / "out/top/1.txt").read_text() == "one"
    assert (tmp_path / "out/top/empty").is_dir()


def test_unpacking_again_does_nothing_until_the_archive_changes(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tgz", ("top/1", FILE, b"one"), ("top/2", FILE, b"two"))
    unpack(archive, tmp_path)
    before = (tmp_path / "top").stat()
    unpack(archive, tmp_path)
    assert (tmp_path / "top").stat() == before

    tar(archive, ("top/1", FILE, b"newer"))
    unpack(archive, tmp_path)
    assert unpacked(tmp_path / "top") == {"1": b"newer"}


def test_what_was_deleted_is_unpacked_again(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tgz", ("top.txt", FILE, b"one"))
    unpack(archive, tmp_path)
    (tmp_path / "top.txt").unlink()
    unpack(archive, tmp_path)
    assert (tmp_path / "top.txt").read_bytes() == b"one"


def test_macos_leftovers_are_skipped(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a.tgz",
        ("top/1", FILE, b"one"),
        ("top/._1", FILE, b"macOS"),
        ("__MACOSX/top/1", FILE, b"macOS"),
        ("./._.", FILE, b"macOS"),
    )
    assert unpack(archive, tmp_path / "out") == [tmp_path / "out" / "top"]
    assert unpacked(tmp_path / "out" / "top") == {"1": b"one"}


def test_a_link_to_an_earlier_file_becomes_a_copy(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a.tgz",
        ("top/x/1", FILE, b"one"),
        ("top/y/soft", LINK, "../x/1"),
        ("top/y/hard", HARD, "top/x/1"),
    )
    unpack(archive, tmp_path)
    for name in ("soft", "hard"):
        path = tmp_path / "top/y" / name
        assert path.read_bytes() == b"one"
        assert not path.is_symlink()
        assert path.stat().st_nlink == 1


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("/etc/evil", FILE, b"x"), "is not a plain relative path"),
        (("../evil", FILE, b"x"), "leaves the archive's folder"),
        (("top/../../evil", FILE, b"x"), "leaves the archive's folder"),
        (("top\\..\\evil", FILE, b"x"), "is not a plain relative path"),
        (("evil", LINK, "/etc/passwd"), "'evil' is a link to an absolute path"),
        (("top/evil", LINK, "../../secret"), "'top/evil' would link to "),
        (("evil", HARD, "../secret"), "'evil' would link to "),
        (("evil", LINK, "."), "links to no earlier file, '.'"),
        (("evil", LINK, "later"), "links to no earlier file, 'later'"),
        (("evil", PIPE, ""), "'evil' is a special file"),
        (("evil", DEVICE, ""), "'evil' is a special file"),
    ],
)
def test_a_hostile_tar_member_is_refused_by_name(
    member: Member, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("not yours")
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = tar(inner / "a.tgz", ("fine", FILE, b"x"), member)
    with pytest.raises(DataError) as raised:
        unpack(archive, inner)
    assert f"a.tgz: member {member[0]!r} refused: {reason}" in str(raised.value)
    assert unpacked(tmp_path) == {"secret": b"not yours", "inner/a.tgz": archive.read_bytes()}


def test_a_link_cannot_be_written_through(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a.tgz",
        ("top/1", FILE, b"one"),
        ("door", LINK, "top/1"),
        ("door/evil", FILE, b"x"),
    )
    with pytest.raises(DataError, match=r"a.tgz: could not be unpacked"):
        unpack(archive, tmp_path / "out")
    assert unpacked(tmp_path / "out") == {}


@pytest.mark.parametrize("name", ["../evil", "/evil"])
def test_a_hostile_zip_member_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(DataError, match=rf"a.zip: member '{name}' refused"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_zip_s_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="member 'link' refused: is a link or device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("MAX_MEMBERS", 2, "'3' refused: more than 2 members"),
        ("MAX_BYTES", 2500, "'3' refused: more than 2500 bytes unpacked"),
        ("RATIO_FLOOR", 10, "refused: unpacks to over 1 times its size"),
    ],
)
def test_a_bomb_is_refused(
    limit: str, value: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tar(tmp_path / "a.tgz", *((name, FILE, bytes(1000)) for name in "123"))
    monkeypatch.setattr(module, "MAX_RATIO", 1)
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(DataError, match=reason):
        unpack(archive, tmp_path / "out")
    assert unpacked(tmp_path / "out") == {}


def test_an_archive_cannot_replace_one(tmp_path: Path) -> None:
    other = tar(tmp_path / "b.tgz", ("1", FILE, b"one"))
    archive = tar(tmp_path / "a.tgz", ("b.tgz", FILE, b"not b"))
    with pytest.raises(DataError, match=r"member 'b.tgz' would overwrite an archive"):
        unpack(archive, tmp_path)
    assert tarfile.is_tarfile(other)


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected files in the archive, found none"):
        unpack(tar(tmp_path / "a.tgz"), tmp_path / "out")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["a.tar.gz", "b.tar.gz", "c.zip"]),
    damage=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4),
    kept=st.floats(0.1, 1),
)
def test_damage_is_reported_on_one_line(
    name: str, damage: list[tuple[int, int]], kept: float, tmp_path: Path
) -> None:
    """Whatever happens to an archive's bytes, it is unpacked or refused, and never both."""
    path = tmp_path / name
    if name == "c.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("top/1", "content" * 100)
    else:
        tar(path, ("top/1", FILE, b"content" * 100), mode="w" if name[0] == "b" else "w:gz")
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[place % len(content)] = value
    path.write_bytes(content[: round(len(content) * kept)])
    try:
        assert all(entry.exists() for entry in unpack(path, tmp_path / name[0]))
    except DataError as error:
        assert str(error).startswith(f"{name}: ")
        assert "\n" not in str(error)
    assert not (tmp_path / name[0] / f".unpacking-{name}").exists()


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_flipped_bit_is_found_without_a_checksum(mode: str, tmp_path: Path) -> None:
    members = [(f"top/{n}", FILE, bytes(range(200)) * n) for n in range(1, 6)]
    good = tar(tmp_path / "a.tar.gz", *members, mode=mode).read_bytes()
    whole = {name: content for name, _, content in members}
    rng, refused = random.Random(0), 0
    for turn, place in enumerate(rng.sample(range(len(good)), 40)):
        flipped = bytearray(good)
        flipped[place] ^= 1 << rng.randrange(8)
        (tmp_path / "a.tar.gz").write_bytes(flipped)
        out = tmp_path / str(turn)
        try:
            unpack(tmp_path / "a.tar.gz", out)
        except DataError:
            refused += 1
        else:  # in gzip's own name and time, or in bits that stand for nothing
            assert {name: (out / name).read_bytes() for name in whole} == whole
    assert refused > 20


@pytest.mark.parametrize("kept", [512, 1024, 1536, 1700, 2048])
def test_a_tar_that_is_cut_is_refused_also_at_a_member_s_header(kept: int, tmp_path: Path) -> None:
    members = [(f"top/{n}", FILE, b"content") for n in range(3)]  # of two blocks each
    path = tar(tmp_path / "a.tar", *members, mode="w")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="could not be unpacked"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out" / "top").exists()
