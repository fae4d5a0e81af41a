"""Times the verdict cache beside what else is used for this, on the same work in one run.

    python bench/cache.py                    # a million verdicts; some minutes
    python bench/cache.py --verdicts 100000
    python bench/cache.py --verdicts 10000000 --lookups

Prints what the README states: medians in milliseconds, and their ratios. The reward function is
held against training steps of the miniature (bench/training.py).
"""

import argparse
import multiprocessing
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import duckdb
import polars as pl
import psutil
import rivals

from speciarl.cache import VerdictCache
from speciarl.schemas import VERDICTS
from speciarl.verdicts import LABELS, Judgment, Pair, Verdict
from speciarl.verifiers.cached import CachedVerifier, restore, snapshot_of
from speciarl.verifiers.single_flight import ask_once

IDENTITY = {"verifier": "bench"}
BATCH, MISSES, ROUNDS = 2560, 128, 60
JUDGEMENTS = [Judgment(verdict, "judge") for verdict in Verdict]
SPAWN = multiprocessing.get_context("spawn")


class Nobody:
    """A verifier that must not be asked."""

    identity = IDENTITY

    def judge(self, pairs: Sequence[Pair]) -> None:
        raise AssertionError("every pair is in the store")


def pair(number: int) -> Pair:
    return Pair(f"Class Number {number % 500}", f"a prediction like many others {number}")


def judged(numbers: range) -> dict[Pair, Judgment]:
    return {pair(i): JUDGEMENTS[i % len(JUDGEMENTS)] for i in numbers}


def fill(store: Path, count: int) -> None:
    cache = VerdictCache(store, IDENTITY, "bench")
    for start in range(0, count, 50_000):
        cache.put(judged(range(start, min(start + 50_000, count))))


def elsewhere(function: Callable, *arguments: object) -> None:
    """Run in a process of its own, so that its memory does not show in this one."""
    process = SPAWN.Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"error: {function.__name__} failed")


def milliseconds(function: Callable, *arguments: object) -> float:
    started = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - started) * 1000


def batches(count: int) -> list[list[Pair]]:
    chance = random.Random(0)
    drawn = []
    for _ in range(ROUNDS):
        hits = [pair(chance.randrange(count)) for _ in range(BATCH - MISSES)]
        misses = [pair(count + chance.randrange(count)) for _ in range(MISSES)]
        drawn.append(chance.sample(hits + misses, BATCH))
    return drawn


def first_opening(store: Path) -> None:
    """By the first job after so many verdicts were stored, which saves the index for the next."""
    started = time.perf_counter()
    VerdictCache(store, IDENTITY, "bench")
    print(f"opened for the first time: {time.perf_counter() - started:.2f} s")


def opening(store: Path, batch: Sequence[Pair]) -> VerdictCache:
    """Time and memory of the first batch, in this still empty process."""
    memory = psutil.Process().memory_info
    before = memory().rss
    started = time.perf_counter()
    cache = VerdictCache(store, IDENTITY, "bench")
    cache.get(batch)
    seconds = time.perf_counter() - started
    print(f"first batch after opening: {seconds:.2f} s (limit 0.5)")
    print(f"memory added: {(memory().rss - before) / 1e6:.0f} MB (limit 120)")
    return cache


def starting(store: Path, count: int, work: Path) -> None:
    """What a job does at its start with a snapshot of the whole store, apart from reading facts."""
    started = time.process_time()
    cache = VerdictCache(store, IDENTITY, "bench")
    opened = time.process_time()
    rows = ((*pair(i), JUDGEMENTS[i % 6].verdict.value, "judge") for i in range(count))
    snapshot_of(pl.DataFrame(rows, VERDICTS, orient="row"), cache).write_parquet(work / "s.parquet")
    written = time.process_time()
    source = CachedVerifier(Nobody(), cache)
    source.add_known(restore(pl.scan_parquet(work / "s.parquet"), cache))
    known = time.process_time() - written
    print(f"a snapshot of {count}: store {opened - started:.2f} CPU s, snapshot {known:.2f}")


def lookups(cache: VerdictCache, count: int, work: Path) -> None:
    labels = {pair(i): LABELS[i % len(LABELS)] for i in range(count)}
    in_memory = rivals.dict_lookup(labels)
    contenders = {"verdict cache": cache.get, "dict by (class, prediction)": in_memory}
    with ExitStack() as servers:
        if rivals.present("redis-server", "redis", "hiredis", "orjson"):
            port = servers.enter_context(rivals.redis_server(work))
            contenders |= rivals.redis_lookups(port, labels)
        for module, rival in rivals.FILES.items():
            if rivals.present(None, module):
                contenders[module] = rival(work / module, labels)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for batch in batches(count):
            for name, look_up in contenders.items():
                times[name].append(milliseconds(look_up, batch))
    ours = statistics.median(times["verdict cache"])
    print(f"\n{BATCH} lookups, {MISSES} of them misses, in ms (and as a multiple of ours)")
    for name, taken in times.items():
        median, late = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
        print(f"{name:26}{median:8.2f}   95 %: {late:7.2f}   x {median / ours:.1f}")
    ratio = ours / statistics.median(times["dict by (class, prediction)"])
    print(
        f"ours as a multiple of the dict: {ratio:.2f} (limit 1.2; Redis at least 4, diskcache 10)"
    )


