"""The reward bridge on a verifier that is a table: counts, the stop, and other processes."""

from types import SimpleNamespace

import pytest
from accelerate import utils as module

from speciarl.config import Grpo
from speciarl.errors import TrainingError, VerifierError
from speciarl.rewards import REWARDS
from speciarl.training.processes import ALONE, Processes
from speciarl.training.reward_function import (
    SpecificityReward,
    group_rewards,
    overlong_penalty,
)
from speciarl.verdicts import Failure, FailureKind, Judgment, Pair, Verdict
from speciarl.verifiers.cached import Lookups

TABLE = {
    "herring gull": Verdict.SPECIFIC,
    "gull": Verdict.LESS_SPECIFIC,
    "bird": Verdict.GENERIC,
    "none": Verdict.ABSTAIN,
    "smithsonian gull": Verdict.MORE_SPECIFIC,
}
DOWN = Judgment(None, failure=Failure(FailureKind.TIMED_OUT, "no reply in 1 s"))


class Source:
    """Judges by table and fails on "down"; counts every lookup as a miss, or raises."""

    def __init__(self, fault=None):
        self.fault = fault
        self.asked, self.noted = [], []
        self.cache = SimpleNamespace(note_lookup=lambda **counts: self.noted.append(counts))

    def judge(self, pairs):
        if self.fault:
            raise self.fault
        self.asked.append(list(pairs))
        judged = {
            pair: DOWN
            if pair.prediction == "down"
            else Judgment(TABLE.get(pair.prediction, Verdict.WRONG), "table")
            for pair in pairs
        }
        failures = sum(judged[pair] is DOWN for pair in pairs)
        return judged, Lookups(
            hits=1, misses=len(pairs) - 1, asked=2, failures=failures, judge_seconds=0.25
        )


def bridge_on(source=None, max_failures=0.5, **more):
    return SpecificityReward(source or Source(), REWARDS["dynamic"], max_failures, **more)


def call(bridge, rows, *texts, step=0, names=None, **more):
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    names = names or ["Herring Gull"] * len(texts)
    state = SimpleNamespace(global_step=step)
    return bridge(completions, row=rows, class_name=names, trainer_state=state, **more)


def tagged(*predictions):
    return [f"<think>hm</think> <answer>{prediction}</answer>" for prediction in predictions]


def test_rewards_are_of_the_disturbed_verdicts_and_counts_of_the_given_ones():
    class NoName:
        def disturb(self, row, verdicts):
            assert row == 3
            return [Verdict.WRONG if one is Verdict.SPECIFIC else one for one in verdicts]

    bridge = bridge_on(noise=NoName())
    assert call(bridge, [3, 3], *tagged("Herring Gull", "gull")) == [0, 1]
    assert bridge.rows[0]["specific"] == bridge.rows[0]["less_specific"] == 1


def test_the_judge_is_handed_predictions_as_they_were_written():
    source = Source()
    call(bridge_on(source), [3, 3], *tagged("**Herring Gull**", "none"))
    ((first, second),) = source.asked
    assert (first.prediction, first.written) == ("herring gull", "Herring Gull")
    assert (second.prediction, second.written) == ("none", "none")


def test_one_row_of_counts_with_every_verdict_and_what_has_none():
    bridge = bridge_on()
    texts = [
        *tagged("Herring Gull", "gull", "bird", "None", "tern", "**GULL**", "Smithsonian gull"),
        "no tags", "<answer></answer>",
        "<answer>gull</answer> or <answer>tern</answer>",
    ]  # fmt: skip
    rewards = call(bridge, [5] * 10, *texts, step=40)
    assert rewards == [1, 0, 0, 0, 0, 0, 1, -1, -1, 0]
    assert bridge.rows == [
        {
            "step": 40, "reward": 0.0,
            "wrong": 1, "abstain": 1, "generic": 1, "less_specific": 3, "specific": 1,
            "more_specific": 1, "unparsable": 2, "several_tagged": 1, "failed": 0,
            "hits": 1, "misses": 7, "judge_seconds": 0.25,
            "refills": 0, "dropped_groups": 0, "equal_groups": 0, "failed_groups": 0,
        }
    ]  # fmt: skip
    assert bridge.source.asked == [
        [
            Pair("Herring Gull", prediction)
            for prediction in (
                "herring gull", "gull", "bird", "none", "tern", "gull", "smithsonian gull", "gull",
            )
        ]
    ]  # fmt: skip
    assert bridge.predictions[1] == (40, "Herring Gull", "gull", "less specific", 3)
    assert bridge.source.noted == [
        {"step": 40, "hits": 1, "misses": 7, "asked": 2, "failures": 0, "judge_seconds": 0.25}
    ]


