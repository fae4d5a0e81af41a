"""Signs of reward hacking in the report: what policies answered in training."""

from collections.abc import Mapping, Sequence

import polars as pl

from speciarl.verifiers.audit import reward_hacking


def signs_by_run(
    predictions: Mapping[str, pl.DataFrame], runs: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of `audit.reward_hacking` with their `run`: the first and the last of each run.

    Args:
        predictions: of training runs, as `audit.PREDICTIONS`; runs without any are left out.
        runs: in the order of the report.
    """
    rows: list[dict[str, object]] = []
    for run in runs:
        signs = reward_hacking(predictions[run]).rows(named=True) if run in predictions else []
        ends = [signs[0], signs[-1]] if len(signs) > 1 else signs
        rows += [{"run": run, **sign} for sign in ends]
    return rows
