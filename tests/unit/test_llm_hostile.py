"""A judge's server that misbehaves: bounded in time and size, read only where it is clear."""

import base64
import gzip
import html
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciarl.verdicts import LABELS, FailureKind
from speciarl.verifiers.chat import read_label
from speciarl.verifiers.client import LONGEST_REPLY, ChatServer
from tests.fake_judge import Reply, judge_at, only, says, serving

OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that says to every request what `talk` sends, until the client goes away."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                talk(connection)
            except OSError:  # the client went away
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def drip(head: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(1000):
            connection.sendall(drop)
            time.sleep(0.05)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        drip(OK + b"Content-Length: 100000\r\n\r\n", b" "),
        drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drip(OK, b"X: y\r\n"),
        drip(b"", b""),
    ],
    ids=["body", "chunks", "headers", "silence"],
)
def test_a_server_that_trickles_is_given_up_at_the_total_deadline(talk) -> None:
    with raw_server(talk) as url:
        judged = only(judge_at(url, read_timeout=0.4, retries=0))
    assert judged.failure.kind is FailureKind.TIMED_OUT


@pytest.mark.parametrize("packed", [False, True])
def test_of_a_body_of_200_mb_only_the_beginning_is_read(packed: bool) -> None:
    sent = []
    part = gzip.compress(b" " * 10**6) * 1000 if packed else b" " * 10**6
    head = b"Content-Encoding: gzip\r\n" if packed else b""

    def talk(connection: socket.socket) -> None:
        connection.sendall(OK + head + b"Content-Length: 200000000\r\n\r\n")
        for _ in range(200):
            connection.sendall(part)
            sent.append(len(part))

    with raw_server(talk) as url:
        judged = only(judge_at(url, retries=0))
    assert judged.failure.kind is FailureKind.INVALID
    assert sum(sent) < 32 * LONGEST_REPLY  # no more than what the sockets hold


@pytest.mark.parametrize(
    "content", ["[" * 200_000, '{"a":' * 50_000, '{"choices":' + "9" * 10_000 + "}", "\ud800"]
)
@pytest.mark.parametrize("where", ["the reply", "what is said"])
def test_json_that_cannot_be_read_is_one_failed_pair(content: str, where: str) -> None:
    said = says(content).text if where == "what is said" else content.encode("utf-8", "replace")
    reply = Reply(text=said if isinstance(said, str) else said.decode())
    with serving(lambda _: reply) as server:
        judged = only(judge_at(server.url))
    assert judged.failure.kind is FailureKind.INVALID
    assert len(server.requests) == 1
    assert repr(judged).isprintable()
    (judged.judge_reply or "").encode()  # half a surrogate pair could not be stored


@pytest.mark.parametrize("status", [200, 401, 500])
def test_what_a_server_says_can_command_no_terminal(status: int) -> None:
    hostile = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202e\r\nnext\x00"
    for reply in (Reply(status, hostile), says(hostile)):
        with serving(lambda _, reply=reply: reply) as server:
            message = only(judge_at(server.url, retries=0)).failure.message
        assert message.isprintable()
        assert "red" in message


DRESSED = [
    "{}", "{}.", " {}\n", '"{}"', "'{}.'", "\u201c{}\u201d", "**{}**", "**{}.**", "_{}_", "`{}`",
    "```\n{}\n```", "```json\n{}\n```", '{{"verdict": "{}"}}', '```json\n{{"label": "{}."}}\n```',
    "<think>It is not wrong, maybe generic.</think>{}", "<think>\n\n</think>\n\n**{}**",
    "generic? no.</think>\n{}",
]  # fmt: skip


@pytest.mark.parametrize("dress", DRESSED)
@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_read_however_it_is_dressed(label: str, dress: str) -> None:
    for written in (label, label.upper(), label.title(), label.replace(" ", "-")):
        assert read_label(dress.format(written)).value == label


@pytest.mark.parametrize(
    "said",
    [
        "", ".", "specific or generic", "specific, generic", "specific\ngeneric", "not wrong",
        '{"a": "wrong", "b": "specific"}', '{"a": "wrong", "a": "specific"}', '["wrong"]',
        '{"verdict": {"label": "wrong"}}', '{"wrong": 1}', '{"specific": "wrong or generic"}',
        "<think>specific", "<think>wrong</think>", "specific</think>", "less", "lessspecific",
        "specific!?", "wrong <think>specific", "(wrong)", "wr\u200bong", "[" * 190,
    ],
)  # fmt: skip
def test_what_is_no_single_label_is_none(said: str) -> None:
    assert read_label(said) is None


