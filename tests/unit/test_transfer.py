"""Verdicts out of one store and into another, through the command line."""

import polars as pl
import pytest
from typer.testing import CliRunner

from speciarl.cache import VerdictCache, query_store
from speciarl.cache.transfer import PAID, export_paid, import_file, refill
from speciarl.cli.main import app
from speciarl.errors import CacheError
from speciarl.verdicts import LABELS, Judgment, Pair, Verdict

FIRST, SECOND = {"verifier": "first"}, {"verifier": "second", "prompt": "Größe?"}
BIRD, GULL = Pair("Herring Gull", "bird"), Pair("Herring Gull", "gull")


def judged(verdict, milliseconds=None):
    return Judgment(verdict, "judge", judge_reply=verdict.value, milliseconds=milliseconds)


def filled(path, run="run", identity=FIRST, **verdicts):
    cache = VerdictCache(path, identity, run)
    cache.put({Pair("Herring Gull", said): judged(v, 2.5) for said, v in verdicts.items()})
    return cache


def command(*arguments, store, code=0):
    done = CliRunner().invoke(app, ["verdicts", *map(str, arguments), "--store", str(store)])
    if done.exit_code != code:
        raise done.exception
    return done.output


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "a.duckdb"
    filled(path, bird=Verdict.GENERIC, gull=Verdict.LESS_SPECIFIC)
    filled(path, "other", SECOND, gull=Verdict.SPECIFIC)
    return path


def test_an_export_comes_back_whole_and_byte_for_byte(store, tmp_path):
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    assert "3 verdicts" in command("export", first, store=store)
    copy = tmp_path / "b.duckdb"
    counts = "3 verdicts in: 3 added, 0 already there, 0 in conflict"
    assert counts in command("import", first, store=copy)
    command("export", second, store=copy)
    assert first.read_bytes() == second.read_bytes()
    rows = pl.read_parquet(first)
    keys = ["verifier", "class", "prediction"]
    assert rows.equals(rows.sort(keys))
    assert rows.null_count().sum_horizontal().item() == 0
    assert VerdictCache(copy, SECOND, "r").get([GULL])[0].verdict is Verdict.SPECIFIC


@pytest.mark.parametrize("paid", [{}, {"gull": Verdict.LESS_SPECIFIC}])
def test_what_else_a_store_has_seen_is_no_part_of_an_export(paid, tmp_path):
    """Of judges without a verdict in it, whichever came first, and of what the facts decided."""
    written = set()
    for number, others in enumerate(([], [FIRST], [FIRST, SECOND], [SECOND, FIRST])):
        path = tmp_path / f"{number}/store.duckdb"
        path.parent.mkdir()
        for identity in others:
            filled(path, identity=identity, bird=Verdict.GENERIC)
        cache = VerdictCache(path, {"verifier": "third"}, "run")
        for said, verdict in paid.items():
            judgment = Judgment(verdict, "llm", judge_reply=verdict.value)
            cache.put({Pair("Herring Gull", said): judgment})
        cache.flush()
        into = path.with_name("paid.parquet")
        assert export_paid(path, into) == len(paid)
        pl.read_parquet(into).drop("created_at").write_parquet(into)
        written.add(into.read_bytes())
    assert len(written) == 1


def test_a_second_import_adds_nothing(store, tmp_path):
    command("export", tmp_path / "x.parquet", store=store)
    output = command("import", tmp_path / "x.parquet", store=store)
    assert "3 verdicts in: 0 added, 3 already there, 0 in conflict" in output


def test_a_merge_keeps_our_verdict_and_lists_the_other(store, tmp_path):
    other = tmp_path / "b.duckdb"
    filled(other, bird=Verdict.WRONG, gull=Verdict.LESS_SPECIFIC, tern=Verdict.WRONG)
    output = command("merge", other, store=store, code=1)
    assert "3 verdicts in: 1 added, 1 already there, 1 in conflict" in output
    (line,) = [line for line in output.splitlines() if "bird" in line]
    assert "generic" in line and "wrong" in line
    cache = VerdictCache(store, FIRST, "run")
    assert cache.get([BIRD])[0].verdict is Verdict.GENERIC
    assert cache.get([Pair("Herring Gull", "tern")])[0].verdict is Verdict.WRONG
    with pytest.raises(CacheError, match="the store itself"):
        command("merge", store, store=store, code=None)


