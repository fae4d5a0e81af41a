"""Fetching: verified before use, tried in order, nothing partial left behind."""

import hashlib
import http.server
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from speciarl.datasets.fetch import TRIES, download, fetch
from speciarl.datasets.sources import Source
from speciarl.errors import DataError

CONTENT = b"what the archive holds" * 10


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def source(*urls: str, **changed: object) -> Source:
    fields = {
        "mirror": "real",
        "dataset": "cub200",
        "layout": "archives",
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


class Ranges:
    """A server of the file that knows ranges, and breaks off after `at_most` bytes."""

    def __init__(self) -> None:
        self.at_most = len(CONTENT)
        self.asked: list[str | None] = []
        self.url = ""


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ranges]:
    state = Ranges()
    monkeypatch.setattr("speciarl.datasets.fetch.CHUNK", 10)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start : start + state.at_most])

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{running.server_port}/birds.bin"
        yield state
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


def test_an_interrupted_download_leaves_only_a_part(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(place: object, part: Path, root: Path) -> None:
        part.write_bytes(CONTENT[:5])
        raise KeyboardInterrupt

    monkeypatch.setattr("speciarl.datasets.fetch._get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(source(), root / "raw", root, None)
    assert left_behind(root) == ["birds.bin.part"]
    monkeypatch.undo()
    assert fetch(source(), root / "raw", root, None).read_bytes() == CONTENT
    assert left_behind(root) == ["birds.bin"]


def put_part(root: Path, content: bytes) -> None:
    (root / "raw").mkdir()
    (root / "raw" / "birds.bin.part").write_bytes(content)


def test_a_download_goes_on_where_the_last_one_broke_off(root: Path, ranges: Ranges) -> None:
    put_part(root, CONTENT[:50])
    assert fetch(source(ranges.url), root / "raw", root, None).read_bytes() == CONTENT
    assert ranges.asked == ["bytes=50-"]
    assert left_behind(root) == ["birds.bin"]


def test_a_long_download_says_how_far_it_is(
    root: Path, ranges: Ranges, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("speciarl.datasets.fetch.MEGA", 1)
    monkeypatch.setattr("speciarl.progress.EVERY", 0)
    fetch(source(ranges.url), root / "raw", root, None)
    said = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    counts = [f"{n} of {len(CONTENT)} MB of birds.bin" for n in range(10, len(CONTENT) + 1, 10)]
    assert said[: len(counts)] == counts


def test_a_connection_that_breaks_is_taken_up_again(root: Path, ranges: Ranges) -> None:
    ranges.at_most = 60
    assert fetch(source(ranges.url), root / "raw", root, None).read_bytes() == CONTENT
    assert ranges.asked == [None, "bytes=60-", "bytes=120-", "bytes=180-"]


def test_what_came_before_the_server_died_is_kept(root: Path, ranges: Ranges) -> None:
    ranges.at_most = 10
    with pytest.raises(DataError, match=r"could not be fetched.*put the file into"):
        fetch(source(ranges.url), root / "raw", root, None)
    assert len(ranges.asked) == TRIES
    assert left_behind(root) == ["birds.bin.part"]
    ranges.at_most = len(CONTENT)
    assert fetch(source(ranges.url), root / "raw", root, None).read_bytes() == CONTENT
    assert ranges.asked[-1] == f"bytes={10 * TRIES}-"


def test_a_server_that_sends_everything_anyway_is_believed(root: Path, server: str) -> None:
    put_part(root, CONTENT[:50])
    wanted = source(f"{server}/mirror/birds.bin")
    assert fetch(wanted, root / "raw", root, None).read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"x" * 50, CONTENT + b"more", b"x" * len(CONTENT)])
def test_a_stale_part_is_dropped(stale: bytes, root: Path, ranges: Ranges) -> None:
    put_part(root, stale)
    assert fetch(source(ranges.url), root / "raw", root, None).read_bytes() == CONTENT
    assert ranges.asked == [f"bytes={len(stale)}-", None]


def test_a_complete_part_needs_nothing_more(root: Path, ranges: Ranges) -> None:
    put_part(root, CONTENT)
    assert fetch(source(ranges.url), root / "raw", root, None).read_bytes() == CONTENT


def test_a_wrong_file_is_not_asked_for_again(root: Path, ranges: Ranges) -> None:
    with pytest.raises(DataError, match="expected 7 bytes"):
        fetch(source(ranges.url, size=7), root / "raw", root, None)
    assert ranges.asked == [None]
    assert left_behind(root) == []


def test_a_server_that_cannot_be_reached_is_told_shortly(root: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/birds.bin"
        with pytest.raises(DataError) as raised:
            fetch(source(url), root / "raw", root, None)
    assert f"({url}: [Errno 111] Connection refused); check the network" in str(raised.value)


def test_a_file_that_is_not_online_says_where_to_put_it(root: Path) -> None:
    with pytest.raises(DataError, match=r"it is not online\); .*offline folder"):
        fetch(source(urls=()), root / "raw", root, root / "offline")


def test_download_unpacks_an_archive_in_an_archive(root: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        member = tarfile.TarInfo("images/ant/1.jpg")
        member.size = len(CONTENT)
        tar.addfile(member, io.BytesIO(CONTENT))
    with zipfile.ZipFile(root / "mirror" / "outer.zip", "w") as outer:
        outer.writestr("outer/inner.tar.gz", inner.getvalue())
        outer.writestr("__MACOSX/outer/._inner.tar.gz", b"leftover")
    wanted = source(
        "file://mirror/outer.zip", file="outer.zip",
        checksum=checksum((root / "mirror" / "outer.zip").read_bytes()),
    )  # fmt: skip
    for _ in range(2):
        download("cub200", [wanted], root / "raw", root, None)
        assert (root / "raw/outer/images/ant/1.jpg").read_bytes() == CONTENT


def test_download_takes_the_dataset_s_own_files_only(root: Path) -> None:
    other = source("file://nowhere.bin", dataset="food101")
    paths = download("cub200", [source(), other], root / "raw", root, None)
    assert paths == [root / "raw" / "birds.bin"]
