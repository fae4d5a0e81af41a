"""Chat completions from an OpenAI-compatible server: bounded, retried, with typed failures."""

import asyncio
import base64
import email.utils
import html
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from random import random
from typing import NamedTuple

import aiohttp

from speciarl.config.verifiers import Server
from speciarl.errors import one_line
from speciarl.servers import locate, read_address, stated_file
from speciarl.verdicts import Failure, FailureKind
from speciarl.verifiers.breaker import Breaker

LONGEST_WAIT = 120.0  # seconds; a server that asks for more is not asked again for this pair
LONGEST_BACKOFF = 30.0
LONGEST_REPLY = 2**18  # bytes; what is cut off there is no completion any more
IDLE_SECONDS = 4.0  # vLLM closes a connection that was idle for five, maybe as it is used again
_URL_SAFE = str.maketrans("+/", "-_")
# The fault of one request and not of the judge: bad request, too large, unprocessable.
ONE_REQUEST = frozenset({400, 413, 422})


class _Reply(NamedTuple):
    """What one request led to: a completion in `text`, or else why there is none."""

    text: str
    failure: FailureKind | None = None
    status: int | None = None
    retry_after: float | None = None

    @property
    def may_pass(self) -> bool:
        """Whether another try is worth its while."""
        lasting = self.failure in (None, FailureKind.REFUSED)
        return not lasting and (self.retry_after or 0.0) <= LONGEST_WAIT

    def pause(self, attempt: int) -> float:
        """Seconds until the next try; `attempt` counts from zero."""
        if self.retry_after is not None:
            return self.retry_after + random()
        return min(LONGEST_BACKOFF, 0.5 * 2**attempt) + 0.5 * random()


class ChatServer:
    """Asks one server. Its breaker lives as long as it does, over all requests.

    Args:
        settings: address, timeouts, bounds.
        api_key: sent as bearer token where given, printable ASCII; it appears in no message.
        sleep: waits between two attempts.
        clock: of the breaker.
    """

    def __init__(
        self,
        settings: Server,
        api_key: str | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._file = stated_file(settings.base_url)
        self._base = settings.base_url.rstrip("/")
        self._api_key = api_key
        self._key_written = _written(api_key) if api_key else None
        self._sleep = sleep
        self._breaker = Breaker(settings.give_up_after, settings.rest_seconds, clock)

    def locate(self) -> None:
        """Wait until the server answers, where a file names it.

        Raises:
            ServerError: that was too long.
        """
        if self._file:
            self._base = f"{locate(self._file, self.settings.wait_seconds)}/v1"

    def connect(self) -> aiohttp.ClientSession:
        """A session of the running event loop; the caller closes it.

        Proxies and passwords (.netrc) are not read from the environment.
        """
        authorization = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        total, connect = self.settings.read_timeout, self.settings.connect_timeout
        return aiohttp.ClientSession(
            # What is compressed may be a thousand times as long: it is not asked for, nor read.
            headers={"Accept-Encoding": "identity"} | authorization,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=total, connect=connect),
            # No limit: whoever asks bounds what is under way.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def complete(
        self, session: aiohttp.ClientSession, body: Mapping[str, object]
    ) -> str | Failure:
        """What the model says to a chat completion request, or why it says nothing.

        Timeouts, broken connections, 429 and 5xx are tried again, at most `retries` times, after
        what `Retry-After` states or else after exponential waits with jitter.
        """
        if not self._breaker.allows():
            message = (
                f"{self.settings.base_url} failed {self.settings.give_up_after} times in a row and "
                f"is tried again every {self.settings.rest_seconds:g} s"
            )
            return Failure(FailureKind.NOT_ASKED, message)
        reply = await self._post(session, body)
        for attempt in range(self.settings.retries):
            if not reply.may_pass:
                break
            await self._sleep(reply.pause(attempt))
            if self._file and (address := read_address(self._file)):  # of one started since, maybe
                self._base = f"{address}/v1"
            reply = await self._post(session, body)
        self._breaker.record(reply.failure is None or reply.status in ONE_REQUEST)
        if reply.failure:
            return self._failure(reply.failure, reply.text)
        said = _content(reply.text)
        if said is not None:
            return said
        detail = f"expected a chat completion with content: {reply.text}"
        return self._failure(FailureKind.INVALID, detail)

    async def _post(self, session: aiohttp.ClientSession, body: Mapping[str, object]) -> _Reply:
        url = f"{self._base}/chat/completions"
        try:
            async with session.post(url, json=body, allow_redirects=False) as response:
                text = await _text(response)
        except aiohttp.ConnectionTimeoutError as error:
            return _Reply(str(error), FailureKind.UNREACHABLE)
        except TimeoutError:
            late = f"no reply within {self.settings.read_timeout:g} s"
            return _Reply(late, FailureKind.TIMED_OUT)
        except aiohttp.ClientError as error:
            return _Reply(f"{type(error).__name__}: {error}", FailureKind.UNREACHABLE)
        if response.status < 300:
            return _Reply(text)
        busy = response.status == 429 or response.status >= 500
        return _Reply(
            f"HTTP {response.status}: {text}",
            FailureKind.OVERLOADED if busy else FailureKind.REFUSED,
            response.status,
            retry_after(response.headers.get("Retry-After", "")),
        )

    def redacted(self, text: str) -> str:
        """A text from outside for a message, without the key, which some servers repeat."""
        return self._key_written.sub("***", text) if self._key_written else text

    def _failure(self, kind: FailureKind, detail: str) -> Failure:
        return Failure(kind, f"{self.settings.base_url}: {one_line(self.redacted(detail))}")


def _written(key: str) -> re.Pattern[str]:
    """A key as it is, escaped as in JSON, URLs and HTML, or anywhere in a text in base64."""
    texts = [key]
    for before in range(3):  # bytes of other text in the group of three in which the key begins
        coded = base64.b64encode(bytes(before) + key.encode()).decode()
        whole = coded[-(-4 * before // 3) : 4 * (before + len(key)) // 3]  # of the key alone
        if len(whole) > 3:
            texts += [whole, whole.translate(_URL_SAFE)]
    return re.compile("|".join("".join(map(_escaped, text)) for text in texts))


def _escaped(character: str) -> str:
    code, names = f"{ord(character):02x}", {re.escape(character), re.escape(html.escape(character))}
    number = f"0{{0,6}}{ord(character)};|x0{{0,6}}{code};"
    coded = rf"\\{{1,4}}(?:u00|x){code}|%(?:25){{0,3}}{code}|&#(?:{number})"
    return rf"(?:\\{{0,4}}(?:{'|'.join(sorted(names))})|(?i:{coded}))"


async def _text(response: aiohttp.ClientResponse) -> str:
    """A reply up to LONGEST_REPLY; the connection is closed where more would come."""
    read = bytearray()
    async for part in response.content.iter_any():
        read += part
        if len(read) > LONGEST_REPLY:
            break
    return read[:LONGEST_REPLY].decode(errors="replace")


def _content(text: str) -> str | None:
    """What the model says, where a reply is a chat completion."""
    try:
        said = json.loads(text)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    # JSON can spell half a surrogate pair, which no file and no store takes.
    return said.encode(errors="replace").decode() if isinstance(said, str) else None


def retry_after(value: str) -> float | None:
    """Seconds that a Retry-After states (RFC 9110, 10.2.3), as a number or a date, never negative.

    None where it states none that can be read.
    """
    if value.strip().isdecimal():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())
