"""kill -9 of one of four writers at random moments: nothing that was acknowledged is lost."""

import multiprocessing
import os
import random
import time
from collections import Counter

import duckdb
import pytest

from speciarl.cache import VerdictCache
from speciarl.verdicts import Judgment, Pair, Verdict

pytestmark = pytest.mark.faults

KILLS, WRITERS, ROWS = 50, 4, 32
STOP = "stop"  # a file: a killed process cannot leave it locked, as it can an Event
JUDGED = Judgment(Verdict.GENERIC, "judge", judge_reply="generic", milliseconds=1.0)
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["speciarl.cache", "speciarl.datasets.unpack"])


def batch_of(writer, number):
    """Half of the pairs are this writer's own, half are written by every writer."""
    own = [Pair("own", f"{writer} {number} {i}") for i in range(ROWS // 2)]
    return own + [Pair("shared", f"{number} {i}") for i in range(ROWS // 2)]


def write(path, writer):
    """Put batches until told to stop; note the number of each batch once `put` has returned."""
    noted = os.open(path.with_name(f"noted {writer}"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    cache = VerdictCache(path, {"verifier": "t"}, f"writer {writer}")
    number = 0
    while not (path.parent / STOP).exists():
        cache.put(dict.fromkeys(batch_of(writer, number), JUDGED))
        os.write(noted, f"{number}\n".encode())
        number += 1


def start(path, writer):
    process = PROCESSES.Process(target=write, args=(path, writer))
    process.start()
    return process


def kill_one_after_another(path):
    """The writers that are left in the end, by name, each time one of them is replaced."""
    chance = random.Random(0)
    running = {writer: start(path, writer) for writer in range(WRITERS)}
    for kill in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.4))
        victim = chance.choice(list(running))
        process = running.pop(victim)
        process.kill()
        process.join(30)
        assert process.exitcode == -9, "a writer ended before it was killed"
        running[WRITERS + kill] = start(path, WRITERS + kill)
    return running


def test_fifty_kills_lose_nothing_and_leave_no_duplicate(tmp_path):
    path = tmp_path / "cache.duckdb"
    running = kill_one_after_another(path)
    (tmp_path / STOP).touch()
    for process in running.values():
        process.join(60)
    assert [process.exitcode for process in running.values()] == [0] * WRITERS

    with duckdb.connect(str(path), read_only=True) as db:
        stored = Counter(Pair(*row) for row in db.sql(
            "SELECT class, prediction FROM verdicts").fetchall())  # fmt: skip
    assert max(stored.values()) == 1
    acknowledged = [
        (writer, int(number))
        for writer in range(WRITERS + KILLS)
        if (noted := tmp_path / f"noted {writer}").exists()
        for number in noted.read_text().split()
    ]
    assert len(acknowledged) > KILLS
    for writer, number in acknowledged:
        assert set(batch_of(writer, number)) <= stored.keys(), f"batch {number} of {writer}"
    own = [pair.prediction for pair in stored if pair.class_name == "own"]
    half = Counter(prediction.rpartition(" ")[0] for prediction in own)
    assert set(half.values()) == {ROWS // 2}, "half a batch was stored"