def test_a_file_that_contradicts_itself_is_in_conflict(store, tmp_path):
    command("export", tmp_path / "x.parquet", store=store)
    rows = pl.read_parquet(tmp_path / "x.parquet").filter(prediction="bird")
    turned = rows.with_columns(verdict=pl.lit("abstain").cast(pl.Enum(LABELS)))
    pl.concat([rows, turned, rows]).write_parquet(tmp_path / "y.parquet")
    taken = import_file(tmp_path / "new.duckdb", tmp_path / "y.parquet")
    assert (taken.total, taken.added, taken.present) == (3, 1, 1)
    assert taken.conflicts.select("kept", "refused").rows() == [("generic", "abstain")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": pl.lit("good")}, "another ladder.*good"),
        ({"verdict": pl.col("verdict").cast(pl.String).cast(pl.Enum(LABELS[::-1]))}, "another"),
        ({"identity": pl.lit('{"verifier": "forged"}')}, "fingerprint"),
        ({"identity": pl.lit("no JSON")}, "fingerprint"),
        ({"identity": pl.lit(None, pl.String)}, "'identity' has rows without a value"),
        ({"verdict": pl.lit(None, pl.Enum(LABELS))}, "'verdict' has rows without a value"),
        ({"prediction": pl.lit(None, pl.String)}, "'prediction' has rows without a value"),
        ({"prediction": pl.lit(7)}, "'prediction' is Int32, expected String"),
        ({"milliseconds": pl.lit("long")}, "'milliseconds' is String"),
    ],
)
def test_what_is_foreign_is_refused(store, tmp_path, change, said):
    command("export", tmp_path / "x.parquet", store=store)
    rows = pl.read_parquet(tmp_path / "x.parquet").with_columns(**change)
    rows.write_parquet(tmp_path / "y.parquet")
    with pytest.raises(CacheError, match=said):
        import_file(store, tmp_path / "y.parquet")
    rows.drop("class").write_parquet(tmp_path / "y.parquet")
    with pytest.raises(CacheError, match="no column 'class'"):
        import_file(store, tmp_path / "y.parquet")
    (tmp_path / "y.parquet").write_bytes(b"no parquet")
    with pytest.raises(CacheError, match=r"y\.parquet"):
        import_file(store, tmp_path / "y.parquet")


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--run", "other"), 2),
        (("--class", "Herring Gull"), 0),
        (("--run", "run", "--class", "Tern"), 3),
        (("--all", "--yes"), 0),
    ],
)
def test_forgetting_says_how_many(store, options, left):
    assert f"{3 - left} verdicts forgotten" in command("forget", *options, store=store)
    assert query_store(store, "SELECT count(*) FROM verdicts").item() == left


@pytest.mark.parametrize("options", [(), ("--all",), ("--all", "--yes", "--run", "run")])
def test_forgetting_all_takes_two_words(store, options):
    with pytest.raises(CacheError, match="--all"):
        command("forget", *options, store=store, code=None)
    assert query_store(store, "SELECT count(*) FROM verdicts").item() == 3


def test_what_was_forgotten_can_be_stored_again(store):
    cache = VerdictCache(store, FIRST, "again")
    command("forget", "--verifier", cache.verifier, store=store)
    later = VerdictCache(store, FIRST, "later")
    assert later.get([BIRD, GULL]) == [None, None]
    assert later.put({BIRD: judged(Verdict.GENERIC)}) == 1
    cache.refresh()
    assert query_store(store, "SELECT count(*) FROM verdicts").item() == 2