def bulk_insert(store: Path, rows: pl.DataFrame, size: int) -> float:
    """Seconds of plain DuckDB: open, insert transactions of `size` rows, close."""
    started = time.perf_counter()
    with duckdb.connect(str(store)) as db:
        for part in rows.iter_slices(size):
            db.register("fresh", part)
            db.execute("INSERT INTO verdicts BY NAME SELECT * FROM fresh")
    return time.perf_counter() - started


def storing(store: Path, count: int, work: Path) -> None:
    """100,000 new verdicts, ours in batches, and DuckDB's own inserts of the same rows."""
    new = 100_000
    copies = [work / f"{name}.duckdb" for name in ("ours", "once", "batched")]
    for copy in copies:
        shutil.copy(store, copy)
    cache = VerdictCache(copies[0], IDENTITY, "bench")
    numbers = range(count, count + new)
    parts = [judged(numbers[start : start + BATCH]) for start in range(0, new, BATCH)]
    ours = sum(milliseconds(cache.put, part) for part in parts) / 1000
    with duckdb.connect(str(copies[0]), read_only=True) as db:
        found = db.sql("SELECT * FROM verdicts ORDER BY number DESC LIMIT 100000")
        rows = pl.DataFrame(found.to_arrow_table())
    once, batched = (bulk_insert(c, rows, n) for c, n in zip(copies[1:], (new, BATCH), strict=True))
    print(f"\n{new} new verdicts into {count}: {new / ours:.0f} a second in batches of {BATCH}")
    print(f"as a share of DuckDB's own insert at once: {once / ours:.2f} (limit 0.33)")
    print(f"as a share of DuckDB's own in the same batches: {batched / ours:.2f}")


def flush(store: Path, writer: int, pause: float, results: Path) -> None:
    cache = VerdictCache(store, IDENTITY, f"writer {writer}")
    taken = []
    for number in range(40):
        start = 10**7 + (writer * 1000 + number) * 128
        taken.append(milliseconds(cache.put, judged(range(start, start + 128))))
        time.sleep(pause)
    results.write_text("\n".join(map(str, taken)))


def flushing(store: Path, work: Path) -> None:
    for number, pause in enumerate((0.25, 0.0)):
        first = 4 * number
        results = [work / f"flush {writer}" for writer in range(first, first + 4)]
        processes = [
            SPAWN.Process(target=flush, args=(store, first + i, pause, result))
            for i, result in enumerate(results)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        taken = [float(line) for result in results for line in result.read_text().split()]
        how = "as a judge's writer does, every 250 ms" if pause else "without a pause"
        print(
            f"a flush of 128, four processes writing {how}: "
            f"{statistics.median(taken):.0f} ms, 95 %: {statistics.quantiles(taken, n=20)[-1]:.0f}"
            " (limit 100)"
        )


class Nodding:
    """A verifier that takes no time."""

    identity = IDENTITY

    def judge(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Judgment]]:
        return ((one, JUDGEMENTS[0]) for one in pairs)


def missing(work: Path) -> None:
    """Pairs that no store has, claimed, asked and stored: as long for each, however many."""
    print()
    for count in (16_000, 128_000):
        cache = VerdictCache(work / f"{count} misses.duckdb", IDENTITY, "bench")
        wanted = [pair(number) for number in range(count)]
        started = time.process_time()
        ask_once(cache, Nodding(), wanted, cache.keys(wanted))
        taken = time.process_time() - started
        print(f"{count} misses: {taken:.2f} CPU s, {taken / count * 1e6:.0f} microseconds each")


def rewarding(cache: VerdictCache, count: int) -> None:
    """The reward function on one batch of completions, all hits, and a training step."""
    from training import ROOT, measure, miniature  # here, as it loads torch

    from speciarl.rewards import REWARDS
    from speciarl.training.reward_function import SpecificityReward

    bridge = SpecificityReward(CachedVerifier(Nobody(), cache), REWARDS["dynamic"], 0.0)
    chance = random.Random(1)
    rows = [i // 10 for i in range(BATCH)]
    taken = []
    for step in range(20):
        predictions = [pair(chance.randrange(count)) for _ in range(BATCH)]
        completions = [[{"content": f"<answer>{one.prediction}</answer>"}] for one in predictions]
        state = SimpleNamespace(global_step=step)
        names = [one.class_name for one in predictions]
        call = partial(bridge, completions, rows, names, trainer_state=state)
        taken.append(milliseconds(call))
    cache.flush()
    reward = statistics.median(taken)
    print(f"\nreward function, {BATCH} completions, all hits: {reward:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        seconds = sum(measure(miniature(ROOT, Path(folder), steps=12)).seconds.values())
    share = reward / 1000 / seconds
    print(f"a training step of the miniature: {seconds:.2f} s, so {share:.1%} of it (limit 2 %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--lookups", action="store_true", help="nothing but opening and looking up")
    options = parser.parse_args()
    count = options.verdicts
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        store = work / "cache.duckdb"
        elsewhere(fill, store, count)
        elsewhere(first_opening, store)
        cache = opening(store, batches(count)[0])
        lookups(cache, count, work)
        if options.lookups:
            return
        elsewhere(starting, store, count, work)
        storing(store, count, work)
        flushing(store, work)
        missing(work)
        rewarding(cache, count)


if __name__ == "__main__":
    main()
