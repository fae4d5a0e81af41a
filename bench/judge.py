"""Times the judge's client beside a bare aiohttp loop that sends the same requests.

    python bench/judge.py                     # 16, 64, 128 and 256 connections; a minute and a half
    python bench/judge.py --requests 500

The server is a process of its own on loopback that takes REPLY_SECONDS for each request, so that as
many are under way as there are connections. Prints pairs a second, processor milliseconds a pair
of the client alone, and the ratio of these milliseconds.
"""

import argparse
import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import aiohttp
from aiohttp import web

from speciarl.config.verifiers import Server, ServerModel
from speciarl.verdicts import LABELS, Pair
from speciarl.verifiers.chat import load_question, messages
from speciarl.verifiers.client import ChatServer
from speciarl.verifiers.llm import LlmJudge

CONNECTIONS = (16, 64, 128, 256)
REPLY_SECONDS = 0.1
LIMIT = 1.5
REPLY = json.dumps({"choices": [{"message": {"role": "assistant", "content": "less specific"}}]})
Client = Callable[[str, list[Pair], int], int]
MODEL = ServerModel(kind="server", name="judge", revision="1")
QUESTION = {
    "model": MODEL.name,
    "temperature": 0,
    "max_tokens": MODEL.max_tokens,
    "structured_outputs": {"choice": list(LABELS)},
    "chat_template_kwargs": {"enable_thinking": MODEL.thinking},
}


def serve(port: Connection) -> None:
    async def reply(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(REPLY_SECONDS)
        return web.Response(text=REPLY, content_type="application/json")

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", reply)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def serving() -> Iterator[str]:
    """The address of a judge in another process."""
    spawn = multiprocessing.get_context("spawn")
    mine, its = spawn.Pipe()
    server = spawn.Process(target=serve, args=(its,), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{mine.recv()}/v1"
    finally:
        server.terminate()
        server.join()


def ours(url: str, pairs: list[Pair], connections: int) -> int:
    judge = LlmJudge(MODEL, ChatServer(Server(base_url=url, concurrency=connections)))
    return sum(judgment.verdict is not None for _, judgment in judge.judge(pairs))


def bare(url: str, pairs: list[Pair], connections: int) -> int:
    """The least that a client can do: post, read the reply, take the label out."""
    prompt, left, labels = load_question(MODEL.prompt).prompt, iter(pairs), []

    async def work(session: aiohttp.ClientSession) -> None:
        for pair in left:
            body = {**QUESTION, "messages": messages(prompt, pair)}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                reply = await response.json()
                labels.append(reply["choices"][0]["message"]["content"])

    async def run() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(work(session) for _ in range(connections)))

    asyncio.run(run())
    return len(labels)


def measured(client: Client, url: str, pairs: list[Pair], connections: int) -> tuple[float, float]:
    """Pairs a second, and processor milliseconds a pair."""
    wall, processor = time.perf_counter(), time.process_time()
    done = client(url, pairs, connections)
    processor = time.process_time() - processor
    return done / (time.perf_counter() - wall), 1000 * processor / done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=3000)
    count = parser.parse_args().requests
    pairs = [Pair(f"Class Number {i % 500}", f"a prediction like others {i}") for i in range(count)]
    with serving() as url:
        bare(url, pairs[:200], 16)  # what is imported and set up once is not timed
        ours(url, pairs[:200], 16)
        for connections in CONNECTIONS:
            speed, ours_ms = measured(ours, url, pairs, connections)
            bare_speed, bare_ms = measured(bare, url, pairs, connections)
            print(
                f"{connections} connections: {speed:.0f} pairs a second and {ours_ms:.2f} ms of "
                f"the processor each; a bare aiohttp loop {bare_speed:.0f} and {bare_ms:.2f}: "
                f"ratio {ours_ms / bare_ms:.2f} (limit {LIMIT})",
                flush=True,
            )


if __name__ == "__main__":
    main()
