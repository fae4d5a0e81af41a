"""What the verdict cache is measured against, each by its own client: a dict, Redis, and stores in
files (diskcache, which is SQLite, LMDB and RocksDB).

Each is filled with (class, prediction) -> label and looks up a batch of pairs.
"""

import asyncio
import hashlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

Pairs = Sequence[tuple[str, str]]
LookUp = Callable[[Pairs], list]
FILL = 10_000  # pairs in one write
# What a key of the authors' service covers beside the pair, by its SHA-256.
SERVICE = {
    "model": "Qwen3-30B-A3B-Instruct-2507-FP8", "model_type": "vllm", "prompt_name": "base",
    "thinking_enabled": False, "dtype": None,
}  # fmt: skip


def present(program: str | None, *modules: str) -> bool:
    """Whether a rival can take part; says what to install where it cannot."""
    if program is not None and shutil.which(program) is None:
        print(f"without {program}: apt-get install {program}")
        return False
    absent = [name for name in modules if find_spec(name) is None]
    if absent:
        print(f'without {absent[0]}: pip install -e ".[bench]" -c constraints.txt')
    return not absent


def parts(labels: Mapping[tuple[str, str], str]) -> Iterator[list[tuple[tuple[str, str], str]]]:
    rows = list(labels.items())
    for start in range(0, len(rows), FILL):
        yield rows[start : start + FILL]


def text_key(pair: tuple[str, str]) -> str:
    return f"{pair[0]}\n{pair[1]}"


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Debian's Redis on a free loopback port, without persistence; gives the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), *options], stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"error: redis-server does not answer on port {port}")


def redis_lookups(port: int, labels: Mapping[tuple[str, str], str]) -> dict[str, LookUp]:
    """MGET of the authors' keys by their asynchronous client, and by the blocking one with C."""
    import orjson
    import redis
    import redis.asyncio
    from redis._parsers import _AsyncRESP2Parser, _HiredisParser

    def key(pair: tuple[str, str]) -> str:
        content = orjson.dumps(
            {"gt": pair[0], "pred": pair[1], **SERVICE}, option=orjson.OPT_SORT_KEYS
        )
        return f"item:{SERVICE['model']}:vllm:base:{hashlib.sha256(content).hexdigest()}"

    for part in parts(labels):
        redis.Redis(port=port).mset({key(pair): label for pair, label in part})
    address = {"host": "127.0.0.1", "port": port, "decode_responses": True, "protocol": 2}
    pool = redis.asyncio.ConnectionPool(parser_class=_AsyncRESP2Parser, **address)
    client = redis.asyncio.Redis(connection_pool=pool)
    loop = asyncio.new_event_loop()
    pool = redis.ConnectionPool(parser_class=_HiredisParser, **address)
    blocking = redis.Redis(connection_pool=pool)
    return {
        "Redis MGET": lambda pairs: loop.run_until_complete(client.mget([key(p) for p in pairs])),
        "Redis MGET, hiredis": lambda pairs: blocking.mget([key(p) for p in pairs]),
    }


def diskcache_lookup(folder: Path, labels: Mapping[tuple[str, str], str]) -> LookUp:
    """One `get` for each pair, as its interface has it."""
    import diskcache

    cache = diskcache.Cache(str(folder), eviction_policy="none", size_limit=2**40)
    for part in parts(labels):
        with cache.transact():
            for pair, label in part:
                cache.set(text_key(pair), label)
    return lambda pairs: [cache.get(text_key(pair)) for pair in pairs]


def lmdb_lookup(folder: Path, labels: Mapping[tuple[str, str], str]) -> LookUp:
    """One cursor's `getmulti` in one transaction."""
    import lmdb

    db = lmdb.open(str(folder), map_size=2**36, sync=False)
    for part in parts(labels):
        with db.begin(write=True) as writing:
            for pair, label in part:
                writing.put(text_key(pair).encode(), label.encode())

    def look_up(pairs: Pairs) -> list:
        with db.begin() as reading:
            found = dict(reading.cursor().getmulti([text_key(pair).encode() for pair in pairs]))
        return [found.get(text_key(pair).encode()) for pair in pairs]

    return look_up


def rocksdb_lookup(folder: Path, labels: Mapping[tuple[str, str], str]) -> LookUp:
    """A `multi_get`, which is what indexing by a list is."""
    import rocksdict

    db = rocksdict.Rdict(str(folder))
    for part in parts(labels):
        batch = rocksdict.WriteBatch()
        for pair, label in part:
            batch.put(text_key(pair), label)
        db.write(batch)
    db.compact_range(None, None)
    return lambda pairs: db.get([text_key(pair) for pair in pairs])


def dict_lookup(labels: Mapping[tuple[str, str], str]) -> LookUp:
    return lambda pairs: [labels.get(pair) for pair in pairs]


FILES: Mapping[str, Callable[[Path, Mapping[tuple[str, str], str]], LookUp]] = {
    "diskcache": diskcache_lookup,
    "lmdb": lmdb_lookup,
    "rocksdict": rocksdb_lookup,
}
"""By the module of its client."""
