import multiprocessing

import duckdb
import numpy as np
import pytest

from speciarl.cache import VerdictCache
from speciarl.cache.keys import PairKeys
from speciarl.cache.lock import locked
from speciarl.cache.store import opened
from speciarl.errors import CacheError
from speciarl.verdicts import LABELS, Verdict
from speciarl.verifiers.base import Failure, FailureKind, Judgement, Pair

IDENTITY = {"verifier": "test", "version": 1}
GULL = Judgement(Verdict.SPECIFIC, "taxonomy")
DOWN = Failure(FailureKind.TIMED_OUT, "no answer in 1 s")


def pairs(count, start=0):
    return [Pair("Herring Gull", f"answer {i}") for i in range(start, start + count)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.duckdb"


def rows(path, query):
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(query).fetchall()


def test_what_was_put_is_found_again_and_by_the_next_process(path):
    cache = VerdictCache(path, IDENTITY, "run")
    judged = dict.fromkeys(pairs(300), GULL)
    assert cache.put(judged) == 300
    assert cache.get(pairs(301)) == [GULL] * 300 + [None]
    again = VerdictCache(path, IDENTITY, "run")
    assert len(again) == 300
    assert again.get(pairs(302, start=-1)) == [None, *[GULL] * 300, None]
    assert again.get([]) == []


def test_a_pair_is_stored_once_and_keeps_its_first_verdict(path):
    first, second = (VerdictCache(path, IDENTITY, name) for name in ("first", "second"))
    pair = Pair("Herring Gull", "gull")
    assert first.put({pair: GULL}) == 1
    assert second.put({pair: Judgement(Verdict.WRONG, "other")}) == 0
    assert rows(path, "SELECT run, verdict FROM verdicts") == [("first", "specific")]


def test_a_failure_is_never_stored(path):
    cache = VerdictCache(path, IDENTITY, "run")
    good, bad = pairs(2)
    assert cache.put({good: GULL, bad: Judgement(None, failure=DOWN)}) == 1
    assert cache.get([good, bad]) == [GULL, None]


def test_verifiers_do_not_share_verdicts(path):
    VerdictCache(path, IDENTITY, "run").put({Pair("a", "b"): GULL})
    assert VerdictCache(path, {**IDENTITY, "version": 2}, "run").get([Pair("a", "b")]) == [None]
    assert rows(path, "SELECT count(*) FROM verifiers") == [(2,)]


def test_key_parts_do_not_run_together():
    first, second = PairKeys("v")([Pair("ab", "c"), Pair("a", "bc")]).tolist()
    assert first != second


def test_a_plain_client_reads_the_ladder_in_its_order(path):
    cache = VerdictCache(path, IDENTITY, "run")
    cache.put({Pair("class", v.value): Judgement(v, "test") for v in reversed(Verdict)})
    found = rows(path, "SELECT verdict, count(*) FROM verdicts GROUP BY 1 ORDER BY 1")
    assert found == [(label, 1) for label in LABELS]
    columns = {name for (name,) in rows(path, "SELECT name FROM pragma_table_info('verdicts')")}
    assert {"class", "prediction", "verdict"} <= columns


def test_equal_high_halves_are_told_apart_by_the_low(path, monkeypatch):
    keys = {"a": (7, 3), "b": (7, 1), "c": (7, 2), "d": (7, 9), "e": (8, 1)}

    def chosen(_, pairs):
        return np.array([keys[answer] for _, answer in pairs], np.uint64).reshape(-1, 2)

    monkeypatch.setattr(PairKeys, "__call__", chosen)
    VerdictCache(path, IDENTITY, "run").put({Pair("x", a): GULL for a in "abe"})
    again = VerdictCache(path, IDENTITY, "run")
    found = again.get([Pair("x", a) for a in "abcde"])
    assert found == [GULL, GULL, None, None, GULL]


def test_another_ladder_is_refused(path):
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TYPE verdict AS ENUM ('bad', 'good'); CREATE TABLE verdicts (i INT)")
    with pytest.raises(CacheError, match="another ladder"):
        VerdictCache(path, IDENTITY, "run")


def test_a_file_that_is_no_database_is_named(path):
    path.write_bytes(b"not a database, but long enough to be read as one" * 200)
    with pytest.raises(CacheError, match=r"cache\.duckdb.*delete the file"):
        VerdictCache(path, IDENTITY, "run")


def test_an_unfinished_transaction_leaves_nothing(path):
    VerdictCache(path, IDENTITY, "run")
    with pytest.raises(RuntimeError), opened(path) as db:
        db.execute("INSERT INTO verifiers VALUES ('half', '{}')")
        raise RuntimeError("interrupted")
    assert rows(path, "SELECT count(*) FROM verifiers WHERE verifier = 'half'") == [(0,)]


def test_the_lock_names_who_holds_it(path):
    import os

    with locked(path), pytest.raises(CacheError, match=str(os.getpid())), locked(path, 0.02):
        pass


def test_a_forked_process_may_not_use_the_cache(path):
    cache = VerdictCache(path, IDENTITY, "run")
    answers = multiprocessing.get_context("fork").SimpleQueue()

    def child():
        try:
            cache.put({Pair("a", "b"): GULL})
            answers.put("stored")
        except CacheError as error:
            answers.put(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert "forked" in answers.get()


def _write(path, writer, count):
    cache = VerdictCache(path, IDENTITY, f"writer {writer}")
    for start in range(0, count, 20):
        cache.put(dict.fromkeys(pairs(20, start=start), GULL))
        cache.put(dict.fromkeys(pairs(20, start=100_000 * (writer + 1) + start), GULL))


def test_processes_write_side_by_side_without_loss_or_duplicates(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, i, 200)) for i in range(3)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(120)
    assert [process.exitcode for process in writers] == [0, 0, 0]
    counts = "SELECT count(*), count(DISTINCT (class, prediction)) FROM verdicts"
    assert rows(path, counts) == [(800, 800)]
