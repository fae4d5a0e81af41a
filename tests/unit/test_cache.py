import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import duckdb
import numpy as np
import pytest

from speciarl.cache import VerdictCache, query_store
from speciarl.cache.index import FOLD_AT, Index, PairKeys
from speciarl.cache.lock import locked
from speciarl.cache.store import opened
from speciarl.cache.transfer import forget
from speciarl.errors import CacheError
from speciarl.verdicts import LABELS, Failure, FailureKind, Judgment, Pair, Verdict

IDENTITY = {"verifier": "test", "version": 1}
GULL = Judgment(Verdict.SPECIFIC, "taxonomy")
DOWN = Failure(FailureKind.TIMED_OUT, "no reply in 1 s")


def pairs(count, start=0):
    return [Pair("Herring Gull", f"prediction {i}") for i in range(start, start + count)]


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
    assert second.put({pair: Judgment(Verdict.WRONG, "other")}) == 0
    assert rows(path, "SELECT run, verdict FROM verdicts") == [("first", "specific")]


def test_a_verdict_without_what_decided_it_is_found_again(path):
    pair, nameless = Pair("Herring Gull", "gull"), Judgment(Verdict.WRONG)
    VerdictCache(path, IDENTITY, "first").put({pair: nameless})
    again = VerdictCache(path, IDENTITY, "second")
    assert again.get([pair]) == [nameless]
    assert again.put({pair: nameless}) == 0


def test_a_failure_is_never_stored(path):
    cache = VerdictCache(path, IDENTITY, "run")
    good, bad = pairs(2)
    assert cache.put({good: GULL, bad: Judgment(None, failure=DOWN)}) == 1
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
    cache.put({Pair("class", v.value): Judgment(v, "test") for v in reversed(Verdict)})
    found = rows(path, "SELECT verdict, count(*) FROM verdicts GROUP BY 1 ORDER BY 1")
    assert found == [(label, 1) for label in LABELS]
    columns = {name for (name,) in rows(path, "SELECT name FROM pragma_table_info('verdicts')")}
    assert {"class", "prediction", "verdict"} <= columns


def test_equal_high_halves_are_told_apart_by_the_low(path, monkeypatch):
    keys = {"a": (7, 3), "b": (7, 1), "c": (7, 2), "d": (7, 9), "e": (8, 1)}

    def chosen(_, pairs):
        return np.array([keys[prediction] for _, prediction in pairs], np.uint64).reshape(-1, 2)

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
    with pytest.raises(CacheError, match=r"cache\.duckdb.*move the file away"):
        VerdictCache(path, IDENTITY, "run")


def test_a_connection_of_the_same_process_is_waited_for_as_another_program_is(path):
    VerdictCache(path, IDENTITY, "run").put(dict.fromkeys(pairs(1), GULL))
    with (
        duckdb.connect(str(path), read_only=True),
        pytest.raises(CacheError, match=r"another connection of this process: close it there"),
    ):
        VerdictCache(path, IDENTITY, "run", 0.1)
    assert VerdictCache(path, IDENTITY, "run", 0.1).get(pairs(1)) == [GULL]


def test_an_unfinished_transaction_leaves_nothing(path):
    VerdictCache(path, IDENTITY, "run")
    with pytest.raises(RuntimeError), opened(path) as db:
        db.execute("INSERT INTO verifiers VALUES ('half', '{}')")
        raise RuntimeError("interrupted")
    assert rows(path, "SELECT count(*) FROM verifiers WHERE verifier = 'half'") == [(0,)]


