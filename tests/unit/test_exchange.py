"""A store on each node: what jobs tell one another, and what one stage makes of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from speciarl.cache import VerdictCache, query_store
from speciarl.cache.exchange import own_store
from speciarl.verdicts import Judgment, Pair, Verdict
from tests.presets import ROOT

IDENTITY = {"backend": "llm", "model": "a judge"}
PAID = "data/verdicts/paid.parquet"
EXCHANGE = Path("data/verdicts/exchange")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "shared/data/verdicts").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "shared")
    return tmp_path


def on_node(node, run, verdicts, ends=None, only=None):
    """A job on a node; gives the predictions that its store knows of at the start."""
    given = {"file": f"../{node}/cache.duckdb", "paid": PAID, "exchange": str(EXCHANGE)}
    with own_store(given, run, f"judge-{run}", only) as store:
        cache = VerdictCache(store, IDENTITY, run)
        known = query_store(store, "SELECT prediction FROM store.verdicts ORDER BY 1")
        judged = {
            Pair("wren", said): Judgment(verdict, "llm", judge_reply="a reply")
            for said, verdict in verdicts
        }
        cache.put(judged)
        if ends:
            raise ends
    return known["prediction"].to_list()


def merge(node):
    """The stage that takes all together, on a node; gives what it printed."""
    given = {"file": f"../{node}/cache.duckdb", "paid": PAID, "exchange": str(EXCHANGE)}
    script = (ROOT / "workflow/scripts/export_paid_verdicts.py").read_text()
    snakemake = SimpleNamespace(
        log=["logs/merge.log"], output=[PAID], params=SimpleNamespace(store=given)
    )
    exec(compile(script, "export_paid_verdicts.py", "exec"), {"snakemake": snakemake})
    return Path("logs/merge.log").read_text()


def exported():
    return sorted(path.name for path in EXCHANGE.iterdir()) if EXCHANGE.exists() else []


def test_a_job_knows_what_jobs_of_other_nodes_have_been_told(project):
    assert on_node("one", "rft", [("a bird", Verdict.GENERIC)]) == []
    assert on_node("two", "sft", [("a wren", Verdict.SPECIFIC)]) == ["a bird"]
    assert on_node("three", "sft", []) == ["a bird", "a wren"]


def test_several_stores_become_one_and_what_is_in_conflict_is_reported(project):
    on_node("one", "rft", [("a bird", Verdict.GENERIC), ("a wren", Verdict.SPECIFIC)])
    # of a job that began before the other had ended
    later = (EXCHANGE / "judge-rft.parquet").rename("later")
    on_node("two", "sft", [("a bird", Verdict.WRONG), ("a robin", Verdict.WRONG)])
    later.rename(EXCHANGE / "judge-rft.parquet")
    assert exported() == ["judge-rft.parquet", "judge-sft.parquet"]

    said = merge("login")
    assert "2 verdicts in: 1 added, 0 already there, 1 in conflict" in said
    assert "'prediction': 'a bird', 'kept': 'generic', 'refused': 'wrong'" in said
    assert "3 verdicts of language models" in said
    merged = pl.read_parquet(PAID)
    assert dict(merged.select("prediction", pl.col("verdict").cast(pl.String)).rows()) == {
        "a bird": "generic", "a robin": "wrong", "a wren": "specific",
    }  # fmt: skip
    assert merged["judge_reply"].to_list() == ["a reply"] * 3
    assert exported() == [], "what is merged begins every store from now on"
    assert on_node("four", "sft", []) == ["a bird", "a robin", "a wren"]


def test_merging_on_another_node_loses_nothing_that_was_merged_before(project):
    on_node("one", "rft", [("a bird", Verdict.GENERIC)])
    VerdictCache(project / "other/cache.duckdb", IDENTITY, "old")  # from before
    merge("login")
    on_node("two", "sft", [("a wren", Verdict.SPECIFIC)])
    assert "2 verdicts of language models" in merge("other")


def test_what_a_job_has_paid_for_outlasts_its_failure(project):
    with pytest.raises(ValueError):
        on_node("one", "rft", [("a bird", Verdict.GENERIC)], ends=ValueError())
    assert on_node("two", "rft", []) == ["a bird"]


def test_a_cancelled_job_still_exports(project):
    """scancel sends SIGTERM and waits before it kills."""
    job = (
        "import sys, time\n"
        "from speciarl.cache.exchange import own_store\n"
        "from speciarl.cache import VerdictCache\n"
        "from speciarl.verdicts import Judgment, Pair, Verdict\n"
        "given = {'file': '../one/cache.duckdb', 'paid': 'none', "
        "'exchange': 'data/verdicts/exchange'}\n"
        "from speciarl.stage import stage\n"
        "with stage('logs/judge/rft.log'), own_store(given, 'rft', 'judge-rft') as store:\n"
        "    cache = VerdictCache(store, {'backend': 'llm', 'model': 'a judge'}, 'rft')\n"
        "    cache.put({Pair('wren', 'a bird'): Judgment(Verdict.GENERIC, 'llm')})\n"
        "    print('stored', file=sys.__stdout__, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", job], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == "stored\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert exported() == ["judge-rft.parquet"]


def test_a_shared_store_exchanges_nothing(project):
    with own_store(
        {"file": "data/verdicts/cache.duckdb", "paid": PAID}, "rft", "judge-rft"
    ) as store:
        VerdictCache(store, IDENTITY, "rft").put(
            {Pair("wren", "a bird"): Judgment(Verdict.GENERIC, "llm")}
        )
    assert exported() == [] and store.is_file()


def test_only_what_was_paid_for_is_exported_where_the_rest_is_in_the_snapshot(project):
    on_node("one", "rft", [("a bird", Verdict.GENERIC)], only=("local",))
    assert exported() == []
