"""How long a training step of the miniature takes, by training for a few and for some more."""

import tempfile
import time
from pathlib import Path

from speciarl.config import load
from speciarl.training.run import Inputs, Outputs, Settings, train

ROOT = Path(__file__).parents[1]


def step_seconds(few: int = 3, more: int = 9) -> float | None:
    """Seconds of one generation with its update; None where the pipeline has not run."""
    inputs = Inputs(
        base=ROOT / "models/base",
        samples=ROOT / "data/training/cub200.parquet",
        verdicts=ROOT / "data/verdicts/precomputed.parquet",
        taxonomy=ROOT / "data/taxonomy.parquet",
        facts=ROOT / "data/taxonomies",
        images=ROOT,
    )
    if not all(path.exists() for path in (inputs.base, inputs.samples, inputs.verdicts)):
        return None
    short, long = (_seconds(inputs, generations) for generations in (few, more))
    return (long - short) / (more - few)


def _seconds(inputs: Inputs, generations: int) -> float:
    params = load([ROOT / "params.yaml"])
    settings = Settings(
        run=params.runs["speciarl"],
        grpo=params.grpo.model_copy(update={"generations": generations}),
        sft=params.sft,
        lora=params.lora,
        verifier=params.verifier,
    )
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder)
        tables = [into / f"{name}.parquet" for name in ("metrics", "verdicts", "answers")]
        outputs = Outputs(into / "model", *tables, into / "work")
        started = time.perf_counter()
        train("bench", settings, inputs, outputs, threads=1)
        return time.perf_counter() - started
