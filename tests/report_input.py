"""A small made-up input of the report: scores of four runs, and what training left."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from speciarl.evaluation.intervals import Replicates
from speciarl.evaluation.measures import SCHEMA
from speciarl.evaluation.scores import areas_of, best_of_all, differences, score
from speciarl.report.rollouts import COLUMNS
from speciarl.report.tables import MOVES, load_published
from speciarl.verdicts import LABELS, OUTCOMES, SPECIFICITY_WEIGHTS

PUBLISHED = load_published()
RUNS = ["zero_shot", "sft", "speciarl", "best_of_64"]
GROUPS = {"cub200": "in-domain", "flowers102": "fine-grained", "food101": "fine-grained"}
SEEN = {
    "zero_shot": [], "best_of_64": [],
    "sft": ["in-domain"], "rft": ["in-domain"], "speciarl": ["in-domain"],
}  # fmt: skip
WEIGHTS = {v.name.lower(): weight for v, weight in SPECIFICITY_WEIGHTS.items()}

# Predictions by run (and seed, where there are several) and dataset, one per image; None is
# unparsable, "failed" one without a verdict.
PREDICTIONS = {
    "zero_shot": ["generic", "generic", "generic", "less specific"] * 10,
    "sft": {
        42: ["specific", "wrong", "wrong", None] * 10,
        43: ["specific", "specific", "wrong", "generic"] * 10,
    },
    "speciarl": {
        42: ["specific", "specific", "less specific", "more specific"] * 10,
        43: ["specific", "less specific", "less specific", "specific"] * 10,
    },
    "best_of_64": ["more specific", "specific", "abstain", "failed"] * 10,
}


class Scored(NamedTuple):
    """What the score stage writes."""

    scores: pl.DataFrame
    differences: pl.DataFrame


def scored(
    predictions: Mapping[str, Sequence[str | None] | Mapping[int, Sequence[str | None]]],
    groups: Mapping[str, str],
    unseen: Sequence[str] = (),
) -> Scored:
    """Scores of these predictions on every dataset; `groups` gives the group of each."""
    rows = [
        {
            "run": run, "seed": seed, "dataset": dataset, "sample_id": f"{dataset}/{i:03}",
            "rollout": 0, "verdict": prediction if prediction in LABELS else None,
            "decided_by": {None: "unparsable", "failed": "failed", "wrong": "undecided"}.get(
                prediction, "taxonomy"
            ),
            "several_tagged": False,
        }
        for run, given in predictions.items()
        for seed, said in (given if isinstance(given, Mapping) else {42: given}).items()
        for dataset in groups
        for i, prediction in enumerate(said)
    ]  # fmt: skip
    judged = pl.DataFrame(rows, schema_overrides={"verdict": pl.String})
    members: dict[str, list[str]] = {}
    for dataset, group in groups.items():
        members.setdefault(group, []).append(dataset)
    areas, runs = areas_of(members, unseen), list(predictions)
    best = best_of_all(judged, runs, list(groups))
    replicates = Replicates(best, list(groups), SPECIFICITY_WEIGHTS)
    return Scored(
        score(best, replicates, areas, SPECIFICITY_WEIGHTS), differences(runs, replicates, areas)
    )


def hms(name: str, level: str = "group", **metrics: float | None) -> pl.DataFrame:
    """Scores over seeds of which only the harmonic means of one group matter."""
    counts = dict.fromkeys(("samples", *OUTCOMES, "undecided"), 0)
    values = ("correctness", "specificity", "hm", "hm_low", "hm_high", "hm_spread")
    rows = [
        {"run": run, "seeds": 3, "level": level, "name": name, **counts,
         **dict.fromkeys(values[:3], hm), "hm_low": None if hm is None else hm - 0.01,
         "hm_high": None if hm is None else hm + 0.01, "hm_spread": None}
        for run, hm in metrics.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(values, pl.Float64))


def differing(
    run: str, name: str, level: str = "group", **others: tuple[float | None, ...]
) -> pl.DataFrame:
    """What the HM of a run differs by from others': difference, low, high."""
    names = ["run", "other", "level", "name", "difference", "low", "high"]
    rows = [(run, other, level, name, *found) for other, found in others.items()]
    return pl.DataFrame(
        rows, names, orient="row", schema_overrides=dict.fromkeys(names[4:], pl.Float64)
    )


