"""The workflow with `evaluation.engine: vllm`: the same stages, the same tables."""

import polars as pl

from tests.vllm.conftest import CLASSES
from tests.workflow.conftest import SMALL, Project

RUNS = ("best_of_4", "sft")  # sampled from the base; greedy, with adapters


def test_predictions_are_made_and_judged(tmp_path):
    project = Project.create(tmp_path / "project")
    project.change(evaluation={"engine": "vllm"})
    project.snakemake(*(f"results/verdicts/{run}" for run in RUNS))
    per_class = SMALL["miniature"]["test_per_class"]
    for run in RUNS:
        rollouts = SMALL["runs"][run].get("best_of", 1)
        log = (project.folder / f"logs/predict/{run}.log").read_text()
        assert "Loading safetensors checkpoint shards" in log  # as only vLLM says
        for dataset in SMALL["datasets"]["splits"]:
            rows = pl.read_parquet(project.folder / f"results/verdicts/{run}/42/{dataset}.parquet")
            assert rows.height == per_class * len(CLASSES[dataset]) * rollouts
            assert rows["verdict"].is_not_null().mean() > 0.9