def test_trl_is_told_the_shares_of_the_rollouts_and_the_lookups():
    told = {}
    texts = [*tagged("Herring Gull", "gull", "tern"), "no tags"]
    call(bridge_on(), [5] * 4, *texts, log_metric=told.__setitem__)
    shares = {"specific": 0.25, "less_specific": 0.25, "wrong": 0.25, "unparsable": 0.25}
    none = dict.fromkeys(("abstain", "generic", "more_specific", "failed"), 0.0)
    assert told == {
        **{f"share/{name}": share for name, share in (shares | none).items()},
        "hits": 1, "misses": 2, "judge_seconds": 0.25,
    }  # fmt: skip


def test_the_mean_reward_is_of_the_rewards_given():
    bridge = bridge_on()
    assert call(bridge, [1, 1, 2, 2, 2], *tagged("gull", "down", "gull", "tern", "gull")) == [
        None, None, 1, 0, 1,
    ]  # fmt: skip
    assert bridge.rows[0]["reward"] == 2 / 3
    nothing = bridge_on(max_failures=1.0)
    assert call(nothing, [1], *tagged("down")) == [None]
    assert nothing.rows[0]["reward"] is None and nothing.rows[0]["failed"] == 1


def test_what_is_drawn_again_counts_in_the_row_of_its_step():
    bridge = bridge_on()
    call(bridge, [1, 1], *tagged("gull", "down"), step=2)
    bridge.note_groups(refills=1, dropped_groups=3)
    call(bridge, [2, 2, 3, 3], *tagged("gull", "tern"), "no tags", *tagged("gull"), step=4)
    call(bridge, [8, 8], *tagged("gull", "bird"), step=4)
    bridge.note_groups(refills=1, dropped_groups=2, equal_groups=1, failed_groups=0)
    first, second = bridge.rows
    assert first["refills"] == 1 and first["reward"] is None
    assert second == {
        "step": 4, "reward": pytest.approx((1 + 0 - 1 + 1 + 1 + 0) / 6),
        "wrong": 1, "abstain": 0, "generic": 1, "less_specific": 3, "specific": 0,
        "more_specific": 0, "unparsable": 1, "several_tagged": 0, "failed": 0,
        "hits": 2, "misses": 3, "judge_seconds": 0.5,
        "refills": 1, "dropped_groups": 2, "equal_groups": 1, "failed_groups": 0,
    }  # fmt: skip
    said = ("Herring Gull", "gull", "less specific")
    assert [p for p in bridge.predictions if p[0] == 4 and p[2] == "gull"] == [
        (4, *said, 2), (4, *said, 1),
    ]  # fmt: skip


# tokens of a completion -> what DAPO's equation 13 takes off, with 4 of 10 tokens as buffer
PENALTIES = {1: 0, 5: 0, 6: 0, 7: -0.25, 8: -0.5, 9: -0.75, 10: -1}


def test_the_overlong_penalty_at_its_edges():
    settings = Grpo(max_new_tokens=10, overlong_buffer=4)
    penalty = overlong_penalty(settings)
    assert penalty([[0] * length for length in PENALTIES]) == list(PENALTIES.values())
    assert overlong_penalty(Grpo()) is None
    (authors,) = [overlong_penalty(Grpo(max_new_tokens=2048, overlong_buffer=512))]
    assert authors([[0] * n for n in (1536, 1537, 1792, 2048)]) == [0, -1 / 512, -0.5, -1]
    whole = overlong_penalty(Grpo(max_new_tokens=4, overlong_buffer=4))
    assert whole([[0], [0] * 4]) == [-0.25, -1]