def test_a_full_disk_is_one_line(path):
    """The largest size of a file stands for it."""
    script = f"""
import resource
from pathlib import Path

from speciarl.cache import VerdictCache
from speciarl.errors import CacheError
from speciarl.verdicts import Verdict
from speciarl.verdicts import Judgment, Pair

cache = VerdictCache(Path({str(path)!r}), {{"verifier": "test"}}, "run")
resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
try:
    cache.put({{Pair("a", f"{{i:032}}"): Judgment(Verdict.WRONG, "t") for i in range(40_000)}})
except CacheError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{path}: ") and "write" in line, done.stderr


def test_the_lock_names_who_holds_it(path):
    with locked(path), pytest.raises(CacheError, match=str(os.getpid())), locked(path, 0.02):
        pass


def test_the_lock_names_the_other_process_that_holds_it(path):
    script = (
        "import sys; from pathlib import Path; from speciarl.cache.lock import locked\n"
        f"with locked(Path({str(path)!r})): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    line = rf"more than 0\.05 s by process {holder.pid} \(.*python"
    with pytest.raises(CacheError, match=line), locked(path, 0.05):
        pass
    holder.communicate("", timeout=30)
    with locked(path, 0.05):
        pass


def held(path, seconds, *, read_only):
    """Another program that has opened the file by itself."""
    script = (
        f"import duckdb, time; db = duckdb.connect({str(path)!r}, read_only={read_only})\n"
        f"print('held', flush=True); time.sleep({seconds})"
    )
    command = [sys.executable, "-c", script]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("read_only", [True, False])
def test_a_run_waits_while_another_program_has_the_file_open(path, read_only, caplog):
    cache = VerdictCache(path, IDENTITY, "run")
    holder = held(path, 3, read_only=read_only)
    writers = [
        threading.Thread(target=cache.put, args=(dict.fromkeys(pairs(3, 3 * i), GULL),))
        for i in range(2)
    ]
    for writer in writers:
        writer.start()
    cache.note_lookup(step=1, hits=1, misses=0, failures=0, asked=0, judge_seconds=0.0)
    cache.flush()
    assert holder.wait(30) == 0
    for writer in writers:
        writer.join(30)
    assert rows(path, "SELECT (SELECT count(*) FROM verdicts), count(*) FROM lookups") == [(6, 1)]
    assert f"process {holder.pid} (" in caplog.text and "waiting" in caplog.text


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_held_for_too_long_is_one_line_that_names_the_holder(path, read_only):
    cache = VerdictCache(path, IDENTITY, "run", 0.3)
    holder = held(path, 60, read_only=read_only)
    line = rf"open for more than 0\.3 s in process {holder.pid} \(.*python.*\): close it"
    with pytest.raises(CacheError, match=line):
        cache.put({Pair("a", "b"): GULL})
    if read_only:
        assert query_store(path, "SELECT count(*) FROM verdicts").item() == 0
    holder.kill()
    holder.wait(30)
    assert cache.put({Pair("a", "b"): GULL}) == 1


def test_our_lock_is_free_between_two_tries(path):
    """So that each of our processes can tell that it is not one of us who holds the file."""
    cache = VerdictCache(path, IDENTITY, "run", 20)
    holder = held(path, 60, read_only=True)
    script = (
        "from pathlib import Path; from speciarl.cache.lock import locked\n"
        f"for _ in range(5):\n    with locked(Path({str(path)!r}), 2): pass"
    )
    writer = threading.Thread(target=cache.put, args=({Pair("a", "b"): GULL},))
    writer.start()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert writer.is_alive()
    holder.kill()
    holder.wait(30)
    writer.join(30)
    assert rows(path, "SELECT count(*) FROM verdicts") == [(1,)]


def test_the_lock_says_that_another_thread_holds_it(path):
    taken, done = threading.Event(), threading.Event()

    def hold():
        with locked(path):
            taken.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(10)
    with pytest.raises(CacheError, match="another thread"), locked(path, 0.05):
        pass
    done.set()
    holder.join(10)


def test_a_forked_process_may_not_use_the_cache(path):
    cache = VerdictCache(path, IDENTITY, "run")
    predictions = multiprocessing.get_context("fork").SimpleQueue()

    def child():
        try:
            cache.put({Pair("a", "b"): GULL})
            predictions.put("stored")
        except CacheError as error:
            predictions.put(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert "forked" in predictions.get()


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


def test_rows_of_other_processes_show_after_a_refresh(path):
    first, second = (VerdictCache(path, IDENTITY, name) for name in ("first", "second"))
    first.put(dict.fromkeys(pairs(5000), GULL))
    assert second.get(pairs(1)) == [None]
    second.refresh()
    assert second.get(pairs(5001)) == [GULL] * 5000 + [None]
    assert len(second) == 5000


def test_a_deleted_store_is_begun_anew(path):
    cache = VerdictCache(path, IDENTITY, "run")
    cache.put(dict.fromkeys(pairs(3), GULL))
    path.unlink()
    assert cache.put(dict.fromkeys(pairs(4), GULL)) == 4
    assert cache.get(pairs(5)) == [GULL] * 4 + [None]
    assert rows(path, "SELECT count(*) FROM verifiers") == [(1,)]


def taken_up(monkeypatch):
    """How many keys an index is given, each time that it is."""
    counts, add = [], Index.add
    monkeypatch.setattr(Index, "add", lambda *given: counts.append(len(given[1])) or add(*given))
    return counts


MANY = FOLD_AT + 10


def saved(path):
    """A store that has grown, opened again: the index is saved beside it."""
    VerdictCache(path, IDENTITY, "run").put(dict.fromkeys(pairs(MANY), GULL))
    assert len(VerdictCache(path, IDENTITY, "run")) == MANY
    (found,) = path.parent.glob("*.index")
    return found


def test_a_saved_index_is_taken_up_and_newer_rows_after_it(path, monkeypatch):
    saved(path)
    other = {pair: Judgment(Verdict.WRONG, "llm") for pair in pairs(3, start=MANY)}
    counts = taken_up(monkeypatch)
    VerdictCache(path, IDENTITY, "run").put(other)
    assert counts == [3], "only what was put"
    cache = VerdictCache(path, IDENTITY, "run")
    assert counts == [3, 3], "of all rows the newer ones"
    assert cache.get(pairs(MANY + 4)) == [GULL] * MANY + [*other.values(), None]
    assert VerdictCache(path, {"verifier": "another"}, "run").get(pairs(1)) == [None]


def test_a_link_to_a_store_leads_to_its_index(path, tmp_path, monkeypatch):
    saved(path)
    link = tmp_path / "elsewhere/link.duckdb"
    link.parent.mkdir()
    link.symlink_to(path)
    counts = taken_up(monkeypatch)
    assert VerdictCache(link, IDENTITY, "run").get(pairs(1)) == [GULL]
    assert counts == [] and [*link.parent.iterdir()] == [link]


@pytest.mark.parametrize(("run", "left"), [("run", False), ("no such", True)])
def test_the_saved_index_goes_with_what_is_forgotten(path, run, left):
    file = saved(path)
    forget(path, {"run": run})
    assert file.exists() == left


def test_a_store_of_few_rows_has_no_saved_index(path):
    VerdictCache(path, IDENTITY, "run").put(dict.fromkeys(pairs(FOLD_AT), GULL))
    VerdictCache(path, IDENTITY, "run")
    assert not list(path.parent.glob("*.index"))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM verdicts WHERE prediction = 'prediction 0'",
        "UPDATE verdicts SET verdict = 'wrong' WHERE prediction = 'prediction 0'",
        "UPDATE verdicts SET decided_by = NULL WHERE prediction = 'prediction 0'",
        "UPDATE verdicts SET verifier = 'another' WHERE prediction = 'prediction 0'",
        "UPDATE store SET id = 'another'",
    ],
)
def test_a_saved_index_is_not_believed_when_the_rows_are_others(path, statement, monkeypatch):
    saved(path)
    with duckdb.connect(str(path)) as db:
        db.execute(statement)
        changed = db.sql(
            "SELECT verdict::VARCHAR, decided_by FROM verdicts WHERE prediction = 'prediction 0' "
            "AND verifier != 'another'"
        ).fetchall()
    counts = taken_up(monkeypatch)
    found = VerdictCache(path, IDENTITY, "run").get(pairs(2))
    assert found == [Judgment(Verdict(changed[0][0]), changed[0][1]) if changed else None, GULL]
    assert counts == [MANY - (not changed)]


def test_a_store_that_was_put_back_takes_no_later_index(path):
    VerdictCache(path, IDENTITY, "run").put(dict.fromkeys(pairs(1), GULL))
    kept = path.read_bytes()
    saved(path)
    path.write_bytes(kept)
    cache = VerdictCache(path, IDENTITY, "run")
    wrong = Judgment(Verdict.WRONG, "llm")
    assert cache.put(dict.fromkeys(pairs(MANY, start=1), wrong)) == MANY
    assert VerdictCache(path, IDENTITY, "run").get(pairs(3)) == [GULL, wrong, wrong]


def test_a_damaged_index_is_made_anew(path):
    file = saved(path)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert VerdictCache(path, IDENTITY, "run").get(pairs(2, start=MANY - 1)) == [GULL, None]
    assert file.read_bytes() == content


def test_a_run_goes_on_where_the_index_cannot_be_saved(path, caplog):
    VerdictCache(path, IDENTITY, "run").put(dict.fromkeys(pairs(MANY), GULL))
    cache = VerdictCache(path, IDENTITY, "run")
    (file,) = path.parent.glob("*.index")
    file.unlink()
    file.mkdir()
    (file / "in the way").touch()
    assert VerdictCache(path, IDENTITY, "run").get(pairs(1)) == cache.get(pairs(1)) == [GULL]
    assert "was not saved" in caplog.text


def test_threads_share_a_cache(path):
    cache = VerdictCache(path, IDENTITY, "run")
    stored = []

    def work(start):
        for i in range(start, start + 300, 50):
            stored.append(cache.put(dict.fromkeys(pairs(100, start=i), GULL)))
            assert cache.get(pairs(100, start=i)) == [GULL] * 100

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(stored) == 18
    count = "SELECT count(*), count(DISTINCT prediction) FROM verdicts"
    assert sum(stored) == len(cache) == 550
    assert rows(path, count) == [(550, 550)]


@pytest.mark.parametrize("how", ["cache", "query", "another name"])
def test_a_second_handle_in_one_process_is_refused(path, how):
    """Closing it would give the first one's lock away, and another writer destroy rows."""
    cache = VerdictCache(path, IDENTITY, "run")
    link = path.with_name("link.duckdb")
    link.symlink_to(path)
    second = {
        "cache": lambda: cache.put({Pair("a", "b"): GULL}),
        "query": lambda: query_store(path, "SELECT 1"),
        "another name": lambda: query_store(link, "SELECT 1"),
    }
    with opened(path), pytest.raises(CacheError, match=f"process {os.getpid()}.*second handle"):
        second[how]()
    second[how]()