DRESS = [
    "```",
    "json\n",
    "<think>",
    "</think>",
    '{"a": ',
    '"',
    "}",
    "[",
    "not ",
    " ",
    "*",
    "-",
    "x",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*LABELS, *DRESS]), max_size=12))
def test_a_reply_is_one_of_the_labels_that_stand_in_it_or_none(parts: list[str]) -> None:
    said = "".join(parts)
    verdict = read_label(said)
    spaced = " ".join(said.replace("-", " ").split())
    assert verdict is None or verdict.value in spaced


KEY = 'sk-live/Ab+9"\\&<%_z'
WRITTEN = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON in JSON": lambda key: json.dumps(json.dumps(key)),
    "PHP's JSON": lambda key: json.dumps(key).replace("/", "\\/"),
    "code points": lambda key: "".join(f"\\u{ord(c):04X}" for c in key),
    "URL": lambda key: quote(key, safe=""),
    "all of it as in a URL": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "URL in a URL": lambda key: quote(quote(key, safe=""), safe=""),
    "HTML": html.escape,
    "HTML by number": lambda key: "".join(f"&#{ord(c)};" for c in key),
    **{
        f"{coding.__name__} after {n}": (
            lambda key, coding=coding, n=n: coding(b":" * n + key.encode()).decode()
        )
        for coding in (base64.b64encode, base64.urlsafe_b64encode)
        for n in range(4)
    },
}


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
def test_a_key_is_recognized_in_every_writing(key: str) -> None:
    server = ChatServer(judge_at("http://127.0.0.1:1/v1").server.settings, key)
    for name, write in WRITTEN.items():
        left = server.redacted(f"x {write(key)} y")
        assert "***" in left and len(left) < 24, (name, left)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_key_is_kept_neither_in_a_message_nor_in_a_reply_that_counts(written: str) -> None:
    sent = WRITTEN[written](KEY)
    replies = [Reply(401, sent), says(sent), says(f"<think>{sent}</think> specific")]
    for reply in replies:
        with serving(lambda _, reply=reply: reply) as server:
            judged = only(judge_at(server.url, key=KEY, retries=0))
        kept = f"{judged.failure and judged.failure.message} {judged.judge_reply}"
        assert sent not in kept and "***" in kept
    assert judged.verdict.value == "specific"


ASKING = """
import sys
from pathlib import Path
from speciarl.cache import VerdictCache
from speciarl.verdicts import Pair
from speciarl.verifiers.cached import CachedVerifier
from tests.fake_judge import judge_at
import asyncio, faulthandler, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
judge = judge_at(sys.argv[1], read_timeout=600.0, retries=9, concurrency=4)
judge.server._sleep = asyncio.sleep
told = judge.judge
def judged(pairs):
    for one in told(pairs):
        print(one[0].prediction, flush=True)
        yield one
judge.judge = judged
cache = VerdictCache(Path(sys.argv[2]), judge.identity, "run", 60.0)
CachedVerifier(judge, cache).judge([Pair("gull", f"p{n}") for n in range(50)])
"""


def silent(_: socket.socket) -> None:
    time.sleep(600)


def busy(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 503 No\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n")
    time.sleep(600)


def flood(connection: socket.socket) -> None:
    connection.sendall(OK)
    while True:
        connection.sendall(b"X: y\r\n")


@pytest.mark.parametrize(
    "then", [silent, busy, flood, drip(OK + b"Content-Length: 9999\r\n\r\n", b" ")]
)
def test_ctrl_c_ends_judging_and_keeps_what_was_decided(then, tmp_path: Path) -> None:
    said = says("specific").text.encode()
    lock, left = threading.Lock(), [7]

    def talk(connection: socket.socket) -> None:
        with lock:
            left[0] -= 1
            good = left[0] >= 0
        if not good:
            return then(connection)
        head = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(said)
        return connection.sendall(OK + head + said)

    store = tmp_path / "cache.duckdb"
    with raw_server(talk) as url:
        asking = subprocess.Popen(
            [sys.executable, "-c", ASKING, url, str(store)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            decided = sorted(asking.stdout.readline().strip() for _ in range(7))
            time.sleep(0.3)  # until the others are under way
            asking.send_signal(signal.SIGINT)
            asking.communicate(timeout=3)
        finally:
            asking.kill()
            asking.communicate()
    with duckdb.connect(str(store), read_only=True) as db:
        stored = db.execute("SELECT prediction FROM verdicts ORDER BY 1").fetchall()
    assert [one for (one,) in stored] == decided
