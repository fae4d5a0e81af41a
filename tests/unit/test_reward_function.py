"""The reward bridge without TRL: grouping, failures, counts, the stop above a share of failures."""

from types import SimpleNamespace

import pytest

from speciarl.cache import VerdictCache, query_store
from speciarl.errors import VerifierError
from speciarl.rewards import REWARDS, Noise
from speciarl.training.reward_function import SpecificityReward, group_rewards
from speciarl.verdicts import Failure, FailureKind, Judgment, Pair, Verdict
from speciarl.verifiers.cached import CachedVerifier

DOWN = Failure(FailureKind.TIMED_OUT, "no reply in 1 s")
PREDICTIONS = {
    "herring gull": Verdict.SPECIFIC, "gull": Verdict.LESS_SPECIFIC, "none": Verdict.ABSTAIN,
}  # fmt: skip


class Counting:
    """Judges by table, fails on "down", and keeps what it was asked."""

    identity = {"verifier": "counting"}  # noqa: RUF012

    def __init__(self):
        self.asked = []

    def judge(self, pairs):
        self.asked += pairs
        for pair in pairs:
            verdict = Judgment(PREDICTIONS.get(pair.prediction, Verdict.WRONG), "table")
            yield pair, Judgment(None, failure=DOWN) if pair.prediction == "down" else verdict


def completions(*predictions):
    return [[{"role": "assistant", "content": f"<answer>{a}</answer>"}] for a in predictions]


@pytest.fixture
def bridge(tmp_path):
    verifier = Counting()
    cache = VerdictCache(tmp_path / "cache.duckdb", verifier.identity, "run")
    source = CachedVerifier(verifier, cache, {Pair("Herring Gull", "gull")})
    return SpecificityReward(source, REWARDS["dynamic"], max_failures=0.5)


def call(bridge, rows, *predictions, step=0):
    names = ["Herring Gull"] * len(predictions)
    state = SimpleNamespace(global_step=step)
    said = completions(*predictions)
    return bridge(said, row=rows, class_name=names, trainer_state=state, extra=1)


def test_each_row_is_a_group_wherever_its_rollouts_stand(bridge):
    rewards = call(bridge, [1, 2, 1, 2], "Herring Gull", "gull", "gull", "None")
    assert rewards == [1, 1, 0, 0]


def test_noise_is_in_the_rewards_and_nowhere_else(bridge):
    """It is that of the row, on whichever process and in whichever order its rollouts stand."""
    said = ["herring gull", "gull", "", "tern"] * 4
    rows = [row for row in (5, 6, 7, 8) for _ in range(4)]
    clean = call(bridge, rows, *said)
    bridge.noise = Noise(1.0, seed=3)
    noisy = call(bridge, rows, *said, step=1)
    assert noisy != clean
    assert [reward == -1 for reward in noisy] == [not text for text in said]
    half = call(bridge, rows[8:], *said[8:], step=2)
    assert half == noisy[8:]
    counts = [{k: row[k] for k in ("specific", "less_specific", "wrong")} for row in bridge.rows]
    assert counts[0] == counts[1] == {"specific": 4, "less_specific": 4, "wrong": 4}
    kept = query_store(
        bridge.source.cache.path, "SELECT prediction, verdict::VARCHAR v FROM verdicts"
    )
    assert dict(kept.rows())["herring gull"] == "specific"


def test_a_pair_is_asked_once_and_counted(bridge):
    call(bridge, [1] * 5, "gull", "Herring Gull", "HERRING GULL", "tern", "")
    asked = bridge.source.verifier.asked
    assert len(asked) == len(set(asked)) == 3
    (row,) = bridge.rows
    assert (row["hits"], row["misses"], row["unparsable"], row["failed"]) == (2, 2, 1, 0)
    assert (row["specific"], row["less_specific"], row["wrong"]) == (2, 1, 1)
    assert row["reward"] == pytest.approx((0 + 1 + 1 + 0 - 1) / 5)

    call(bridge, [2, 2], "tern", "gull", step=1)
    assert len(bridge.source.verifier.asked) == 3
    assert (bridge.rows[1]["hits"], bridge.rows[1]["misses"]) == (2, 0)


