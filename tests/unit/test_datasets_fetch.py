"""Fetching: verified before use, tried in order, nothing partial left behind."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from speciarl.datasets.fetch import download, fetch
from speciarl.datasets.sources import Source
from speciarl.errors import DataError

CONTENT = b"what the archive holds" * 10


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def source(*urls: str, **changed: object) -> Source:
    fields = {
        "mirror": "real",
        "dataset": "cub200",
        "file": "birds.bin",
        "role": "images",
        "urls": urls or ("file://mirror/birds.bin",),
        "size": None,
        "checksum": checksum(CONTENT),
    }
    return Source(**{**fields, **changed})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project root with a mirror that holds the file."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "birds.bin").write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def server(root: Path) -> Iterator[str]:
    """Serves the project root on the loopback interface."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root))

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def left_behind(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "raw").iterdir())


def test_a_local_file_is_copied(root: Path) -> None:
    path = fetch(source(size=len(CONTENT)), root / "raw", root, None)
    assert path == root / "raw" / "birds.bin"
    assert path.read_bytes() == CONTENT
    assert path.stat().st_nlink == 1
    assert left_behind(root) == ["birds.bin"]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_served_file_is_downloaded(algorithm: str, root: Path, server: str) -> None:
    wanted = source(f"{server}/mirror/birds.bin", checksum=checksum(CONTENT, algorithm))
    assert fetch(wanted, root / "raw", root, None).read_bytes() == CONTENT
    assert left_behind(root) == ["birds.bin"]


def test_a_verified_file_is_not_fetched_again(root: Path) -> None:
    first = fetch(source(), root / "raw", root, None).stat()
    (root / "mirror" / "birds.bin").unlink()
    assert fetch(source(), root / "raw", root, None).stat() == first


def test_the_second_url_is_used_after_the_first_failed(root: Path, server: str) -> None:
    wanted = source(f"{server}/nowhere", f"{server}/mirror/birds.bin")
    assert fetch(wanted, root / "raw", root, None).read_bytes() == CONTENT


def test_every_failure_is_listed_on_one_line(root: Path, server: str) -> None:
    (root / "mirror" / "birds.bin").write_bytes(b"damaged")
    wanted = source("file://nowhere.bin", f"{server}/nowhere", f"{server}/mirror/birds.bin")
    with pytest.raises(DataError) as raised:
        fetch(wanted, root / "raw", root, None)
    message = str(raised.value)
    assert message.startswith("cub200/birds.bin could not be fetched (file://nowhere.bin: ")
    assert "404" in message
    assert f"expected {checksum(CONTENT)}, found {checksum(b'damaged')}" in message
    assert "put the file into" in message
    assert "\n" not in message
    assert left_behind(root) == []


def test_a_wrong_size_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=f"expected 7 bytes, found {len(CONTENT)}"):
        fetch(source(size=7), root / "raw", root, None)


def test_a_corrupt_file_on_the_spot_is_replaced(root: Path) -> None:
    (root / "raw").mkdir()
    (root / "raw" / "birds.bin").write_bytes(b"damaged")
    assert fetch(source(), root / "raw", root, None).read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["cub200/birds.bin", "birds.bin"])
def test_the_offline_folder_comes_first(place: str, root: Path) -> None:
    offline = root / "offline" / place
    offline.parent.mkdir(parents=True)
    offline.write_bytes(CONTENT)
    wanted = source("file://nowhere.bin")
    assert fetch(wanted, root / "raw", root, root / "offline").read_bytes() == CONTENT


def test_a_corrupt_offline_file_is_named_when_nothing_else_works(root: Path) -> None:
    (root / "offline").mkdir()
    (root / "offline" / "birds.bin").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"offline/birds.bin: expected sha256:\w+, found sha256:"):
        fetch(source("file://nowhere.bin"), root / "raw", root, root / "offline")


def test_a_published_checksum_is_read_beside_the_file(root: Path) -> None:
    wanted = source(checksum="SHA256SUMS")
    with pytest.raises(DataError, match="SHA256SUMS, which is missing; render the real mirror"):
        fetch(wanted, root / "raw", root, None)

    listing = root / "mirror" / "SHA256SUMS"
    listing.write_text(f"{'0' * 64}  other.bin\n")
    with pytest.raises(DataError, match="does not list it"):
        fetch(wanted, root / "raw", root, None)

    listing.write_text(f"{checksum(CONTENT).removeprefix('sha256:')}  birds.bin\n")
    assert fetch(wanted, root / "raw", root, None).read_bytes() == CONTENT

    listing.write_text(f"{checksum(b'newer').removeprefix('sha256:')}  birds.bin\n")
    (root / "mirror" / "birds.bin").write_bytes(b"newer")
    assert fetch(wanted, root / "raw", root, None).read_bytes() == b"newer"


def test_an_unknown_checksum_still_refuses_an_empty_file(root: Path) -> None:
    wanted = source(checksum="unknown")
    assert fetch(wanted, root / "raw", root, None).read_bytes() == CONTENT
    (root / "raw" / "birds.bin").unlink()
    (root / "mirror" / "birds.bin").write_bytes(b"")
    with pytest.raises(DataError, match="found an empty file"):
        fetch(wanted, root / "raw", root, None)


def test_an_interrupted_download_leaves_no_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(place: object, part: Path, root: Path) -> None:
        part.write_bytes(CONTENT[:5])
        raise KeyboardInterrupt

    monkeypatch.setattr("speciarl.datasets.fetch._get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(source(), root / "raw", root, None)
    assert left_behind(root) == []


def test_download_takes_the_dataset_s_own_files_only(root: Path) -> None:
    other = source("file://nowhere.bin", dataset="food101")
    paths = download("cub200", [source(), other], root / "raw", root, None)
    assert paths == [root / "raw" / "birds.bin"]
