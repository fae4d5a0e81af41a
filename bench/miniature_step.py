"""Prints how many seconds a training step of the miniature takes, by training a few."""

import logging
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from speciarl.config import load
from speciarl.training.job import Inputs, Settings
from speciarl.training.run import Outputs, train

ROOT = Path(__file__).parents[1]
STEPS = 12


class _Clock(logging.Handler):
    """Notes when each generation was logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.times: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.times.append(record.created)


def step_seconds() -> float:
    """Median seconds of a generation with its update."""
    inputs = Inputs(
        base=ROOT / "models/base",
        samples=ROOT / "data/training/cub200.parquet",
        verdicts=[ROOT / "data/verdicts/precomputed/cub200.parquet"],
        classes=dict.fromkeys(sorted(load([ROOT / "params.yaml"]).datasets.splits), ()),
        facts=ROOT / "data/taxonomies",
        store=ROOT / "data/verdicts/cache.duckdb",
        images=ROOT,
    )
    if not all(path.exists() for path in (inputs.base, inputs.samples, *inputs.verdicts)):
        sys.exit("run `make reproduce` first")
    clock = _Clock()
    logger = logging.getLogger("speciarl.training.grpo")
    logger.setLevel(logging.INFO)
    logger.addHandler(clock)
    _train(inputs)
    return statistics.median(later - earlier for earlier, later in pairwise(clock.times))


def _train(inputs: Inputs) -> None:
    params = load([ROOT / "params.yaml"])
    settings = Settings(
        run=params.runs["speciarl"],
        grpo=params.grpo.model_copy(update={"steps": STEPS}),
        sft=params.sft,
        lora=params.lora,
        verifier=params.verifier,
    )
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder)
        tables = [into / f"{name}.parquet" for name in ("metrics", "verdicts", "predictions")]
        train("bench", settings, inputs, Outputs(into / "model", *tables, into / "work"), threads=1)


if __name__ == "__main__":
    print(step_seconds())
