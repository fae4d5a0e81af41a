"""A small made-up input of the report: scores of four runs, and what training left."""

import polars as pl

from speciarl.evaluation.metrics import score
from speciarl.report.tables import OUTCOMES, load_published
from speciarl.verdicts import LABELS, SPECIFICITY_WEIGHTS

PUBLISHED = load_published()
RUNS = ["zero_shot", "sft", "speciarl", "best_of_64"]
GROUPS = {"cub200": "in-domain", "flowers102": "fine-grained", "food101": "fine-grained"}
SEEN = {
    "zero_shot": [], "best_of_64": [],
    "sft": ["in-domain"], "rft": ["in-domain"], "speciarl": ["in-domain"],
}  # fmt: skip
WEIGHTS = {v.name.lower(): weight for v, weight in SPECIFICITY_WEIGHTS.items()}

# Predictions by run and dataset, one per image; None is unparsable, "failed" one without a verdict.
PREDICTIONS = {
    "zero_shot": ["generic", "generic", "generic", "less specific"],
    "sft": ["specific", "wrong", "wrong", None],
    "speciarl": ["specific", "specific", "less specific", "more specific"],
    "best_of_64": ["more specific", "specific", "abstain", "failed"],
}


def scored(predictions: dict[str, list[str | None]], groups: dict[str, str]) -> pl.DataFrame:
    rows = [
        {
            "run": run, "dataset": dataset, "sample_id": f"{dataset}/{i}", "rollout": 0,
            "verdict": prediction if prediction in LABELS else None,
            "decided_by": {None: "unparsable", "failed": "failed", "wrong": "undecided"}.get(
                prediction, "taxonomy"
            ),
            "several_tagged": False,
        }
        for run, given in predictions.items()
        for dataset in groups
        for i, prediction in enumerate(given)
    ]  # fmt: skip
    judged = pl.DataFrame(rows, schema_overrides={"verdict": pl.String})
    return score(judged, list(predictions), groups, SPECIFICITY_WEIGHTS)


def hms(group: str, **figures: float | None) -> pl.DataFrame:
    """Scores of which only the harmonic means of one group matter."""
    counts = dict.fromkeys(("samples", *OUTCOMES, "undecided"), 0)
    rows = [
        {"run": run, "level": "group", "name": group, **counts,
         "correctness": hm, "specificity": hm, "hm": hm}
        for run, hm in figures.items()
    ]  # fmt: skip
    return pl.DataFrame(
        rows, schema_overrides=dict.fromkeys(("correctness", "specificity", "hm"), pl.Float64)
    )


def metrics(steps: int, rewards: bool) -> pl.DataFrame:
    """As training writes them: with rewards by a reward, with losses only by imitation."""
    numbers = list(range(steps))
    filled = {c: [i % 3 for i in numbers] for c in (*OUTCOMES, "hits", "misses")}
    return pl.DataFrame(
        {
            "step": numbers,
            "loss": [1.0 / (i + 1) for i in numbers],
            "reward": [i / steps for i in numbers] if rewards else [None] * steps,
            **(filled if rewards else {c: [None] * steps for c in filled}),
        },
        schema_overrides={"reward": pl.Float64, **dict.fromkeys(filled, pl.Int64)},
    )


TRAINING = {
    "zero_shot": metrics(0, rewards=False),
    "sft": metrics(5, rewards=False),
    "speciarl": metrics(300, rewards=True),
}  # best_of_64 has none at all
