"""The rewards against written-out groups (arXiv 2603.03197 and the authors' settings)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.errors import ConfigError
from speciarl.rewards import (
    REWARDS,
    STATIC_REWARDS,
    UNPARSABLE,
    Noise,
    dynamic_rewards,
    static_rewards,
)
from speciarl.verdicts import Verdict

W, A, G, L, S, M = Verdict
N = None  # an output without a parsable prediction

# group, rewards in mode "all", rewards in mode "single"
DYNAMIC = {
    "all six levels": ([W, A, G, L, S, M], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 0]),
    "specific and more specific tie": ([M, S, M], [1, 1, 1], [1, 0, 0]),
    "best specific": ([S, L, G, A, W], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]),
    "best more specific, no specific": ([L, M, L], [0, 1, 0], [0, 1, 0]),
    "best less specific": ([G, L, W, L], [0, 1, 0, 1], [0, 1, 0, 0]),
    "best generic": ([W, G, A, G], [0, 1, 0, 1], [0, 1, 0, 0]),
    "best abstain": ([W, A, A, W], [0, 1, 1, 0], [0, 1, 0, 0]),
    "all wrong": ([W, W, W], [0, 0, 0], [0, 0, 0]),
    "all generic tie": ([G, G], [1, 1], [1, 0]),
    "one alone, right": ([L], [1], [1]),
    "one alone, wrong": ([W], [0], [0]),
    "unparsable takes no part": ([N, G, W, N], [-1, 1, 0, -1], [-1, 1, 0, -1]),
    "unparsable before the single one": ([N, S, S], [-1, 1, 1], [-1, 1, 0]),
    "unparsable among wrong": ([W, N], [0, -1], [0, -1]),
    "all unparsable": ([N, N], [-1, -1], [-1, -1]),
    "empty": ([], [], []),
}

# more specific, specific, less specific, generic, abstain, wrong
STATIC = {
    "binary": [1, 1, 0, 0, 0, 0],
    "graded-1": [1, 1, 0.75, 0.5, 0.25, 0],
    "graded-2": [1, 1, 0.75, 0.5, 0, 0],
    "graded-3": [1, 1, 0.75, 0, 0, 0],
}


@pytest.mark.parametrize("name", DYNAMIC)
def test_dynamic(name):
    group, every, single = DYNAMIC[name]
    assert dynamic_rewards(group) == every
    assert dynamic_rewards(group, mode="all") == every
    assert dynamic_rewards(group, mode="single") == single


def test_dynamic_refuses_another_mode():
    with pytest.raises(ConfigError, match="'some'"):
        dynamic_rewards([S], mode="some")


@pytest.mark.parametrize("name", STATIC)
def test_static(name):
    assert static_rewards([M, S, L, G, A, W], STATIC_REWARDS[name]) == STATIC[name]
    assert REWARDS[name]([M, S, L, G, A, W, N]) == [*STATIC[name], UNPARSABLE]


def test_the_named_rewards_are_the_functions():
    assert REWARDS["dynamic"]([S, S]) == [1, 1]
    assert REWARDS["dynamic-single"]([S, S]) == [1, 0]


groups = st.lists(st.one_of(st.none(), st.sampled_from(Verdict)), max_size=12)


@given(groups)
def test_dynamic_pays_the_best_and_never_a_wrong_one(group):
    rewards = dynamic_rewards(group)
    assert len(rewards) == len(group)
    for verdict, reward in zip(group, rewards, strict=True):
        assert (reward == UNPARSABLE) == (verdict is None)
        assert not (verdict is W and reward)
    best = max((v for v in group if v is not None), default=W)
    assert (max(rewards, default=0) == 1) == (best is not W)


@given(groups)
def test_single_pays_at_most_one_and_only_where_all_pays(group):
    every, single = dynamic_rewards(group), dynamic_rewards(group, "single")
    assert single.count(1) == min(1, every.count(1))
    assert all(a == 1 for a, s in zip(every, single, strict=True) if s == 1)


@given(groups, st.randoms())
def test_dynamic_does_not_depend_on_the_order(group, random):
    order = list(range(len(group)))
    random.shuffle(order)
    rewards = dynamic_rewards(group)
    assert dynamic_rewards([group[i] for i in order]) == [rewards[i] for i in order]


LADDER = [W, A, G, L, S]
some_verdicts = st.lists(st.sampled_from([W, A, G, L, S, M, N]), max_size=20)


@given(some_verdicts, st.integers(0, 2**31), st.integers(0, 10_000))
def test_noise_moves_every_verdict_one_level_where_its_share_is_all(verdicts, seed, row):
    disturbed = Noise(1.0, seed).disturb(row, verdicts)
    for before, after in zip(verdicts, disturbed, strict=True):
        if before is None:
            assert after is None
        else:
            level = LADDER.index(S if before is M else before)
            assert abs(LADDER.index(after) - level) == 1


@given(some_verdicts, st.integers(0, 2**31), st.integers(0, 10_000))
def test_no_noise_leaves_all_as_it_is_and_noise_is_the_same_again(verdicts, seed, row):
    assert Noise(0.0, seed).disturb(row, verdicts) == verdicts
    assert Noise(0.3, seed).disturb(row, verdicts) == Noise(0.3, seed).disturb(row, verdicts)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25])
def test_the_share_of_noise_is_that_of_the_verdicts_and_goes_both_ways(share):
    groups = [Noise(share, 42).disturb(row, [L] * 10) for row in range(2000)]
    moved = Counter(v for group in groups for v in group)
    assert (moved[G] + moved[S]) / 20_000 == pytest.approx(share, abs=0.01)
    assert moved[G] / (moved[G] + moved[S]) == pytest.approx(0.5, abs=0.05)
    other = [Noise(share, 43).disturb(row, [L] * 10) for row in range(2000)]
    assert sum(a != b for a, b in zip(groups, other, strict=True)) > 500


def test_noise_befalls_each_row_and_place_otherwise():
    rows = [tuple(Noise(0.5, 1).disturb(row, [L] * 8)) for row in range(50)]
    assert len(set(rows)) > 40
    assert len({row[0] for row in rows}) == len({row[1] for row in rows}) == 3
