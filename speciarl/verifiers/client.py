"""Chat completions from an OpenAI-compatible server: bounded, retried, with typed failures."""

import asyncio
import email.utils
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from random import random

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from speciarl.config.verifiers import Server
from speciarl.errors import one_line
from speciarl.verdicts import Failure, FailureKind
from speciarl.verifiers.breaker import Breaker

LONGEST_WAIT = 120.0  # seconds; a server that asks for more is not asked again for this pair
BACKOFF = wait_exponential_jitter(multiplier=0.5, max=30.0, jitter=0.5)
# The fault of one request and not of the judge: bad request, too large, unprocessable.
ONE_REQUEST = frozenset({400, 413, 422})


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
        self._api_key = api_key
        # A JSON text may have a backslash before any of its characters.
        self._key_written = re.compile(r"\\?".join(map(re.escape, api_key))) if api_key else None
        self._sleep = sleep
        self._breaker = Breaker(settings.give_up_after, settings.rest_seconds, clock)

    def connect(self) -> httpx.AsyncClient:
        """A client for one event loop; the caller closes it."""
        settings = self.settings
        return httpx.AsyncClient(
            base_url=settings.base_url,
            headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key else {},
            timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
            limits=httpx.Limits(),  # none: whoever asks bounds what is under way
        )

    async def complete(
        self, client: httpx.AsyncClient, body: Mapping[str, object]
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
        attempts = AsyncRetrying(
            retry=retry_if_exception(_worth_another_try),
            stop=stop_after_attempt(1 + self.settings.retries),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            response: httpx.Response = await attempts(self._post, client, body)
        except httpx.HTTPError as error:
            if _status(error) in ONE_REQUEST:
                self._breaker.record_success()
            else:
                self._breaker.record_failure()
            return self._failure(*_reason(error))
        self._breaker.record_success()
        said = _content(response)
        if said is not None:
            return said
        detail = f"expected a chat completion with content: {response.text}"
        return self._failure(FailureKind.INVALID, detail)

    async def _post(self, client: httpx.AsyncClient, body: Mapping[str, object]) -> httpx.Response:
        response = await client.post("chat/completions", json=body)
        return response.raise_for_status()

    def redacted(self, text: str) -> str:
        """A text from outside for a message, without the key, which some servers repeat."""
        return self._key_written.sub("***", text) if self._key_written else text

    def _failure(self, kind: FailureKind, detail: str) -> Failure:
        return Failure(kind, f"{self.settings.base_url}: {one_line(self.redacted(detail))[:300]}")


def _reason(error: httpx.HTTPError) -> tuple[FailureKind, str]:
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        kind = FailureKind.OVERLOADED if _busy(status) else FailureKind.REFUSED
        return kind, f"HTTP {status}: {error.response.text}"
    timed_out = isinstance(error, httpx.TimeoutException)
    reached = not isinstance(error, httpx.ConnectTimeout)
    kind = FailureKind.TIMED_OUT if timed_out and reached else FailureKind.UNREACHABLE
    return kind, f"{type(error).__name__}: {error}"


def _content(response: httpx.Response) -> str | None:
    """What the model says, where the reply is a chat completion."""
    try:
        said = response.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None
    return said if isinstance(said, str) else None


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None


def _busy(status: int) -> bool:
    return status == httpx.codes.TOO_MANY_REQUESTS or status >= 500


def _worth_another_try(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return _busy(error.response.status_code) and (retry_after(error) or 0.0) <= LONGEST_WAIT
    return isinstance(error, httpx.TransportError)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next attempt."""
    error = state.outcome.exception() if state.outcome else None
    asked_for = retry_after(error) if isinstance(error, httpx.HTTPStatusError) else None
    return BACKOFF(state) if asked_for is None else asked_for + random()


def retry_after(error: httpx.HTTPStatusError) -> float | None:
    """Seconds of the reply's Retry-After (RFC 9110, 10.2.3), a number or a date, never negative.

    None where it has none that can be read.
    """
    value = error.response.headers.get("Retry-After", "")
    if value.strip().isdecimal():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())
