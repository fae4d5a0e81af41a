"""Questions in SQL: what they may reach, how long they may take, and what they print."""

import hashlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest

from speciarl.cache import VerdictCache
from speciarl.cache.queries import asked, predictions
from speciarl.cache.reading import ask, ask_for_text, copied, query_store
from speciarl.cache.transfer import PAID, export_paid
from speciarl.errors import CacheError, DataError
from speciarl.files import write_parquet
from speciarl.verdicts import LABELS, Judgment, Pair, Verdict
from speciarl.verifiers.cached import snapshot_of, verdict_table

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
DEAF = "SELECT levenshtein(repeat('x', 100000), repeat('y', 100000))"  # no interruption reaches it
SCRIPT = "from speciarl.cli.main import main; main()"


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "cache.duckdb"
    cache = VerdictCache(path, {"verifier": "t"}, "r")
    cache.put({Pair("Samoyed", v.value): Judgment(v, "t") for v in reversed(Verdict)})
    return path


@pytest.fixture
def results(store):
    """Folders of judged files and manifests beside the store; one unparsable, one failed."""
    said = [*LABELS, None, "down"]
    ids = [f"dogs/test/{i}" for i in range(len(said))]
    rows = pl.DataFrame(
        {
            "sample_id": ids,
            "dataset": "dogs",
            "class_name": "Samoyed",
            "seed": 42,
            "rollout": 0,
            "normalized": said,
            "verdict": pl.Series([*LABELS, None, None], dtype=pl.Enum(LABELS)),
            "decided_by": ["t"] * 6 + ["unparsable", "failed"],
            "verifier": VerdictCache(store, {"verifier": "t"}, "r").verifier,
            "several_tagged": False,
        }
    )
    for file, table in {
        "judged/zero_shot/42/dogs": rows,
        "judged/.half.part/42/dogs": rows,
        "manifests/dogs": rows.select(
            "sample_id", "dataset", image=pl.lit("raw/") + pl.col("sample_id")
        ),
    }.items():
        path = store.parent / f"{file}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)
    return store.with_name("judged"), store.with_name("manifests")


