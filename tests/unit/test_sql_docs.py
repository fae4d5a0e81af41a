"""The queries of docs/sql.md, each run on a small store in which it has something to find."""

import re
from pathlib import Path

import pytest

from speciarl.cache import VerdictCache, query_store
from speciarl.verdicts import Verdict
from speciarl.verifiers.base import Judgement, Pair

PAGE = Path(__file__).parents[2] / "docs/sql.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "cache.duckdb"
    known = VerdictCache(path, {"verifier": "cascade"}, "precompute")
    judge = VerdictCache(path, {"verifier": "llm", "model": "judge"}, "speciarl")
    dog, other, odd = (Pair("Samoyed", answer) for answer in ("dog", "samoyed", "snowball"))
    known.put(
        {
            dog: Judgement(Verdict.GENERIC, "taxonomy"),
            other: Judgement(Verdict.SPECIFIC, "taxonomy"),
            odd: Judgement(Verdict.WRONG, "undecided"),
        }
    )
    judge.put(
        {
            dog: Judgement(
                Verdict.LESS_SPECIFIC, "llm", raw_answer="less specific", milliseconds=9
            ),
            other: Judgement(Verdict.SPECIFIC, "llm", raw_answer="specific", milliseconds=12.5),
        }
    )
    judge.note_lookup(step=3, hits=8, misses=2, failures=0, asked=2, judge_seconds=0.5)
    judge.flush()
    return path


def test_the_page_has_a_dozen_queries():
    assert len(QUERIES) >= 12 and len(set(QUERIES)) == len(QUERIES)


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_finds_something(store, query):
    assert query_store(store, query).height > 0
