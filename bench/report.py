"""The page of the report at the paper's scale: its size, seconds and memory, from invented results.

    python bench/report.py                  # 836 classes, 40,000 test images, 11 runs of 3 seeds
    python bench/report.py --images 4000    # the same page of fewer images, in a fraction

Ends with an error where the page is larger than a browser opens at once (MOST_BYTES).
"""

import argparse
import base64
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from speciarl.evaluation.best_of import curves
from speciarl.evaluation.intervals import Replicates
from speciarl.evaluation.measures import measure
from speciarl.evaluation.scores import areas_of, best_of_all, differences, score
from speciarl.evaluation.stops import SAID, placed, stops
from speciarl.report.build import build_report
from speciarl.report.examples import MOST, Example, Said
from speciarl.report.page import Evidence
from speciarl.report.tables import load_published
from speciarl.schemas import PREDICTIONS
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import LABELS, OUTCOMES, SPECIFICITY_WEIGHTS

MOST_BYTES = 5_000_000
GROUPS = {
    "in-domain": ["cub200"],
    "fine-grained": ["flowers102", "food101", "oxford_pets"],
    "very fine-grained": ["stanford_cars", "fgvc_aircraft"],
}
RUNS = ["zero_shot", "be_specific", "sft", "rft", "speciarl", "best_of_64",
        *(f"ablation_{i}" for i in range(5))]  # fmt: skip
SEEDS, SAMPLES, STEPS = (42, 43, 44), 4, 165


def judged(taxonomy: Taxonomy, images: int, dice: np.random.Generator) -> pl.DataFrame:
    """Rows of all runs, in which a prediction is the class, a kind above it, or another class."""
    parts = []
    for dataset in (name for names in GROUPS.values() for name in names):
        classes = taxonomy.classes[dataset]
        kinds = [taxonomy.describe(name, dataset)[0] for name in classes]
        said = [
            [
                (k.name, "specific"),
                *((n, "less specific") for n in k.near[:1]),
                *((n, "generic") for n in k.far[:1]),
                ("another thing", "wrong"),
            ]
            for k in kinds
        ]
        for run in RUNS:
            for seed in SEEDS:
                rollouts = SAMPLES if run == "best_of_64" else 1
                number = np.repeat(np.arange(images // 6), rollouts)
                chosen = [said[n % len(classes)][i % len(said[n % len(classes)])] for n, i in
                          zip(number, dice.integers(0, 12, len(number)), strict=True)]  # fmt: skip
                parts.append(pl.DataFrame({
                    "run": run, "seed": seed, "dataset": dataset,
                    "sample_id": [f"{dataset}/{n:06}" for n in number],
                    "rollout": np.tile(np.arange(rollouts), images // 6),
                    "class_name": [classes[n % len(classes)] for n in number],
                    "prediction": [c[0] for c in chosen], "normalized": [c[0] for c in chosen],
                    "verdict": [c[1] for c in chosen], "decided_by": "taxonomy",
                    "several_tagged": False,
                }, schema_overrides={"verdict": pl.Enum(LABELS)}))  # fmt: skip
    return pl.concat(parts)


def trained(dice: np.random.Generator) -> pl.DataFrame:
    steps = STEPS * len(SEEDS)
    counts = {name: dice.integers(0, 400, steps) for name in (*OUTCOMES, "hits", "misses")}
    means = {name: dice.random(steps)
             for name in ("loss", "reward", "kl", "clip_ratio", "completion_length")}  # fmt: skip
    return pl.DataFrame(
        {"seed": np.repeat(SEEDS, STEPS), "step": np.tile(np.arange(STEPS), 3), **counts, **means}
    )


def evidence(images: int) -> Evidence:
    dice = np.random.default_rng(0)
    taxonomy = Taxonomy.load_all()
    rows = judged(taxonomy, images, dice)
    unseen = [name for group in list(GROUPS)[1:] for name in GROUPS[group]]
    areas, datasets = areas_of(GROUPS, unseen), [n for names in GROUPS.values() for n in names]
    best = best_of_all(rows, RUNS, datasets, SAID)
    replicates = Replicates(best, datasets, SPECIFICITY_WEIGHTS)
    told = placed(best, taxonomy)
    thumbnail = base64.b64encode(dice.bytes(2500)).decode()  # as long as that of a photograph
    said = [Said(run, "a prediction of several words", "less specific", "gained") for run in RUNS]
    shown = [Example(datasets[i % 6], "a class", f"data:image/webp;base64,{thumbnail}", said)
             for i in range(MOST)]  # fmt: skip
    weights = {verdict.name.lower(): weight for verdict, weight in SPECIFICITY_WEIGHTS.items()}
    return Evidence(
        scores=score(best, replicates, areas, SPECIFICITY_WEIGHTS),
        differences=differences(RUNS, replicates, areas),
        best_of=curves(rows.lazy(), areas, SPECIFICITY_WEIGHTS),
        measures=measure(told, areas, "best_of_64"),
        stops=stops(told, taxonomy),
        training={run: trained(dice) for run in RUNS[3:5] + RUNS[6:]},
        predictions={run: pl.DataFrame(schema=PREDICTIONS) for run in ()},
        runs=RUNS, weights=weights, published=load_published(), examples=shown,
        seen={run: ["in-domain"] if run in RUNS[2:5] else [] for run in RUNS},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40_000)
    given = evidence(parser.parse_args().images)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        build_report(given, {"Parameters": {}}, Path(folder))
        size = (Path(folder) / "report.html").stat().st_size
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{size / 1e6:.2f} MB, {time.process_time() - started:.1f} CPU s, at most {memory:.0f} MB"
          " of memory, the scoring before it included")  # fmt: skip
    if size > MOST_BYTES:
        sys.exit(f"error: the page is larger than {MOST_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