def test_a_failure_takes_its_whole_group_out_and_is_not_stored(bridge):
    rewards = call(bridge, [1, 1, 2, 2], "Herring Gull", "down", "gull", "None")
    assert rewards == [None, None, 1, 0]
    assert bridge.rows[0]["failed"] == 1
    assert bridge.source.cache.get([Pair("Herring Gull", "down")]) == [None]
    call(bridge, [3, 3], "down", "gull", step=1)
    assert [p.prediction for p in bridge.source.verifier.asked].count("down") == 2


def test_a_pair_without_a_verdict_is_a_miss_however_often_it_occurs(bridge):
    judgments, counts = bridge.source.judge([Pair("Herring Gull", "down")] * 10)
    assert list(judgments) == [Pair("Herring Gull", "down")]
    assert (counts.hits, counts.misses, counts.failures, counts.asked) == (0, 10, 10, 1)
    mixed = [Pair("Herring Gull", prediction) for prediction in ("down", "tern", "tern", "gull")]
    _, counts = bridge.source.judge(mixed)
    assert (counts.hits, counts.misses, counts.failures) == (2, 2, 1)


def test_too_many_failures_stop_the_run_and_keep_what_was_paid(bridge):
    with pytest.raises(VerifierError, match="2 of 3 predictions have no verdict"):
        call(bridge, [1, 1, 1], "down", "down", "Herring Gull")
    assert bridge.source.cache.get([Pair("Herring Gull", "herring gull")])[0] is not None


def test_every_lookup_is_noted_in_the_store(bridge):
    call(bridge, [1, 1], "gull", "tern")
    bridge.source.cache.flush()
    query = "SELECT run, step, hits, misses, asked FROM lookups"
    noted = query_store(bridge.source.cache.path, query).rows()
    assert noted == [("run", 0, 1, 1, 2)]


def test_what_was_answered_is_kept_by_step(bridge):
    call(bridge, [1] * 4, "gull", "GULL", "tern", "down")
    call(bridge, [2], "tern", step=1)
    assert sorted(bridge.predictions) == [
        (0, "Herring Gull", "down", None, 1),
        (0, "Herring Gull", "gull", "less specific", 2),
        (0, "Herring Gull", "tern", "wrong", 1),
        (1, "Herring Gull", "tern", "wrong", 1),
    ]


def test_unparsable_outputs_cost_but_do_not_lead():
    pairs = [None, Pair("c", "gull"), None]
    rewards = group_rewards(
        [7, 7, 7], pairs, {pairs[1]: Judgment(Verdict.GENERIC, "t")}, REWARDS["dynamic"]
    )
    assert rewards == [-1, 1, -1]


def test_a_resumed_run_counts_what_it_met_before_as_hits(bridge, tmp_path):
    call(bridge, [1, 1], "tern", "gull")
    source = bridge.source
    again = CachedVerifier(source.verifier, source.cache, {Pair("Herring Gull", "gull")})
    again.restore_seen(list(source.seen))
    _, counts = again.judge([Pair("Herring Gull", "tern")])
    assert (counts.hits, counts.misses) == (1, 0)
    assert again.seen == source.seen


@pytest.mark.parametrize("answer_tag", ["first", "last"])
def test_of_several_answers_one_counts_and_they_are_counted(bridge, answer_tag):
    bridge.answer_tag = answer_tag
    call(bridge, [1, 1], "Herring Gull</answer><answer>tern", "Herring Gull")
    (row,) = bridge.rows
    assert (row["several_tagged"], row["wrong"]) == (1, int(answer_tag == "last"))
