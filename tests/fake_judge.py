"""An OpenAI-compatible server on loopback that replies as a test tells it to, and its judge."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from speciarl.config.verifiers import Server, ServerModel
from speciarl.verdicts import Judgment, Pair
from speciarl.verifiers.client import ChatServer
from speciarl.verifiers.llm import LlmJudge

MODEL = ServerModel(kind="server", name="judge", revision="1")
PAIR = Pair("Herring Gull", "gull")


@dataclass
class Reply:
    """What is sent back; a `status` of 0 breaks the connection instead."""

    status: int = 200
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def says(content: str | None) -> Reply:
    """A chat completion."""
    return Reply(text=json.dumps({"choices": [{"message": {"content": content}}]}))


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict

    @property
    def pair(self) -> dict[str, str]:
        """What stands in the user's turn."""
        return json.loads(self.body["messages"][-1]["content"])


class FakeJudge(ThreadingHTTPServer):
    """Keeps every request, and how many were under way at most.

    Args:
        reply: from a request to its reply; runs on a thread per connection.
    """

    daemon_threads = True
    request_queue_size = 1024  # all may connect at once

    def __init__(self, reply: Callable[[Request], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.prediction = reply
        self.requests: list[Request] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address) -> None:
        """A client that went away is no fault of the server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeJudge

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(self.path, dict(self.headers), json.loads(content))
        with self.server.lock:
            self.server.requests.append(request)
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            reply = self.server.prediction(request)
        finally:
            with self.server.lock:
                self.server.under_way -= 1
        if reply.status == 0:
            self.close_connection = True
            return
        content = reply.text.encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The requests are kept, not printed."""


@contextmanager
def serving(reply: Callable[[Request], Reply]) -> Iterator[FakeJudge]:
    with FakeJudge(reply) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Time:
    """A clock that moves only when something sleeps or a test says so."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def clock(self):
        return self.now


def judge_at(url, key=None, time=None, model=MODEL, **settings) -> LlmJudge:
    """The judge under test; its waits end at once. `settings` are those of its `server`."""
    time = time or Time()
    server = Server(base_url=url, **{"retries": 2, "give_up_after": 1000, **settings})
    return LlmJudge(model, ChatServer(server, key, sleep=time.sleep, clock=time.clock))


def only(judge, pair=PAIR) -> Judgment:
    """The judgment of one pair."""
    ((_, judgment),) = judge.judge([pair])
    return judgment


def in_turn(*replies):
    """Each request gets the next reply, and the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
