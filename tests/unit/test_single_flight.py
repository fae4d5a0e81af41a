"""One pair, one question: over threads and processes, whatever becomes of who asks."""

import multiprocessing
import threading
import time
from types import SimpleNamespace

import pytest

from speciarl.cache import VerdictCache, query_store
from speciarl.cache.index import PairKeys
from speciarl.cache.lock import Claims
from speciarl.cache.verdict_cache import WriteBehind
from speciarl.errors import CacheError, VerifierError
from speciarl.verdicts import Failure, FailureKind, Judgment, Pair, Verdict
from speciarl.verifiers.cached import CachedVerifier
from speciarl.verifiers.single_flight import ask_once

GOOD = Judgment(Verdict.GENERIC, "judge", judge_reply="generic", milliseconds=12.5)
BAD = Judgment(None, failure=Failure(FailureKind.INVALID, "'maybe' is no label"))
SPAWN = multiprocessing.get_context("spawn")


class Judge:
    """Takes a while, notes what it was asked in a file that all processes share."""

    identity = {"verifier": "slow"}  # noqa: RUF012

    def __init__(self, notes, *, fails=(), breaks_after=None, seconds=0.002):
        self.notes, self.fails, self.breaks_after = notes, fails, breaks_after
        self.seconds = seconds

    def judge(self, pairs):
        for number, pair in enumerate(pairs):
            if number == self.breaks_after:
                raise VerifierError("the judge is gone")
            with self.notes.open("a") as notes:
                notes.write(f"{pair.prediction}\n")
            time.sleep(self.seconds)
            yield pair, BAD if pair.prediction in self.fails else GOOD

    def asked(self):
        return self.notes.read_text().split("\n")[:-1] if self.notes.exists() else []


@pytest.fixture
def store(tmp_path):
    return tmp_path / "cache.duckdb"


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "asked"


def open_cache(store):
    return VerdictCache(store, Judge.identity, "run")


def pairs(*predictions):
    return [Pair("Herring Gull", prediction) for prediction in predictions]


MANY = pairs(*(f"prediction{i}" for i in range(60)))


def ask_for(cache, judge, wanted, **how):
    return ask_once(cache, judge, wanted, cache.keys(wanted), **how)


def _ask(store, notes, seconds):
    predictions = ask_for(open_cache(store), Judge(notes, seconds=seconds), MANY)
    assert all(predictions.judged[pair].verdict is Verdict.GENERIC for pair in MANY)