def test_the_penalty_is_added_to_whatever_reward_there_is():
    penalty = overlong_penalty(Grpo(max_new_tokens=10, overlong_buffer=4))
    bridge = bridge_on(penalty=penalty)
    texts = [*tagged("gull", "tern"), "no tags", *tagged("gull", "down")]
    ids = [[0] * length for length in (8, 2, 10, 9, 9)]
    assert call(bridge, [1, 1, 1, 2, 2], *texts, completion_ids=ids) == [0.5, 0, -2, None, None]
    assert bridge.rows[0]["reward"] == -0.5
    with pytest.raises(ValueError, match="zip"):
        call(bridge, [1, 1], *tagged("gull", "tern"), completion_ids=[[0]])


def test_a_failure_is_seen_behind_an_unparsable_output():
    bridge = bridge_on()
    assert call(bridge, [1, 1, 1], "no tags", *tagged("down", "gull")) == [None] * 3


def test_the_class_of_each_rollout_is_its_own():
    bridge = bridge_on()
    call(bridge, [1, 2], *tagged("gull", "gull"), names=["Herring Gull", "Pug"])
    assert bridge.source.asked == [[Pair("Herring Gull", "gull"), Pair("Pug", "gull")]]


@pytest.mark.parametrize(("max_failures", "stops"), [(0.5, False), (0.49, True), (0.0, True)])
def test_a_run_stops_above_its_share_of_failures(max_failures, stops):
    bridge = bridge_on(max_failures=max_failures)
    if not stops:
        call(bridge, [1, 2], *tagged("down", "gull"))
        return
    with pytest.raises(VerifierError) as stopped:
        call(bridge, [1, 2], *tagged("down", "gull"))
    assert str(stopped.value) == (
        f"1 of 2 predictions have no verdict, more than max_failures {max_failures} "
        "(no reply in 1 s): "
        "see that the verifier can be reached, then start again, what was done so far is kept"
    )


def test_failures_are_counted_over_the_whole_run():
    bridge = bridge_on(max_failures=0.25)
    call(bridge, [1] * 6, *tagged(*["gull"] * 6))
    call(bridge, [2, 2], *tagged("down", "gull"), step=1)  # 1 of 8
    call(bridge, [3, 3, 3, 3], *tagged("down", "down", "gull", "gull"), step=2)  # 3 of 12
    with pytest.raises(VerifierError, match="5 of 14 predictions"):
        call(bridge, [4, 4], *tagged("down", "down"), step=3)


def test_nothing_to_judge_is_no_failure():
    bridge = bridge_on(max_failures=0.0)
    bridge.source.judge = lambda pairs: ({}, Lookups())
    assert call(bridge, [1, 1], "no tags", "none") == [-1, -1]
    assert bridge.predictions == [] and bridge.rows[0]["unparsable"] == 2


def test_it_has_the_name_that_logs_show_and_starts_empty():
    bridge = bridge_on()
    assert bridge.__name__ == "specificity"
    assert (bridge.processes, bridge.answer_tag) == (ALONE, "first")
    assert (bridge.rows, bridge.predictions) == ([], [])


@pytest.fixture
def gathered(monkeypatch):
    """As on the first of two processes: the other one has one more wrong rollout to add."""
    theirs = iter([[Pair("Pug", "tern")], [0.0], [1]])
    seen, sent = [], []

    def gather(values):
        seen.append(values)
        return [*values, *next(theirs)]

    monkeypatch.setattr(module, "gather_object", gather)
    monkeypatch.setattr(module, "broadcast_object_list", lambda values: sent.append(list(values)))
    return seen, sent


def test_the_first_process_asks_and_counts_for_all(gathered):
    seen, sent = gathered
    bridge = bridge_on(processes=Processes(0, 2))
    assert call(bridge, [1, 1], *tagged("gull", "tern")) == [1, 0]
    gull, tern = Pair("Herring Gull", "gull"), Pair("Herring Gull", "tern")
    assert seen == [[gull, tern], [1, 0], [0]]
    assert bridge.source.asked == [[gull, tern, Pair("Pug", "tern")]]
    (row,) = bridge.rows
    assert (row["wrong"], row["less_specific"], row["several_tagged"]) == (2, 1, 1)
    assert row["reward"] == pytest.approx(1 / 3)
    (judged, counts), fault = sent[0]
    assert fault is None
    assert set(judged) == {gull, tern, Pair("Pug", "tern")} and counts.misses == 2


