"""What becomes of requests that fail: tried again, typed, given up, and the key kept quiet."""

import json
import logging
import socket
import threading
import time
from email.utils import formatdate

import pytest

from speciarl.verdicts import FailureKind, Pair, Verdict
from speciarl.verifiers.client import retry_after
from tests.fake_judge import Reply, Time, in_turn, judge_at, only, says, serving

KEY = "sk-secret-of-the-test"


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize("trouble", [Reply(429), Reply(500), Reply(503, "starting"), Reply(0)])
def test_what_may_pass_is_tried_again_after_growing_waits(trouble):
    time = Time()
    with serving(in_turn(trouble, trouble, says("wrong"))) as server:
        assert only(judge_at(server.url, time=time)).verdict is Verdict.WRONG
    assert len(server.requests) == 3
    first, second = time.slept
    assert 0.5 <= first <= 1.0 <= second <= 1.5


def test_a_timeout_is_tried_again():
    late = threading.Event()

    def reply(_):
        if len(server.requests) == 1:
            late.wait(10)
        return says("wrong")

    with serving(reply) as server:
        judged = only(judge_at(server.url, read_timeout=1.0))
        late.set()
    assert judged.verdict is Verdict.WRONG
    assert len(server.requests) == 2


def test_retry_after_is_heeded():
    time = Time()
    busy = Reply(429, headers={"Retry-After": "7"})
    with serving(in_turn(busy, says("wrong"))) as server:
        assert only(judge_at(server.url, time=time)).verdict is Verdict.WRONG
    (waited,) = time.slept
    assert 7 <= waited <= 8


def test_a_server_that_wants_to_rest_too_long_is_not_asked_again():
    with serving(lambda _: Reply(503, headers={"Retry-After": "3600"})) as server:
        assert only(judge_at(server.url)).failure.kind is FailureKind.OVERLOADED
    assert len(server.requests) == 1


def test_retry_after_is_a_number_or_a_date(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    assert retry_after("12") == 12
    assert retry_after(formatdate(1_000_060, usegmt=True)) == 60
    assert retry_after(formatdate(999_940, usegmt=True)) == 0


@pytest.mark.parametrize("value", ["", "soon", "-1"])
def test_a_retry_after_that_says_nothing_is_none(value):
    assert retry_after(value) is None


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (Reply(429), FailureKind.OVERLOADED, 3),
        (Reply(503), FailureKind.OVERLOADED, 3),
        (Reply(0), FailureKind.UNREACHABLE, 3),
        (Reply(400), FailureKind.REFUSED, 1),
        (Reply(401), FailureKind.REFUSED, 1),
        (Reply(404), FailureKind.REFUSED, 1),
        (Reply(422), FailureKind.REFUSED, 1),
        (Reply(302, headers={"Location": "/v1/elsewhere"}), FailureKind.REFUSED, 1),
    ],
)
def test_failures_are_typed_and_only_some_are_tried_again(reply, kind, requests):
    with serving(lambda _: reply) as server:
        judged = only(judge_at(server.url))
    assert judged.verdict is None
    assert judged.failure.kind is kind
    assert server.url in judged.failure.message and "\n" not in judged.failure.message
    assert len(server.requests) == requests


def test_nobody_there_and_nobody_answering_are_told_apart():
    time = Time()
    refused = only(judge_at(f"http://127.0.0.1:{closed_port()}/v1", time=time))
    assert refused.failure.kind is FailureKind.UNREACHABLE
    assert len(time.slept) == 2
    late = threading.Event()
    with serving(lambda _: late.wait(10) and says("wrong")) as server:
        silent = only(judge_at(server.url, read_timeout=0.05, retries=0))
        late.set()
    assert silent.failure.kind is FailureKind.TIMED_OUT


def test_a_reply_that_never_ends_is_given_up_in_time():
    with serving(lambda _: Reply(text="{", headers={"Content-Length": "100"})) as server:
        judged = only(judge_at(server.url, read_timeout=0.2, retries=1))
    assert judged.failure.kind is FailureKind.TIMED_OUT
    assert judged.failure.message == f"{server.url}: no reply within 0.2 s"
    assert len(server.requests) == 2


