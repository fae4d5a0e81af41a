"""A language model behind an OpenAI-compatible server (vLLM in production) as a judge.

One pair per request, so that a bad pair spoils no other; greedy; the reply is constrained to the
labels of the question by the server and checked against them here.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

import aiohttp

from speciarl.config.verifiers import ServerModel
from speciarl.verdicts import Failure, FailureKind, Judgment, Pair
from speciarl.verifiers.chat import identity_of_question, load_question, messages, read_label
from speciarl.verifiers.client import ChatServer

Tell = Callable[[tuple[Pair, Judgment]], None]


class LlmJudge:
    """Never leaves a pair undecided: each gets a verdict or a failure.

    The length of an reply is bounded by the rules, which go before.

    Args:
        model: which model, and how it is asked.
        server: where it is asked; no part of the identity.
    """

    def __init__(self, model: ServerModel, server: ChatServer) -> None:
        self.model = model
        self.server = server
        self._question = load_question(model.prompt)

    @property
    def identity(self) -> Mapping[str, object]:
        return {
            "verifier": "llm",
            "model": self.model.name,
            "revision": self.model.revision,
            **identity_of_question(self._question),
            "decoding": self._decoding(),
        }

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        """Judgments as they come. Closing the iterator cancels what is under way.

        The requests run in an event loop on a thread of their own, so that they go on while the
        caller deals with what it got.
        """
        if not pairs:  # the taxonomy leaves often none open
            return
        self.server.locate()
        told: SimpleQueue[tuple[Pair, Judgment] | None] = SimpleQueue()
        with _running_loop() as loop:
            work = asyncio.run_coroutine_threadsafe(self._judge_all(pairs, told.put), loop)
            work.add_done_callback(lambda _: told.put(None))
            while (one := told.get()) is not None:
                yield one
            work.result()  # raises what is a fault of ours, not of the judge

    async def _judge_all(self, pairs: Sequence[Pair], tell: Tell) -> None:
        waiting = iter(pairs)  # shared: each worker takes the next pair when it is free
        async with self.server.connect() as session:
            workers = range(min(self.server.settings.concurrency, len(pairs)))
            await asyncio.gather(*(self._work(waiting, session, tell) for _ in workers))

    async def _work(
        self, waiting: Iterator[Pair], session: aiohttp.ClientSession, tell: Tell
    ) -> None:
        for pair in waiting:
            started = time.perf_counter()
            said = await self.server.complete(session, self._request(pair))
            milliseconds = 1000 * (time.perf_counter() - started)
            tell((pair, self._judgment(said, milliseconds)))

    def _judgment(self, said: str | Failure, milliseconds: float) -> Judgment:
        if isinstance(said, Failure):
            return Judgment(None, failure=said, milliseconds=milliseconds)
        verdict = read_label(said, self._question.replies)
        said = self.server.redacted(said)
        if verdict is None:
            expected = ", ".join(self._question.replies)
            message = f"expected one of {expected}, the judge said {said[:100]!r}"
            failure = Failure(FailureKind.INVALID, message)
            return Judgment(None, failure=failure, judge_reply=said, milliseconds=milliseconds)
        return Judgment(verdict, "llm", judge_reply=said, milliseconds=milliseconds)

    def _request(self, pair: Pair) -> dict[str, object]:
        return {
            "model": self.model.name,
            "messages": messages(self._question.prompt, pair),
            **self._decoding(),
        }

    def _decoding(self) -> dict[str, object]:
        return {
            "temperature": 0,
            "max_tokens": self.model.max_tokens,
            "structured_outputs": {"choice": list(self._question.replies)},
            "chat_template_kwargs": {"enable_thinking": self.model.thinking},
        }


@contextmanager
def _running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop on a thread of its own. What it still does at the end is cancelled."""
    runner = asyncio.Runner()
    loop = runner.get_loop()

    def run() -> None:
        with runner:
            loop.run_forever()

    thread = Thread(target=run, name="judge")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
