"""Rewards: one group's verdicts in, one number per rollout out.

A group is all rollouts of one image. `None` stands for an output without a parsable prediction:
it takes no part in the group's best and costs `UNPARSABLE` under every reward, as in the
authors' code. A verdict that the verifier failed to give is not a value here; see
`speciarl.training.reward_function`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Literal

from speciarl.errors import ConfigError
from speciarl.verdicts import Verdict

UNPARSABLE = -1.0

Group = Sequence[Verdict | None]
Reward = Callable[[Group], list[float]]

# Static rewards used as baselines (arXiv 2603.03197, ablations); levels left out earn 0.
STATIC_REWARDS: Mapping[str, Mapping[Verdict, float]] = MappingProxyType(
    {
        "binary": {Verdict.MORE_SPECIFIC: 1.0, Verdict.SPECIFIC: 1.0},
        "graded-1": {
            Verdict.MORE_SPECIFIC: 1.0, Verdict.SPECIFIC: 1.0, Verdict.LESS_SPECIFIC: 0.75,
            Verdict.GENERIC: 0.5, Verdict.ABSTAIN: 0.25,
        },
        "graded-2": {
            Verdict.MORE_SPECIFIC: 1.0, Verdict.SPECIFIC: 1.0, Verdict.LESS_SPECIFIC: 0.75,
            Verdict.GENERIC: 0.5,
        },
        "graded-3": {
            Verdict.MORE_SPECIFIC: 1.0, Verdict.SPECIFIC: 1.0, Verdict.LESS_SPECIFIC: 0.75,
        },
    }
)  # fmt: skip


def required_level(verdicts: Group) -> Verdict | None:
    """The verdict that a rollout of this group must reach (arXiv 2603.03197, dynamic reward).

    It is the group's best, but `specific` where that is `more specific`, and `abstain` where
    that is `wrong`, so that a group without any right prediction earns nothing. None where no
    rollout has a verdict.
    """
    best = max((v for v in verdicts if v is not None), default=None)
    if best is Verdict.MORE_SPECIFIC:
        return Verdict.SPECIFIC
    return Verdict.ABSTAIN if best is Verdict.WRONG else best


def dynamic_rewards(verdicts: Group, mode: Literal["all", "single"] = "all") -> list[float]:
    """1 for each rollout that reaches the level required by its own group, else 0.

    Args:
        verdicts: one group's verdicts, None for an output without a parsable prediction.
        mode: "all" rewards every rollout that reaches the level, "single" only the first.

    Returns:
        One reward per rollout, in order; `UNPARSABLE` for each None.
    """
    if mode not in ("all", "single"):
        raise ConfigError(f"reward mode {mode!r} does not exist, choose 'all' or 'single'")
    required = required_level(verdicts)
    rewards, paid = [], False
    for verdict in verdicts:
        if verdict is None:
            rewards.append(UNPARSABLE)
            continue
        reached = required is not None and verdict >= required and not (mode == "single" and paid)
        rewards.append(float(reached))
        paid = paid or reached
    return rewards


def static_rewards(verdicts: Group, table: Mapping[Verdict, float]) -> list[float]:
    """Each rollout's reward by its own verdict alone; `UNPARSABLE` for each None."""
    return [UNPARSABLE if v is None else table.get(v, 0.0) for v in verdicts]


REWARDS: Mapping[str, Reward] = MappingProxyType(
    {
        "dynamic": dynamic_rewards,
        "dynamic-single": partial(dynamic_rewards, mode="single"),
        **{name: partial(static_rewards, table=table) for name, table in STATIC_REWARDS.items()},
    }
)