def test_a_fork_waits_until_the_file_is_closed(path):
    """Parent and child with the file open would both write, and lose rows."""
    VerdictCache(path, IDENTITY, "run")
    inside, events = threading.Event(), []

    def hold():
        with opened(path):
            inside.set()
            time.sleep(0.3)
            events.append("closed")

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0 if events == ["closed"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    holder.join(10)


def test_a_fork_of_a_process_that_used_a_store_may_open_none(path):
    VerdictCache(path, IDENTITY, "run").put({Pair("a", "b"): GULL})
    child = os.fork()
    if child == 0:
        try:
            VerdictCache(path, IDENTITY, "child")
            os._exit(1)
        except CacheError as error:
            os._exit(0 if "spawn" in str(error) else 2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_between_transactions_other_programs_may_open_the_file(path):
    VerdictCache(path, IDENTITY, "run").put({Pair("a", "b"): GULL})
    script = (
        f"import duckdb; print(duckdb.connect({str(path)!r}).sql('FROM verdicts').fetchall()[0][1])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "a\n", done.stderr


def test_keys_do_not_depend_on_the_order_of_the_batch(path):
    keys = PairKeys("v")
    batch = pairs(50)
    assert (keys(batch) == PairKeys("v")(batch[::-1])[::-1]).all()
    content = b"\x01\x00\x00\x00v\x0c\x00\x00\x00Herring Gullprediction 0"
    digest = hashlib.blake2b(content, digest_size=16).digest()
    assert keys(batch[:1]).tobytes() == digest


def test_notes_that_cannot_be_written_are_not_lost_in_silence(path):
    cache = VerdictCache(path, IDENTITY, "run")
    for step in range(20):
        cache.note_lookup(step=step, hits=1, misses=0, failures=0, asked=0, judge_seconds=0.0)
    cache.flush()
    assert rows(path, "SELECT count(*), max(step) FROM lookups") == [(20, 19)]
    path.write_bytes(b"not a database, but long enough to be read as one" * 200)
    cache.note_lookup(step=20, hits=1, misses=0, failures=0, asked=0, judge_seconds=0.0)
    with pytest.raises(CacheError, match="cannot be opened"):
        cache.flush()