def contents(folder):
    """Hash of every file below."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_levels_are_numbers_and_the_ladder_is_in_order(store):
    rows = query_store(store, "SELECT verdict, level, correct FROM verdicts ORDER BY verdict")
    assert rows.rows() == [(label, step, step >= 2) for step, label in enumerate(LABELS)]


def test_a_prediction_without_a_verdict_is_wrong_or_unknown(store, results):
    with predictions(store, *results) as db:
        rows = ask(db, "SELECT verdict, level, correct, image, run FROM predictions ORDER BY image")
        assert rows["correct"].to_list() == [False, False, True, True, True, True, False, None]
        assert rows["level"].to_list() == [0, 1, 2, 3, 4, 5, None, None]
        assert rows["image"][7] == "raw/dogs/test/7" and set(rows["run"]) == {"zero_shot"}


@pytest.mark.parametrize(
    "condition",
    ["class = 'SAMOYED'", "class IN ('samoyed')", "class = (SELECT upper('samoyed'))"],
)
@pytest.mark.parametrize("table", ["verdicts", "predictions"])
def test_a_class_is_found_whatever_its_case(store, results, table, condition):
    with predictions(store, *results) as db:
        found = ask(db, f"SELECT count(*) FROM {table} WHERE {condition}").item()
        assert found == ask(db, f"SELECT count(*) FROM {table}").item() > 0
        assert ask(db, f"FROM {table} WHERE class COLLATE C = 'samoyed'").is_empty()


ATTACKS = [
    "ROLLBACK; USE memory; DETACH store; ATTACH '{store}' AS store; USE store; "
    "DELETE FROM verdicts; SELECT 1",
    "SELECT 1; SELECT 2",
    "DELETE FROM store.verdicts",
    "DROP VIEW verdicts",
    "CREATE VIEW v AS SELECT 1",
    "CREATE OR REPLACE VIEW verdicts AS SELECT 1",
    "UPDATE store.lookups SET run = ''",
    "COPY (SELECT 1) TO '{folder}/x.csv'",
    "COPY store.verdicts FROM '{folder}/x.csv'",
    "EXPORT DATABASE '{folder}/x'",
    "IMPORT DATABASE '{folder}/x'",
    "ATTACH '{store}' AS other",
    "DETACH store",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "CALL enable_logging()",
    "CHECKPOINT store",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE p AS SELECT 1",
    "BEGIN",
    "",
    "-- SELECT 1",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('{store}')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_json('{folder}/x.json')",
    "SELECT * FROM glob('/etc/*')",
    "FROM '{judged}/zero_shot/42/dogs.parquet'",
    "FROM read_parquet('{judged}/*/*/*.parquet')",
    "FROM parquet_metadata('{judged}/zero_shot/42/dogs.parquet')",
    "FROM read_duckdb('{store}', table_name = 'verdicts')",
    "FROM sniff_csv('/etc/passwd')",
    "FROM 'https://127.0.0.1:9/x.parquet'",
    "FROM query('DELETE FROM store.verdicts')",
    "FROM query('SELECT 1; SELECT 2')",
    "FROM batches",  # a variable of ours
    "SELECT nextval('store.stored')",
    "FROM enable_logging()",
    "WITH d AS (DELETE FROM store.verdicts RETURNING *) SELECT * FROM d",
    "WITH d AS (INSERT INTO store.verifiers VALUES ('x', '{{}}') RETURNING *) SELECT * FROM d",
    "WITH c AS (COPY (SELECT 1) TO '{judged}/zero_shot/42/dogs.parquet') SELECT 1",
    "WITH c AS (COPY (SELECT 1) TO '{folder}/x.csv') SELECT 1",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("whole", [True, False], ids=["sql", "verdicts sql"])
def test_what_is_no_question_is_refused_and_changes_nothing(store, results, attack, whole):
    folder = store.parent
    query = attack.format(store=store, folder=folder, judged=results[0])
    before = contents(folder)
    opening = predictions(store, *results) if whole else copied(store)
    with opening as db, pytest.raises(CacheError) as refused:
        list(ask_for_text(db, query, 20))
    assert "\n" not in str(refused.value)
    assert contents(folder) == before


def test_a_file_with_a_known_name_cannot_be_written_through(store, results):
    """Even the copies, which are in reach, are no way to the files they were made of."""
    before = contents(store.parent)
    with predictions(store, *results) as db:
        ((place,),) = ask(db, "SELECT path FROM duckdb_databases() WHERE path != ''").rows()
        copy = Path(place).with_name("judged") / "zero_shot/42/dogs.parquet"
        query = f"WITH c AS (COPY (SELECT 1) TO '{copy}') SELECT 1"
        ask(db, query)
    assert contents(store.parent) == before and not copy.exists()


@pytest.mark.parametrize("query", [ENDLESS, DEAF, "FROM range(100000000000)"])
def test_a_query_is_stopped_at_its_limit(store, query):
    with copied(store) as db, pytest.raises(CacheError, match=r"stopped after 0\.5 s"):
        for _ in ask_for_text(db, query, 0.5):
            pass


def test_what_is_done_with_the_rows_does_not_count_for_the_limit(store):
    with copied(store) as db:
        batches = ask_for_text(db, "FROM range(50000)", 2)
        heights = []
        for batch in batches:
            time.sleep(0.5)
            heights.append(batch.height)
    assert sum(heights) == 50_000 and max(heights) < 50_000


@pytest.mark.parametrize(
    "query",
    [
        "SELECT (CASE i WHEN 50000 THEN 'x' ELSE '1' END)::INT AS n FROM range(100000) t(i)",
        "SELECT error('too late') FROM range(100000) t(i) WHERE i > 50000",
        "SELECT nothing FROM verdicts",
        "SELEC",
    ],
)
def test_whatever_fails_is_one_line(store, query):
    with copied(store) as db, pytest.raises(CacheError) as refused:
        list(ask_for_text(db, query, 60))
    assert "\n" not in str(refused.value) and "LINE" not in str(refused.value)


def started(*arguments, **streams):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)], **streams)


def _asks(pid):
    """Whether the process has its copy of the store open, and not the store."""
    files = " ".join(file.path for file in psutil.Process(pid).open_files())
    return re.search(r"speciarl-\S*/store\.duckdb", files) and ".lock" not in files


@pytest.mark.parametrize("query", [ENDLESS, DEAF])
def test_ctrl_c_ends_it_and_a_writer_does_not_wait(store, query):
    asking = started(
        "verdicts", "sql", query, "--store", store, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not _asks(asking.pid):
        time.sleep(0.02)
    assert _asks(asking.pid)
    cache = VerdictCache(store, {"verifier": "t"}, "meanwhile", 0.0)
    assert cache.put({Pair("Samoyed", "new"): Judgment(Verdict.WRONG, "t")}) == 1
    asking.send_signal(signal.SIGINT)
    out, line = asking.communicate(timeout=30)
    assert (asking.returncode, out, line) == (130, b"", b"interrupted\n")


@pytest.mark.parametrize("query", [ENDLESS, DEAF])
def test_a_time_limit_is_one_line(store, query):
    asking = started(
        *("verdicts", "sql", query, "--store", store, "--timeout", "0.2"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, line = asking.communicate(timeout=60)
    assert (asking.returncode, out, line.count(b"\n")) == (1, b"", 1)
    assert line.startswith(b"error: the query was stopped after 0.2 s")


def test_a_terminal_is_sent_no_control_characters(store):
    ours, theirs = pty.openpty()
    query = "SELECT chr(27) || '[31mred' || chr(10) AS said, 'x\\xAA'::BLOB AS bytes, NULL AS n"
    asking = started("verdicts", "sql", query, "--store", store, stdout=theirs)
    assert asking.wait(60) == 0
    os.close(theirs)
    printed = os.read(ours, 10_000)
    os.close(ours)
    assert b"\x1b" not in printed and b"\\x1b[31mred\\n" in printed
    assert printed.count(b"\r\n") == 2


def test_what_a_spreadsheet_would_take_for_a_formula_begins_with_an_apostrophe(store):
    query = (
        "SELECT '=1+1' AS said, -0.5 AS n, -1e-9::DOUBLE AS e, '-' AS dash, DATE '2026-01-01' AS d"
    )
    asking = started("verdicts", "sql", query, "--store", store, stdout=subprocess.PIPE)
    out = asking.communicate(timeout=60)[0]
    assert out == b"said,n,e,dash,d\n'=1+1,-0.5,-1e-09,'-,2026-01-01\n"


def test_a_snapshot_holds_what_a_killed_writer_left_in_its_log(store):
    script = (
        "import duckdb, os, sys; db = duckdb.connect(sys.argv[1]); "
        "db.execute(\"INSERT INTO verifiers VALUES ('late', '{}')\"); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(store)])
    assert store.with_name("cache.duckdb.wal").exists()
    found = query_store(store, "SELECT verifier FROM verifiers WHERE verifier = 'late'")
    assert found.rows() == [("late",)]


def test_in_a_clone_what_a_store_would_begin_with_is_asked(store, results, tmp_path):
    """A pair of two snapshots, or of a snapshot and of the paid verdicts, is there once."""
    cache = VerdictCache(store, {"verifier": "t"}, "r")
    paid = {Pair("Samoyed", "husky"): Judgment(Verdict.WRONG, "llm", judge_reply="no")}
    cache.put(paid)
    export_paid(store, store.with_name(PAID))
    known = [Pair("Samoyed", label) for label in LABELS]
    for name, pairs in {"dogs": [*known, *paid], "cats": known[:2]}.items():
        judged = dict(zip(pairs, cache.get(pairs), strict=True))
        snapshot = snapshot_of(verdict_table(judged), cache)
        write_parquet(snapshot, store.parent / f"precomputed/{name}.parquet")
    store.unlink()
    with predictions(store, *results) as db:
        assert ask(db, "SELECT count(*), count(verdict) FROM predictions").row(0) == (8, 6)
    with asked(store) as db:
        counts = "SELECT run, count(*), count(judge_reply) FROM verdicts GROUP BY 1 ORDER BY 1"
        assert ask(db, counts).rows() == [("r", 1, 1), ("snapshot", 6, 0)]
    assert not store.exists()
    (store.parent / "precomputed/cats.parquet").write_bytes(b"PAR1 not a table PAR1")
    with pytest.raises(DataError, match=r"cats\.parquet cannot be read") as refused, asked(store):
        raise AssertionError("nothing was refused")
    assert "\n" not in str(refused.value)


def test_what_is_missing_or_old_is_one_line(store, results):
    judged, manifests = results

    def line(judged):
        with pytest.raises(DataError) as refused, predictions(store, judged, manifests):
            raise AssertionError("nothing was refused")
        return str(refused.value)

    assert re.search(r"nowhere has no \*/\*/\*\.parquet yet.*snakemake", line(store / "nowhere"))
    file = judged / "zero_shot/42/dogs.parquet"
    pl.read_parquet(file).drop("normalized").write_parquet(file)
    assert re.search("normalized.*make them anew", line(judged))
    file.write_bytes(b"PAR1 not a table PAR1")
    assert "make them anew" in line(judged) and "\n" not in line(judged)


def test_no_room_for_a_copy_is_one_line(store):
    script = (
        "import resource, sys; from speciarl.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**12, 2**12)); main()"
    )
    command = [sys.executable, "-c", script, "verdicts", "sql", "SELECT 1", "--store", store]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert re.match(r"error: .*cannot be copied.*TMPDIR.*\n$", done.stderr)


def test_no_copy_is_left(store, results, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    with predictions(store, *results) as db:
        assert len(list((tmp_path / "copies").iterdir())) == 1
        with pytest.raises(CacheError):
            ask(db, ENDLESS, 0.2)
    assert list((tmp_path / "copies").iterdir()) == []


README = Path(__file__).parents[2] / "README.md"


def test_the_commands_of_the_readme_print_rows(store, results):
    """In a folder that looks like the project's."""
    root = store.parent / "project"
    for source, place in zip(
        (store, *results), ("data/verdicts/cache.duckdb", "results/verdicts", "data/manifests"),
        strict=True,
    ):  # fmt: skip
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        source.rename(root / place)
    commands = re.findall(
        r"^(?:speciarl predictions sql|python -c) .*$", README.read_text(), re.MULTILINE
    )
    assert len(commands) == 2
    binaries = Path(sys.executable).parent
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=root, capture_output=True, text=True,
            env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "generic" in done.stdout