def test_stats_count_by_verifier_label_and_run(store):
    cache = VerdictCache(store, FIRST, "run")
    spent = {"failures": 1, "asked": 5, "judge_seconds": 2.5}
    for hits in (1, 30):  # the step was begun twice
        cache.note_lookup(step=0, hits=hits, misses=10, **spent)
    cache.note_lookup(hits=0, misses=4, **spent)
    cache.flush()
    output = command("stats", store=store)
    evaluated, trained = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in output.splitlines()
        if "| True " in line or "| False " in line
    )
    assert evaluated == ["run", "False", "0", "4", "0", "0.000", "5", "1", "2.500"]
    assert trained == ["run", "True", "1", "40", "30", "0.750", "10", "2", "5.000"]
    second = next(line for line in output.splitlines() if "second" in line)
    assert [cell.strip() for cell in second.strip("|").split("|")][1:] == [
        "second", "1", "0", "0", "0", "0", "1", "0",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a.duckdb", "soft", "hard", "sub/../a.duckdb", "a.duckdb.lock"])
def test_no_export_or_merge_takes_the_store_for_another_file(store, tmp_path, monkeypatch, name):
    (tmp_path / "soft").symlink_to(store)
    (tmp_path / "hard").hardlink_to(store)
    (tmp_path / "sub").mkdir()
    before = store.read_bytes()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CacheError, match=r"the store itself.*name another"):
        command("export", name, store=store, code=None)
    if name != "a.duckdb.lock":
        with pytest.raises(CacheError, match="the store itself"):
            command("merge", name, store=store, code=None)
        with pytest.raises(CacheError, match="cannot be read as parquet"):
            command("import", name, store=store, code=None)
    assert store.read_bytes() == before


def test_a_corrupt_file_is_one_line_and_the_process_lives(store, tmp_path):
    """Polars' own reader aborts on some of them."""
    command("export", tmp_path / "x.parquet", store=store)
    whole = (tmp_path / "x.parquet").read_bytes()
    refused = 0
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        (tmp_path / "broken.parquet").write_bytes(broken)
        try:
            import_file(tmp_path / "into.duckdb", tmp_path / "broken.parquet")
        except CacheError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > len(whole) // 7 // 4


def test_a_new_store_begins_with_what_a_judge_was_paid_for(tmp_path):
    store, paid = tmp_path / "cache.duckdb", tmp_path / PAID
    cache = VerdictCache(store, FIRST, "run")
    said = Judgment(Verdict.GENERIC, "llm", judge_reply="generic")
    cache.put({BIRD: said, GULL: Judgment(Verdict.SPECIFIC, "taxonomy")})
    assert export_paid(store, paid) == 1
    before = paid.read_bytes()

    store.unlink()
    refill(store)
    again = VerdictCache(store, FIRST, "other")
    assert [one and one.verdict for one in again.get([BIRD, GULL])] == [Verdict.GENERIC, None]
    kept = query_store(store, "SELECT judge_reply, run FROM verdicts").rows()
    assert kept == [("generic", "run")]
    assert export_paid(store, paid) == 1
    assert paid.read_bytes() == before


def test_paid_verdicts_outlast_the_store_when_they_are_written_anew(tmp_path):
    store, paid = tmp_path / "cache.duckdb", tmp_path / PAID
    assert export_paid(store, paid) == 0  # neither a store nor anything paid
    VerdictCache(store, FIRST, "run").put({BIRD: Judgment(Verdict.GENERIC, "llm")})
    export_paid(store, paid)
    store.unlink()
    assert export_paid(store, paid) == 1


def test_a_store_that_exists_is_not_refilled(store, tmp_path):
    VerdictCache(tmp_path / "paying.duckdb", FIRST, "run").put(
        {Pair("Mew Gull", "bird"): Judgment(Verdict.GENERIC, "llm")}
    )
    export_paid(tmp_path / "paying.duckdb", tmp_path / PAID)
    refill(store)
    assert query_store(store, "SELECT count(*) FROM verdicts").item() == 3