def test_the_others_get_what_the_first_has_found(monkeypatch):
    pair = Pair("Herring Gull", "gull")
    found = {pair: Judgment(Verdict.LESS_SPECIFIC, "table")}

    def receive(values):
        assert values == [None, None]
        values[0] = (found, Lookups(misses=1))

    monkeypatch.setattr(module, "gather_object", list)
    monkeypatch.setattr(module, "broadcast_object_list", receive)
    other = SpecificityReward(None, REWARDS["dynamic"], 0.5, processes=Processes(1, 2))
    assert call(other, [1], *tagged("gull")) == [1]
    assert other.rows[0]["less_specific"] == other.rows[0]["misses"] == 1


FAULTS = {
    "ours": (VerifierError, "the judge is gone", VerifierError, "the judge is gone"),
    "any": (
        RuntimeError,
        "two\n  lines",
        TrainingError,
        "the first process failed (RuntimeError: two lines): see its traceback",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_raised_on_every_process(kind, monkeypatch):
    its_kind, said, raised, line = FAULTS[kind]
    fault, sent = its_kind(said), []
    monkeypatch.setattr(module, "gather_object", list)
    monkeypatch.setattr(module, "broadcast_object_list", lambda values: sent.append(values[1]))
    with pytest.raises(its_kind) as first:
        call(bridge_on(Source(fault), processes=Processes(0, 2)), [1], *tagged("gull"))
    assert first.value is fault

    def receive(values):
        values[1] = sent[0]

    monkeypatch.setattr(module, "broadcast_object_list", receive)
    other = SpecificityReward(None, REWARDS["dynamic"], 0.5, processes=Processes(1, 2))
    with pytest.raises(raised) as theirs:
        call(other, [1], *tagged("gull"))
    assert type(theirs.value) is raised and str(theirs.value) == line


def test_rewards_follow_rows_and_not_places():
    predictions = ["gull", "herring gull", None, "bird", "down"]
    pairs = [prediction and Pair("c", prediction) for prediction in predictions]
    judged = {
        p: DOWN if p.prediction == "down" else Judgment(TABLE[p.prediction]) for p in pairs if p
    }
    rewards = group_rewards([2, 1, 1, 2, 3], pairs, judged, REWARDS["graded-1"])
    assert rewards == [0.75, 1, -1, 0.5, None]


def test_a_process_alone_asks_no_other(monkeypatch):
    def refuse(values):
        raise AssertionError("there is no other process")

    monkeypatch.setattr(module, "gather_object", refuse)
    monkeypatch.setattr(module, "broadcast_object_list", refuse)
    assert call(bridge_on(), [1], *tagged("gull")) == [1]


def test_lists_of_other_lengths_are_refused_and_not_cut():
    pairs = [Pair("c", "gull")] * 2
    judged = {pairs[0]: Judgment(Verdict.GENERIC)}
    for too_few_or_many in ([1.0], [1.0] * 3):
        with pytest.raises(ValueError, match="zip"):
            group_rewards([1, 1], pairs, judged, lambda verdicts, r=too_few_or_many: r)
    with pytest.raises(ValueError, match="zip"):
        call(bridge_on(), [1, 1], *tagged("gull", "tern"), names=["Herring Gull"])
    bridge = bridge_on()
    bridge.source.judge = lambda pairs: ({pairs[0]: Judgment(Verdict.GENERIC)}, Lookups())
    with pytest.raises(KeyError, match="tern"):
        call(bridge, [1, 1], *tagged("gull", "tern"))


def test_what_was_said_is_kept_over_the_steps():
    bridge = bridge_on()
    call(bridge, [1], *tagged("gull"))
    call(bridge, [2, 2], *tagged("gull", "down"), step=1)
    assert bridge.predictions == [
        (0, "Herring Gull", "gull", "less specific", 1),
        (1, "Herring Gull", "gull", "less specific", 1),
        (1, "Herring Gull", "down", None, 1),
    ]


@pytest.mark.parametrize(("answer_tag", "said"), [("first", "gull"), ("last", "tern")])
def test_of_several_tagged_answers_the_chosen_one_counts(answer_tag, said):
    bridge = bridge_on(answer_tag=answer_tag)
    call(bridge, [1], "<answer>gull</answer> <answer>tern</answer>")
    assert bridge.source.asked == [[Pair("Herring Gull", said)]]
