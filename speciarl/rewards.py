"""Rewards: one group's verdicts in, one number per rollout out.

A group is all rollouts of one image. `None` stands for an output without a parsable prediction:
it takes no part in the group's best and costs `UNPARSABLE` under every reward, as in the
authors' code. A verdict that the verifier failed to give is not a value here; see
`speciarl.training.reward_function`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np

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


@dataclass(frozen=True)
class Noise:
    """A verifier that errs: a share of the verdicts moved one level up or down (authors' ablation).

    Which ones, follows from the seed and the row of the group alone, in whichever order and on
    whichever process groups are rewarded.
    """

    share: float = 0.0
    seed: int = 0

    def disturb(self, row: int, verdicts: Group) -> list[Verdict | None]:
        """A group's verdicts with the noise of its row.

        `more specific` counts as `specific`, and at either end there is one way only.
        """
        if not self.share:
            return list(verdicts)
        chance = np.random.default_rng([self.seed, row]).random((2, len(verdicts)))
        ladder = [v for v in Verdict if v is not Verdict.MORE_SPECIFIC]
        disturbed = list(verdicts)
        for i, verdict in enumerate(verdicts):
            if verdict is not None and chance[0, i] < self.share:
                level = min(verdict.step, len(ladder) - 1)
                up = level == 0 or (level < len(ladder) - 1 and chance[1, i] < 0.5)
                disturbed[i] = ladder[level + 1 if up else level - 1]
        return disturbed


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