def _until(happened):
    for _ in range(3000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it has not happened in 30 s")


def test_processes_that_want_the_same_pairs_ask_for_each_once(store, notes):
    processes = [SPAWN.Process(target=_ask, args=(store, notes, 0.02)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(Judge(notes).asked()) == sorted(pair.prediction for pair in MANY)


def test_threads_that_share_a_cache_ask_for_each_pair_once(store, notes):
    cache, judge = open_cache(store), Judge(notes)
    predictions = []

    def ask(part):
        predictions.append(ask_for(cache, judge, part))

    threads = [threading.Thread(target=ask, args=(MANY[start:],)) for start in (0, 0, 20, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(predictions) == 4
    assert sum(a.asked for a in predictions) == len(judge.asked()) == len(MANY)
    assert all(j == GOOD or j == Judgment(GOOD.verdict, "judge")
               for a in predictions for j in a.judged.values())  # fmt: skip


def test_when_the_owner_dies_a_waiter_takes_over(store, notes):
    owner = SPAWN.Process(target=_ask, args=(store, notes, 30))
    owner.start()
    _until(Judge(notes).asked)
    threading.Timer(0.3, owner.kill).start()
    predictions = ask_for(open_cache(store), Judge(notes), MANY)
    owner.join(30)
    assert owner.exitcode == -9
    assert predictions.asked == len(MANY)
    assert all(predictions.judged[pair].verdict for pair in MANY)


def test_the_owners_failure_is_no_verdict_for_a_waiter(store, notes):
    """Each asker tries once: failures neither spread nor go round for ever."""
    owner, waiter = Judge(notes, fails={"down"}, seconds=0.05), Judge(notes)
    found = {}

    def ask(judge):
        found[judge] = ask_for(open_cache(store), judge, pairs("gull", "down"))

    asking = threading.Thread(target=ask, args=(owner,))
    asking.start()
    _until(owner.asked)
    ask(waiter)
    asking.join(30)
    assert found[owner].judged[pairs("down")[0]] == BAD
    assert found[waiter].judged[pairs("down")[0]] == GOOD
    assert owner.asked().count("gull") == 1
    assert query_store(store, "SELECT count(*) FROM verdicts").item() == 2


def test_one_bad_pair_of_128_leaves_127_verdicts(store, notes):
    batch = pairs(*(f"prediction{i}" for i in range(128)))
    predictions = ask_for(open_cache(store), Judge(notes, fails={"prediction77"}, seconds=0), batch)
    assert predictions.asked == 128
    assert query_store(store, "SELECT count(*) FROM verdicts").item() == 127


def test_what_a_judge_gave_before_it_broke_off_is_stored(store, notes):
    with pytest.raises(VerifierError, match="gone"):
        ask_for(open_cache(store), Judge(notes, breaks_after=9), MANY)
    query = "SELECT count(*), min(judge_reply), max(milliseconds) FROM verdicts"
    assert query_store(store, query).row(0) == (9, "generic", 12.5)
    again = ask_for(open_cache(store), Judge(notes), MANY)
    assert again.asked == len(MANY) - 9


def test_verdicts_are_stored_while_the_judge_is_at_work(store, notes):
    judge = Judge(notes, seconds=0.02)
    asking = threading.Thread(target=ask_for, args=(open_cache(store), judge, MANY))
    asking.start()
    seen = set()
    while asking.is_alive():
        seen.add(query_store(store, "SELECT count(*) FROM verdicts").item())
        asking.join(0.05)
    assert any(0 < count < len(MANY) for count in seen)


def test_a_missed_pair_is_hashed_once_on_its_way_to_the_store(store, notes):
    """Looked up, claimed, looked up again, stored and given back under one key."""
    cache, hashed = open_cache(store), []

    class Counting(PairKeys):
        def __call__(self, pairs):
            pairs = list(pairs)
            hashed.extend(pairs)
            return super().__call__(pairs)

    cache.keys = Counting(cache.verifier)
    source = CachedVerifier(Judge(notes, fails={"down"}), cache)
    wanted = pairs("gull", "tern", "gull", "down")
    judged, counts = source.judge(wanted)
    assert [judged[pair].verdict is not None for pair in wanted] == [True, True, True, False]
    assert counts.asked == 3
    assert sorted(hashed) == sorted(set(wanted))
    assert [j is not None for j in open_cache(store).get(wanted)] == [True, True, True, False]


def test_many_misses_are_claimed_and_asked_a_batch_at_a_time(store, monkeypatch):
    """The kernel looks through all claims held for each new one: together they are quadratic."""
    monkeypatch.setattr("speciarl.verifiers.single_flight.BATCH", 3)
    together = []

    class Noting:
        identity = Judge.identity

        def judge(self, pairs):
            together.append(len(pairs))
            return ((pair, GOOD) for pair in pairs)

    wanted = pairs(*(f"gull {i}" for i in range(8)))
    asked = ask_for(open_cache(store), Noting(), wanted)
    assert together == [3, 3, 2]
    assert (asked.asked, list(asked.judged)) == (8, wanted)
    assert None not in open_cache(store).get(wanted)


def test_a_pair_that_the_verifier_leaves_out_is_named(store):
    class Forgetful:
        identity = Judge.identity

        def judge(self, pairs):
            return ((pair, GOOD) for pair in pairs[1:])

    with pytest.raises(VerifierError, match="'gull'"):
        ask_for(open_cache(store), Forgetful(), pairs("gull", "tern"))


def test_a_claim_that_is_held_too_long_is_passed_over(store, notes):
    cache = open_cache(store)
    with Claims(store) as others:
        assert others.acquire(cache.keys(pairs("gull"))).all()
        predictions = ask_for(cache, Judge(notes), pairs("gull", "tern"), patience=0.2)
    assert predictions.asked == 2


def test_an_owner_that_goes_on_is_waited_for(store, notes, monkeypatch):
    """Each wait takes a minute, in which the owner stores one pair more."""
    cache, owner, now = open_cache(store), open_cache(store), [0.0]
    coming = pairs(*(f"prediction{i}" for i in range(5)))
    with Claims(store) as others:
        assert others.acquire(cache.keys(coming)).all()

        def sleep(seconds):
            now[0] += 60
            pair = coming[int(now[0] / 60) - 1]
            owner.put({pair: GOOD})
            others.release(owner.keys([pair]))

        clock = SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: 0.0, sleep=sleep)
        monkeypatch.setattr("speciarl.verifiers.single_flight.time", clock)
        predictions = ask_for(cache, Judge(notes), coming, patience=150)
    assert predictions.asked == 0
    assert all(predictions.judged[pair].verdict is GOOD.verdict for pair in coming)


def test_every_write_has_ended_when_a_failed_one_is_raised():
    started, go, written = threading.Event(), threading.Event(), []

    def store(items):
        if items == ["bad"]:
            started.set()
            go.wait(10)
            raise CacheError("the disk is full")
        time.sleep(0.1)
        written.extend(items)

    writing = WriteBehind(store)
    writing.add("bad")
    assert started.wait(10)
    writing.add("good")
    go.set()
    with pytest.raises(CacheError, match="full"):
        writing.flush()
    assert written == ["good"]


def test_a_link_to_the_store_has_its_claims(store):
    keys = open_cache(store).keys(MANY)
    link = store.with_name("link.duckdb")
    link.symlink_to(store)
    with Claims(store) as first, Claims(link) as second:
        assert first.acquire(keys).all()
        assert not second.acquire(keys).any()


def test_a_claim_is_for_one_and_can_be_given_back(store):
    keys = open_cache(store).keys(MANY)
    with Claims(store) as first, Claims(store) as second:
        assert first.acquire(keys[:40]).all()
        assert second.acquire(keys).tolist() == [False] * 40 + [True] * 20
        first.release(keys[:10])
        assert second.acquire(keys[:40]).sum() == 10
    with Claims(store) as third:
        assert third.acquire(keys).all()