def test_of_a_reply_that_is_too_long_the_rest_is_not_read(monkeypatch):
    monkeypatch.setattr("speciarl.verifiers.client.LONGEST_REPLY", 1000)
    lengths = iter([900, 1000, 1])
    with serving(lambda _: Reply(text=" " * next(lengths) + says("wrong").text)) as server:
        judged = [only(judge_at(server.url)) for _ in range(3)]
    assert [one.verdict for one in judged] == [Verdict.WRONG, None, Verdict.WRONG]
    assert judged[1].failure.kind is FailureKind.INVALID
    assert len(server.requests) == 3


def test_no_proxy_is_taken_from_the_environment(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(lambda _: says("wrong")) as server:
        assert only(judge_at(server.url, retries=0)).verdict is Verdict.WRONG


def test_waits_grow_to_half_a_minute_and_no_further():
    time = Time()
    with serving(lambda _: Reply(503)) as server:
        only(judge_at(server.url, time=time, retries=9))
    assert len(time.slept) == 9
    for attempt, waited in enumerate(time.slept):
        assert 0 <= waited - min(30.0, 0.5 * 2**attempt) <= 0.5


def test_a_judge_that_keeps_failing_is_left_alone_and_tried_again_after_its_rest():
    time = Time()
    pairs = [Pair("c", str(i)) for i in range(10)]
    replies = {"now": Reply(500)}
    with serving(lambda _: replies["now"]) as server:
        judge = judge_at(
            server.url, time=time, concurrency=1, retries=0, give_up_after=3, rest_seconds=30.0
        )
        kinds = [one.failure.kind for _, one in judge.judge(pairs)]
        assert kinds == [FailureKind.OVERLOADED] * 3 + [FailureKind.NOT_ASKED] * 7
        assert len(server.requests) == 3

        time.now += 30.0
        kinds = [one.failure.kind for _, one in judge.judge(pairs)]
        assert kinds == [FailureKind.OVERLOADED] + [FailureKind.NOT_ASKED] * 9

        replies["now"] = says("wrong")
        time.now += 30.0
        assert all(one.verdict for _, one in judge.judge(pairs))


@pytest.mark.parametrize(("status", "left_alone"), [(401, True), (400, False)])
def test_pairs_that_are_refused_one_by_one_do_not_count_against_the_judge(status, left_alone):
    pairs = [Pair("c", str(i)) for i in range(5)]
    with serving(lambda _: Reply(status)) as server:
        judge = judge_at(server.url, concurrency=1, give_up_after=2)
        kinds = [one.failure.kind for _, one in judge.judge(pairs)]
    assert (kinds[-1] is FailureKind.NOT_ASKED) == left_alone


@pytest.mark.parametrize("key", [KEY, 'sk/of"the\\test'], ids=["plain", "odd"])
@pytest.mark.parametrize(
    "written",
    [str, json.dumps, lambda text: text.replace("/", "\\/")],
    ids=["as it is", "in JSON", "in PHP's JSON"],
)
@pytest.mark.parametrize(
    "reply",
    [
        lambda text: Reply(401, text),
        lambda text: Reply(200, text),
        lambda text: Reply(200, f"{'x' * 238} {text}"),
        lambda text: says(text),
        lambda text: says(f"{'x' * 79} {text}"),
    ],
    ids=["refused", "no completion", "cut short", "said", "said and cut short"],
)
def test_a_key_that_the_server_repeats_is_in_no_message(reply, written, key):
    with serving(lambda _: reply(written(f"bad key Bearer {key}"))) as server:
        judged = only(judge_at(server.url, key=key))
    assert judged.verdict is None
    assert key[:5] not in repr(judged)


def test_the_key_is_sent_and_stands_nowhere_else(caplog):
    caplog.set_level(logging.DEBUG)
    with serving(lambda r: Reply(401, f"bad key {r.headers['Authorization']}")) as server:
        judge = judge_at(server.url, key=KEY)
        judged = only(judge)
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(server.requests[0].body)
    assert "bad key Bearer ***" in judged.failure.message
    for text in (repr(judged), repr(judge.identity), repr(judge.server.settings), caplog.text):
        assert KEY not in text
