"""LLM inclusion: what a language model says of class and prediction, asked once and kept."""

import pytest

from speciarl.config import Measures, parse
from speciarl.config.reading import read
from speciarl.errors import ConfigError, VerifierError
from speciarl.evaluation.inclusion import inclusion_by
from speciarl.paths import PROJECT
from speciarl.verdicts import Pair
from tests.fake_judge import Reply, says, serving

MODEL = {"kind": "server", "name": "small", "revision": "1"}
SAID = {"a herring gull": "1", "gull": "0", "eagle": "maybe", "x": None}
PAIRS = [Pair("Herring Gull", said) for said in SAID]


def reply(request):
    said = SAID[request.pair["prediction"]]
    return Reply(500) if said is None else says(said)


def asked(server, tmp_path, **settings):
    settings = {"max_failures": 0.5, **settings}
    measures = Measures(model=MODEL, server={"base_url": server.url, "retries": 0}, **settings)
    store = {"file": str(tmp_path / "cache.duckdb"), "paid": str(tmp_path / "none.parquet")}
    return inclusion_by(measures, store)(PAIRS)


def test_one_is_included_nought_is_not_and_anything_else_is_a_failure(tmp_path):
    with serving(reply) as server:
        assert list(asked(server, tmp_path).values()) == [True, False, None, None]
    assert len(server.requests) == 4
    body = server.requests[0].body
    assert body["structured_outputs"] == {"choice": ["0", "1"]}
    assert body["model"] == "small" and body["temperature"] == 0


def test_what_was_said_is_kept_and_what_failed_is_asked_again(tmp_path):
    with serving(reply) as server:
        first = asked(server, tmp_path)
        assert asked(server, tmp_path) == first
    again = [request.pair["prediction"] for request in server.requests[4:]]
    assert sorted(again) == ["eagle", "x"]


def test_more_failures_than_are_allowed_are_one_line(tmp_path):
    with serving(reply) as server, pytest.raises(VerifierError, match=r"2 of 4 .* have no verdict"):
        asked(server, tmp_path, max_failures=0.4)


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ({"model": MODEL}, "measures: server goes with a model of kind: server"),
        ({"model": MODEL | {"prompt": "base"}, "server": {"base_url": "http://h/v1"}},
         "measures.model.server.prompt|measures.model.prompt"),
        ({"model": MODEL | {"kind": "other"}}, "measures.model"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_asked_is_named(measures, said):
    values = read(PROJECT / "params.yaml")
    with pytest.raises(ConfigError, match=said):
        parse(values | {"measures": measures})