def metrics(steps: int, rewards: bool, seeds: Sequence[int] = (42,)) -> pl.DataFrame:
    """As training writes them: with rewards by a reward, with losses only by imitation."""
    numbers = list(range(steps))
    filled = {c: [i % 3 for i in numbers] for c in (*OUTCOMES, "hits", "misses")}
    schema = dict.fromkeys(("reward", *MOVES), pl.Float64) | dict.fromkeys(filled, pl.Int64)
    moves = {"kl": 0.001, "clip_ratio": 0.0, "completion_length": 0.5}  # of one update a generation
    return pl.concat(
        pl.DataFrame(
            {
                "seed": [seed] * steps,
                "step": numbers,
                "loss": [1.0 / (i + 1) + place for i in numbers],
                "reward": [(i + place) / steps for i in numbers] if rewards else [None] * steps,
                **{
                    c: [i * by for i in numbers] if rewards else [None] * steps
                    for c, by in moves.items()
                },
                **(filled if rewards else {c: [None] * steps for c in filled}),
            },
            schema_overrides=schema,
        )
        for place, seed in enumerate(seeds)
    )


TRAINING = {
    "zero_shot": metrics(0, rewards=False),
    "sft": metrics(5, rewards=False, seeds=(42, 43)),
    "speciarl": metrics(300, rewards=True, seeds=(42, 43)),
}  # best_of_64 has none at all

# Of gulls and terns, two kinds of bird that may be a seabird, too: what two runs name, how often.
STOPS = pl.DataFrame(
    [
        ("zero_shot", "Herring Gull", ["gull", "seabird", "bird"], "gull", "less specific", 3),
        ("zero_shot", "Herring Gull", ["gull", "seabird", "bird"], "bird", "generic", 2),
        ("zero_shot", "Ivory Gull", ["gull", "seabird", "bird"], None, "failed", 1),
        ("zero_shot", "Artic Tern", ["tern", "seabird", "bird"], None, "unparsable", 4),
        ("speciarl", "Herring Gull", ["gull", "seabird", "bird"], "Herring Gull", "specific", 4),
        ("speciarl", "Herring Gull", ["gull", "seabird", "bird"], "American", "more specific", 1),
        ("speciarl", "Ivory Gull", ["gull", "seabird", "bird"], "gull", "less specific", 1),
        ("speciarl", "Artic Tern", ["tern", "seabird", "bird"], None, "wrong", 2),
        ("speciarl", "Artic Tern", ["tern", "seabird", "bird"], "Artic Tern", "specific", 2),
        ("sft", "Artic Tern", ["tern", "seabird", "bird"], "tern", "less specific", 9),
    ],
    ["run", "class_name", "kinds", "named", "outcome", "images"],
    orient="row",
).with_columns(dataset=pl.lit("cub200"))  # fmt: skip

MEASURES = pl.DataFrame(
    [
        {"measure": measure, "at": at, "run": run, "level": "group", "name": "in-domain",
         "images": 40 - dropped, "dropped": dropped, "value": value}
        for measure, at, dropped, value in (
            ("at_least", "generic", 0, 0.9), ("specificity", "0.3", 0, 0.8),
            ("specificity", "0.5", 0, 0.7), ("llm_inclusion", "", 3, 0.25),
        )
        for run in RUNS
    ]
    + [{"measure": "semantic_similarity", "absent": "measures.embedding_model names no directory"}],
    schema=SCHEMA,
)  # fmt: skip

# classes_per_group, num_generations, seeds, lucky_share; in domain, then out of it, samples, failed
# and HM with its interval; share of the unmarked images out of domain answered wrongly
ROLLOUTS = pl.DataFrame(
    [
        (4, 3, 3, 0.55, 30, 0, 0.900, 0.89, 0.91, 90, 0, 0.860, 0.85, 0.87, 0.15),
        (4, 15, 3, 0.98, 30, 0, 0.790, 0.78, 0.80, 90, 0, 0.850, 0.84, 0.86, 0.36),
        (8, 3, 3, 0.33, 30, 1, 0.911, 0.90, 0.92, 90, 90, None, None, None, None),
        (8, 5, 3, 0.49, 30, 0, 0.915, 0.90, 0.93, 90, 2, 0.880, 0.87, 0.89, 0.04),
        (8, 15, 3, 0.86, 30, 0, 0.940, 0.935, 0.95, 90, 0, 0.850, 0.84, 0.86, 0.36),
    ],
    COLUMNS,
    orient="row",
)
