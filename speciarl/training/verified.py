"""GRPO on the verdicts of a verifier: the first process asks it, all learn from what it says."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from accelerate import PartialState
from PIL import Image

from speciarl.answers import Which
from speciarl.config import VerifierConfig
from speciarl.rewards import REWARDS
from speciarl.schemas import PREDICTIONS
from speciarl.training.grpo import train_grpo
from speciarl.training.reward_function import SpecificityReward
from speciarl.verifiers.cached import open_cached, verdict_table


def train_verified(
    model,
    processor,
    samples: pl.DataFrame,
    open_image: Callable[[str], Image.Image],
    *,
    verifier: VerifierConfig,
    judging: tuple[Sequence[Path], Mapping[str, Sequence[str]], Path, Path, str],
    reward: str,
    answer_tag: Which,
    **how: Any,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Train as `train_grpo` does, whose other arguments these are.

    Args:
        verifier: the section of the parameters.
        judging: the other arguments of `open_cached`: snapshots, classes, facts, store, run.
        reward: of a group's verdicts, by name.
        answer_tag: of several tagged predictions in a completion, the one that counts.

    Returns:
        Metrics per generation, the verdicts used, and the predictions given.
    """
    state = PartialState()
    source = open_cached(verifier, *judging) if state.is_main_process else None
    bridge = SpecificityReward(
        source, REWARDS[reward], verifier.max_failures, state.num_processes, answer_tag
    )
    rows = train_grpo(model, processor, samples, open_image, bridge, **how)
    if source:
        source.cache.flush()
    predictions = pl.DataFrame(bridge.predictions, schema=PREDICTIONS, orient="row")
    used = verdict_table(source.seen if source else {})
    return rows, used, predictions.sort("step", "class", "prediction")
